"""Where uploads are handed in: begun, received, ended; one desk per service process."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request

from models.errors import HistoserveError
from service.access import Caller, entry_of
from service.deployment import Deployment
from service.uploads.digests import RunningDigests
from service.uploads.errors import OffsetConflictError, UploadTooLargeError
from service.uploads.files import UploadFile, check_room
from service.uploads.headers import Checksum
from service.uploads.pour import pour
from service.uploads.reception import Acknowledge, Reception, Terms
from workers.ledger.audit import add_entries
from workers.ledger.uploads import (
    Upload,
    bytes_to_come,
    commit_offset,
    complete_upload,
    create_upload,
    drop_upload,
    get_upload,
)

T = TypeVar("T")
DISK_THREADS = 16
IDLE_S = 60.0


@dataclass(frozen=True, eq=False)
class Desk:
    """What all requests that carry bytes share in one process."""

    deployment: Deployment
    digests: RunningDigests = field(default_factory=RunningDigests)
    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(DISK_THREADS))
    """Apart from the endpoints' own: a slow disk does not stop those that ask for a job's state."""
    idle_s: float = IDLE_S

    async def in_thread(self, act: Callable[[], T]) -> T:
        """What `act` gives, which waits for a disk."""
        return await run_sync(act, limiter=self.threads)


def desk_of(request: Request) -> Desk:
    """The desk behind a request."""
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


@dataclass(frozen=True)
class Arrival:
    """Bytes that one request brings for an upload."""

    upload_id: str
    offset: int
    length_bytes: int | None
    """Of the body; None where it comes in chunks."""
    chunks: AsyncIterator[bytes]
    checksum: Checksum | None = None


def begin_upload(desk: Desk, caller: Caller, length_bytes: int | None, metadata: dict[str, str]) -> Upload:
    """A new upload, complete where it has no bytes to come; the disk has room for it and all others that are coming in.

    Raises
    ------
    UploadTooLargeError
        It is longer than is taken here.
    DiskFullError
        There is no room.
    """
    check_size(desk, length_bytes)
    with desk.deployment.ledger.write() as connection:
        return make_upload(connection, desk, caller, length_bytes, metadata)


def check_size(desk: Desk, length_bytes: int | None) -> None:
    """Raise `UploadTooLargeError` where a length is beyond what is taken."""
    most = desk.deployment.settings.max_upload_bytes
    if length_bytes is not None and length_bytes > most:
        raise UploadTooLargeError(f"{length_bytes} bytes are more than the {most} that are taken.")


def make_upload(
    connection: "sa.Connection", desk: Desk, caller: Caller, length_bytes: int | None, metadata: dict[str, str]
) -> Upload:
    """As `begin_upload`, in the caller's transaction."""
    settings = desk.deployment.settings
    upload = create_upload(connection, caller.tenant, length_bytes, metadata, settings.upload_expiry_s)
    # The audit's head is locked from here on: of two that begin at once the second counts the first.
    add_entries(connection, [entry_of(caller, "upload.create", upload.id, 201)])
    check_room(settings.uploads_folder, bytes_to_come(connection), settings.reserve_bytes)
    if length_bytes == 0:
        upload = complete_upload(connection, upload, desk.digests.take(upload.id, 0).hexdigest())
    return upload
