"""What a batch has come to, kept beside its table: which row is which job."""

import fcntl
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, Field, ValidationError

from models.errors import RefusedInputError
from service.client.errors import FileUnreadableError
from service.commands.rows import Row
from workers.contract.regions import read_geojson


class BatchStateError(RefusedInputError):
    """The state beside a table is another service's, in use, or no state."""

    slug = "batch-state"
    title = "The batch cannot go on from its state file"


class Entry(BaseModel):
    """A row that was begun."""

    key: str = Field(default_factory=lambda: uuid4().hex)
    """The Idempotency-Key of its job."""
    size_bytes: int | None = None
    mtime_ns: int | None = None
    sha256: str | None = None
    slide_id: str | None = None
    job_id: str | None = None

    def begin_anew(self) -> None:
        """Forget the job; the next one has a key of its own."""
        self.key, self.slide_id, self.job_id = uuid4().hex, None, None


class Kept(BaseModel):
    """The file."""

    version: int = 1
    service: str
    rows: dict[str, Entry] = {}


class BatchState:
    """The entries of a table's rows, and where they are kept."""

    def __init__(self, path: Path, kept: Kept) -> None:
        self._path = path
        self._kept = kept
        self._seen: Counter[str] = Counter()

    def entry(self, row: Row) -> Entry:
        """The entry of a row, begun anew where its file's bytes changed. Rows that are the same are told apart by
        their order.
        """
        regions = "" if row.regions is None else json.dumps(read_geojson(row.regions))
        digest = hashlib.sha256(f"{row.model_dump_json()}{regions}".encode()).hexdigest()
        self._seen[digest] += 1
        entry = self._kept.rows.setdefault(f"{digest[:32]}-{self._seen[digest]}", Entry())
        if row.path is not None:
            _compare(entry, row.path)
        return entry

    def save(self) -> None:
        """Put all entries on the disk."""
        part = self._path.with_name(f"{self._path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(self._kept.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


@contextmanager
def open_state(path: Path, service: str) -> Iterator[BatchState]:
    """The state beside a table, held until the block ends.

    Raises
    ------
    BatchStateError
        Another process holds it, it is of another service, or it cannot be read.
    """
    lock = path.with_name(f"{path.name}.lock")
    with lock.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BatchStateError(f"Another process works on {path.name}.", "Wait for it, or end it.") from error
        try:
            kept = Kept.model_validate_json(path.read_bytes()) if path.exists() else Kept(service=service)
        except ValidationError as error:
            raise BatchStateError(f"{path.name} is no state of a batch.", "Move it away to begin anew.") from error
        if kept.service != service:
            raise BatchStateError(
                f"{path.name} is of {kept.service}; this is {service}.", "Give --url, or move it away to begin anew."
            )
        yield BatchState(path, kept)


def _compare(entry: Entry, path: Path) -> None:
    """Begin anew where the file is not the one that was handed in; a copy of the same bytes is the same."""
    try:
        status = path.stat()
        is_same = (entry.size_bytes, entry.mtime_ns) == (status.st_size, status.st_mtime_ns)
        if entry.slide_id is not None and not is_same and _digest(path) != entry.sha256:
            entry.begin_anew()
    except OSError as error:
        if entry.slide_id is not None:
            # The slide is with the service; its file is not needed any more.
            return
        raise FileUnreadableError(f"{path.name} cannot be read: {error.strerror}.", "Look at its name.") from error
    entry.size_bytes, entry.mtime_ns = status.st_size, status.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
