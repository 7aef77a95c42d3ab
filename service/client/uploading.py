"""Resumable uploads: tus 1.0, in pieces, whatever happens to the connection, the service or this process."""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import httpx

from models.errors import RefusedInputError
from service.client.calls import IDEMPOTENCY, Calls, away, may_mend, told_pause_s
from service.client.errors import FileChangedError, FileUnreadableError, error_of_answer
from service.client.remembered import Remembered

PIECE_BYTES = 8 << 20
TUS = {"Tus-Resumable": "1.0.0"}
GO_ON = frozenset({409, 423})
"""Answers to a piece after which the offset is asked for again: another one than we thought, or held by a request of
ours that the service has not given up yet."""

NO_LONGER_THERE = frozenset({"http-404", "http-410"})
"""An answer to HEAD has no body, so its status is all that tells."""

Report = Callable[[int, int], None]
"""Told of the bytes that are done, and of how many there are."""


@dataclass(frozen=True)
class Uploaded:
    """An upload that is complete, and the digest of the bytes that were read here."""

    id: str
    sha256: str
    size_bytes: int
    filename: str


class Source:
    """A file that is read in pieces, with the digest of all that was read so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; what lies before and was not read yet is read for the digest."""
        while self._hashed_bytes < offset:
            self._take(self._hashed_bytes, min(PIECE_BYTES, offset - self._hashed_bytes))
        return self._take(offset, size)

    def digest(self, size: int) -> str:
        """The SHA-256 of the first `size` bytes, which is all of the file."""
        self.read(size, 0)
        return self._hash.hexdigest()

    def _take(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise FileChangedError(f"The file has {offset + len(data)} bytes now; it had more.", "Send it again.")
        fresh = offset + size - self._hashed_bytes
        if fresh > 0:
            self._hash.update(data[-fresh:])
            self._hashed_bytes += fresh
        return data


def send_file(calls: Calls, path: Path, memory: Remembered, report: Report) -> Uploaded:
    """The complete upload of a file; one that was begun before is gone on with.

    Raises
    ------
    RefusedInputError
        The file cannot be read, changed meanwhile, or is not taken.
    ServiceAwayError
        The service did not answer for a long time; the same call goes on where it was.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileUnreadableError(f"{path.name} cannot be read: {error.strerror}.") from error
    with file:
        before = os.fstat(file.fileno())
        size = before.st_size
        upload_id, offset = _find(calls, memory, size) or (_begin(calls, path.name, size), 0)
        memory.keep(upload_id)
        source = Source(file)
        _send(calls, upload_id, source, (offset, size), report)
        digest = source.digest(size)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        memory.forget()
        raise FileChangedError(f"{path.name} changed while it was sent.", "Send it again when nobody writes to it.")
    return Uploaded(upload_id, digest, size, path.name)


def _find(calls: Calls, memory: Remembered, size: int) -> tuple[str, int] | None:
    """The upload that was begun before and its offset, where it is still there and of the same length."""
    upload_id = memory.upload_id
    if upload_id is None:
        return None
    try:
        answer = calls.send("HEAD", f"/v1/uploads/{upload_id}", TUS)
    except RefusedInputError as error:
        if error.slug not in NO_LONGER_THERE:
            raise
        memory.forget()
        return None
    if answer.headers.get("Upload-Length") != str(size):
        memory.forget()
        return None
    return upload_id, int(answer.headers["Upload-Offset"])


def _begin(calls: Calls, name: str, size: int) -> str:
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata, IDEMPOTENCY: uuid4().hex}
    answer = calls.send("POST", "/v1/uploads", headers)
    return answer.headers["Location"].rsplit("/", 1)[1]


def _send(calls: Calls, upload_id: str, source: Source, span: tuple[int, int], report: Report) -> None:
    """Send what is missing. Failures are counted anew whenever bytes have arrived."""
    (offset, size), failures = span, 0
    report(offset, size)
    while offset < size:
        data = source.read(offset, min(PIECE_BYTES, size - offset))
        try:
            arrived = _send_piece(calls, upload_id, offset, data, failures + 1)
        except _GoneOnError:
            failures += 1
            arrived = _ask(calls, upload_id)
        if arrived > offset:
            failures = 0
        offset = arrived
        report(offset, size)


class _GoneOnError(Exception):
    """The piece may or may not have arrived: the offset tells."""


def _send_piece(calls: Calls, upload_id: str, offset: int, data: bytes, failures: int) -> int:
    """The offset after a piece; `_GoneOnError` after a pause where that is not known."""
    headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    try:
        answer = calls.http.patch(f"/v1/uploads/{upload_id}", content=data, headers=headers)
    except httpx.TransportError as error:
        calls.rest(failures, None, away(calls.place, error))
        raise _GoneOnError from error
    if answer.status_code < 400:
        return int(answer.headers["Upload-Offset"])
    if answer.status_code in GO_ON or may_mend(answer):
        calls.rest(failures, told_pause_s(answer), error_of_answer(answer))
        raise _GoneOnError
    raise error_of_answer(answer)


def _ask(calls: Calls, upload_id: str) -> int:
    return int(calls.send("HEAD", f"/v1/uploads/{upload_id}", TUS).headers["Upload-Offset"])
