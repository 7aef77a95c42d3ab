"""Where uploads are handed in: begun, received, ended; one desk per service process."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import sqlalchemy as sa
from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, Request

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


async def desk_of(request: Request) -> Desk:
    """The desk behind a request; on the event loop, as it waits for nothing."""
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
    connection: sa.Connection, desk: Desk, caller: Caller, length_bytes: int | None, metadata: dict[str, str]
) -> Upload:
    """As `begin_upload`, in the caller's transaction."""
    settings = desk.deployment.settings
    upload = create_upload(connection, caller.tenant, length_bytes, metadata, settings.upload_expiry_s)
    # The audit's head is locked from here on: of two that begin at once the second counts the first.
    add_entries(connection, [entry_of(caller, "upload.create", upload.id, 201)])
    check_room(settings.uploads_folder, bytes_to_come(connection), settings.reserve_bytes)
    if length_bytes == 0:
        upload = complete_upload(connection, upload, hashlib.sha256().hexdigest())
    return upload


async def receive(desk: Desk, caller: Caller, arrival: Arrival) -> None:
    """Write an arrival's bytes into its upload; all are acknowledged when this returns.

    Raises
    ------
    UnknownError, GoneError
        There is no such upload.
    UploadLockedError
        Another request writes to it.
    OffsetConflictError, UploadTooLargeError, ChecksumMismatchError
        The bytes are not those that may follow.
    DiskFullError, StoreError, LedgerAwayError
        What was acknowledged is kept.
    RequestTimeoutError, ClientDisconnect
        The client went away; what came is kept, unless it came with a checksum.
    """
    reception = await desk.in_thread(lambda: _open(desk, caller, arrival))
    if reception is None:
        return
    try:
        await pour(arrival.chunks, reception.take, desk.threads, desk.idle_s)
        await desk.in_thread(reception.finish)
    finally:
        with CancelScope(shield=True):
            await desk.in_thread(reception.close)


def find_upload(desk: Desk, caller: Caller, upload_id: str) -> Upload:
    """The caller's upload. Raises `UnknownError` or `GoneError`."""
    with desk.deployment.ledger.read() as connection:
        return get_upload(connection, caller.tenant, upload_id)


def complete_stream(desk: Desk, caller: Caller, upload_id: str) -> Upload:
    """The upload whose length was not known before its end; complete where it is not already."""
    with desk.deployment.ledger.write() as connection:
        upload = get_upload(connection, caller.tenant, upload_id)
        if upload.state != "receiving":
            return upload
        digest = desk.digests.take(upload.id, upload.offset_bytes)
        return _complete(connection, caller, upload, None if digest is None else digest.hexdigest())


def end_upload(desk: Desk, caller: Caller, upload_id: str) -> None:
    """Drop an upload that no slide was made of. Raises as `find_upload`, and `StateConflictError`."""
    with desk.deployment.ledger.write() as connection:
        drop_upload(connection, caller.tenant, upload_id)
        add_entries(connection, [entry_of(caller, "upload.drop", upload_id, 204)])
    remove_bytes(desk.deployment, upload_id)


def remove_bytes(deployment: Deployment, upload_id: str) -> None:
    """Remove what an upload that was dropped has left."""
    (deployment.settings.uploads_folder / upload_id).unlink(missing_ok=True)
    deployment.store.remove(store_key(upload_id))


def store_key(upload_id: str) -> str:
    """Where the bytes of an upload lie in the store once a slide is made of it."""
    return f"slides/{upload_id}"


def _open(desk: Desk, caller: Caller, arrival: Arrival) -> Reception | None:
    """The upload, locked and ready for the bytes; None where nothing comes and nothing is missing."""
    upload = find_upload(desk, caller, arrival.upload_id)
    if not _is_wanting(upload, arrival):
        return None
    settings = desk.deployment.settings
    file = UploadFile(settings.uploads_folder, upload.id)
    try:
        # What was read before the file was locked may be old.
        upload = find_upload(desk, caller, arrival.upload_id)
        _is_wanting(upload, arrival)
        limit = settings.max_upload_bytes if upload.length_bytes is None else upload.length_bytes
        terms = Terms(upload.id, settings.uploads_folder, limit, settings.reserve_bytes, arrival.checksum)
        return Reception(file, terms, upload.offset_bytes, desk.digests, _acknowledging(desk, caller, upload))
    except BaseException:
        file.close()
        raise


def _is_wanting(upload: Upload, arrival: Arrival) -> bool:
    """True where bytes may come; raises where those of the arrival may not."""
    if arrival.offset != upload.offset_bytes:
        raise OffsetConflictError(
            f"The upload has {upload.offset_bytes} bytes; what was sent begins at {arrival.offset}.",
            "Ask for the offset with HEAD and go on from there.",
        )
    if upload.state != "receiving" and arrival.length_bytes == 0:
        return False
    length = upload.length_bytes
    if upload.state != "receiving" or (length is not None and arrival.offset + (arrival.length_bytes or 0) > length):
        raise UploadTooLargeError(
            f"The upload has {upload.offset_bytes} of {length} bytes; the body is longer than the rest.",
            "Send the rest only.",
        )
    return True


def _acknowledging(desk: Desk, caller: Caller, upload: Upload) -> Acknowledge:
    """What commits offsets of this upload, one after the other, and completes it with the last."""
    expiry_s = desk.deployment.settings.upload_expiry_s
    newest = upload

    def acknowledge(offset: int, sha256: str | None) -> None:
        nonlocal newest
        with desk.deployment.ledger.write() as connection:
            moved = commit_offset(connection, newest, offset, expiry_s)
            if offset == moved.length_bytes:
                moved = _complete(connection, caller, moved, sha256)
        newest = moved

    return acknowledge


def _complete(connection: sa.Connection, caller: Caller, upload: Upload, sha256: str | None) -> Upload:
    done = complete_upload(connection, upload, sha256)
    add_entries(connection, [entry_of(caller, "upload.complete", upload.id, 204, sha256=sha256 or "")])
    return done
