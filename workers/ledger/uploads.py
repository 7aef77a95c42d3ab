"""Uploads: how many bytes of each are on the disk for sure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from workers.contract.errors import GoneError, StateConflictError, UnknownError
from workers.ledger.database import now
from workers.ledger.ids import new_id
from workers.ledger.schema import uploads

UploadState = Literal["receiving", "complete", "used", "dropped"]


@dataclass(frozen=True)
class Upload:
    """An upload. `offset_bytes` are fsynced; `length_bytes` is None while a stream of unknown length comes in."""

    id: str
    tenant: str
    state: UploadState
    filename: str | None
    metadata: dict[str, str]
    length_bytes: int | None
    offset_bytes: int
    sha256: str | None
    created_at: float
    expires_at: float


def create_upload(
    connection: sa.Connection,
    tenant: str,
    length_bytes: int | None,
    metadata: dict[str, str],
    expiry_s: float,
) -> Upload:
    """A new upload at offset 0; complete at once where it has no bytes to come."""
    values = {
        "id": new_id("upl"),
        "tenant": tenant,
        "state": "receiving",
        "filename": metadata.get("filename", "")[:255] or None,
        "metadata": metadata,
        "length_bytes": length_bytes,
        "offset_bytes": 0,
        "created_at": now(),
        "expires_at": now() + expiry_s,
    }
    return _upload(connection.execute(sa.insert(uploads).values(values).returning(uploads)).one())


def get_upload(connection: sa.Connection, tenant: str, upload_id: str) -> Upload:
    """The upload.

    Raises
    ------
    UnknownError
        There is none of that name for this tenant.
    GoneError
        It was dropped, or expired.
    """
    row = connection.execute(
        sa.select(uploads, (uploads.c.expires_at < now()).label("late")).where(
            uploads.c.id == upload_id, uploads.c.tenant == tenant
        )
    ).one_or_none()
    if row is None:
        raise UnknownError(f"There is no upload {upload_id}.")
    if row.state == "dropped" or (row.late and row.state == "receiving"):
        raise GoneError(f"The upload {upload_id} was dropped or has expired.", "Begin a new one.")
    return _upload(row)


def commit_offset(connection: sa.Connection, upload: Upload, offset_bytes: int, expiry_s: float) -> Upload:
    """The upload with `offset_bytes` fsynced bytes; the caller holds the file's lock and has fsynced it.

    Raises
    ------
    StateConflictError
        The upload is not receiving any more, or its offset is not the one the caller began at.
    """
    row = connection.execute(
        sa.update(uploads)
        .where(
            uploads.c.id == upload.id,
            uploads.c.state == "receiving",
            uploads.c.offset_bytes == upload.offset_bytes,
        )
        .values(offset_bytes=offset_bytes, expires_at=now() + expiry_s)
        .returning(uploads)
    ).one_or_none()
    if row is None:
        raise StateConflictError(f"The upload {upload.id} was changed by another request.", "Ask for its offset again.")
    return _upload(row)


def complete_upload(connection: sa.Connection, upload: Upload, sha256: str | None) -> Upload:
    """The upload, all of whose bytes are on the disk; `sha256` where it was computed on the way."""
    row = connection.execute(
        sa.update(uploads)
        .where(uploads.c.id == upload.id, uploads.c.state == "receiving")
        .values(state="complete", length_bytes=uploads.c.offset_bytes, sha256=sha256)
        .returning(uploads)
    ).one_or_none()
    if row is None:
        raise StateConflictError(f"The upload {upload.id} was changed by another request.", "Ask for its state again.")
    return _upload(row)


def use_upload(connection: sa.Connection, tenant: str, upload_id: str) -> Upload:
    """The upload, which from now on is a slide's.

    Raises
    ------
    StateConflictError
        Its bytes are not all here, or it was used before.
    """
    upload = get_upload(connection, tenant, upload_id)
    row = connection.execute(
        sa.update(uploads)
        .where(uploads.c.id == upload_id, uploads.c.state == "complete")
        .values(state="used")
        .returning(uploads)
    ).one_or_none()
    if row is None:
        state = (
            f"has {upload.offset_bytes} of {upload.length_bytes} bytes" if upload.state == "receiving" else "was used"
        )
        raise StateConflictError(f"The upload {upload_id} {state}.", "Send the rest, or begin a new one.")
    return _upload(row)


def drop_upload(connection: sa.Connection, tenant: str, upload_id: str) -> None:
    """End an upload that is not used. Raises as `use_upload`."""
    get_upload(connection, tenant, upload_id)
    update = sa.update(uploads).where(uploads.c.id == upload_id, uploads.c.state.in_(("receiving", "complete")))
    if connection.execute(update.values(state="dropped")).rowcount != 1:
        raise StateConflictError(f"The upload {upload_id} is a slide's now.", "Delete the slide instead.")


def drop_expired_uploads(connection: sa.Connection) -> list[str]:
    """The names of uploads whose time is over; their files may go."""
    update = sa.update(uploads).where(uploads.c.state.in_(("receiving", "complete")), uploads.c.expires_at < now())
    return list(connection.execute(update.values(state="dropped").returning(uploads.c.id)).scalars())


def bytes_to_come(connection: sa.Connection) -> int:
    """How many bytes unfinished uploads of known length will still bring."""
    rest = sa.func.sum(uploads.c.length_bytes - uploads.c.offset_bytes)
    query = sa.select(rest).where(uploads.c.state == "receiving", uploads.c.expires_at >= now())
    return int(connection.execute(query).scalar() or 0)


def upload_states(connection: sa.Connection, upload_ids: Sequence[str]) -> dict[str, UploadState]:
    """The states of the uploads among `upload_ids` that there are."""
    query = sa.select(uploads.c.id, uploads.c.state).where(uploads.c.id.in_(upload_ids))
    return {row.id: row.state for row in connection.execute(query)}


def _upload(row: sa.Row[Any]) -> Upload:
    names = Upload.__dataclass_fields__
    return Upload(**{name: value for name, value in row._mapping.items() if name in names})
