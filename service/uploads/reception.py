"""One request's bytes on their way into an upload: written, hashed, fsynced, and only then acknowledged."""

import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.uploads.digests import RunningDigests
from service.uploads.errors import ChecksumMismatchError, UploadTooLargeError
from service.uploads.files import UploadFile, check_room
from service.uploads.headers import Checksum

PIECE_BYTES = 16 << 20
"""So many bytes at most are lost when the process is killed."""
PIECE_S = 5.0
"""And what came earlier than so long ago is not lost either."""


@dataclass(frozen=True)
class Terms:
    """What the bytes must keep to."""

    upload_id: str
    folder: Path
    limit_bytes: int
    """The upload's length where it is known, the largest that is taken where not."""
    reserve_bytes: int
    checksum: Checksum | None = None
    piece_bytes: int = PIECE_BYTES


Acknowledge = Callable[[int, str | None], None]
"""Commits an offset, with the SHA-256 of all bytes so far where it is known."""


class Reception:
    """An upload that is written to. Its methods may be called from any thread, one works at a time.

    What is acknowledged is on the disk; what is not acknowledged when it closes is cut off. With a checksum nothing is
    acknowledged before `finish` has compared it.
    """

    def __init__(
        self, file: UploadFile, terms: Terms, offset: int, digests: RunningDigests, acknowledge: Acknowledge
    ) -> None:
        """Take over the locked file, whose first `offset` bytes are acknowledged."""
        file.cut(offset)
        self._file = file
        self._terms = terms
        self._digests = digests
        self._acknowledge = acknowledge
        self._digest = digests.take(terms.upload_id, offset)
        self._kept_digest = None if self._digest is None else self._digest.copy()
        self._check = None if terms.checksum is None else terms.checksum.start()
        self._kept = self._end = offset
        self._kept_at = time.monotonic()
        self._sound = True
        self._in_doubt = False
        self._lock = threading.Lock()

    @property
    def offset(self) -> int:
        """Bytes that are acknowledged."""
        return self._kept

    def take(self, data: bytes | bytearray) -> None:
        """Write what came.

        Raises
        ------
        UploadTooLargeError
            It is more than the upload has room for.
        DiskFullError, StoreError, LedgerAwayError, StateConflictError
            Nothing that was acknowledged is lost.
        """
        with self._lock:
            self._sound, sound = False, self._sound
            if not sound:
                return
            self._write(data)
            if self._check is None and self._is_due():
                self._settle()
            self._sound = True

    def finish(self) -> int:
        """The offset, all that came being acknowledged. Raises as `take`, and `ChecksumMismatchError`."""
        with self._lock:
            self._sound = False
            self._compare()
            self._settle()
        return self._kept

    def close(self) -> None:
        """Keep what came if the request broke off, cut off what may not stay, and let others have the file."""
        with self._lock:
            try:
                if self._sound and self._check is None:
                    self._settle()
            finally:
                self._sound = False
                self._let_go()

    def _write(self, data: bytes | bytearray) -> None:
        if self._end + len(data) > self._terms.limit_bytes:
            raise UploadTooLargeError(
                f"More came than the {self._terms.limit_bytes} bytes the upload may have.", "Send the rest only."
            )
        check_room(self._terms.folder, len(data), self._terms.reserve_bytes)
        self._file.append(data)
        self._end += len(data)
        for digest in (self._digest, self._check):
            if digest is not None:
                digest.update(data)

    def _compare(self) -> None:
        checksum = self._terms.checksum
        if checksum is None or self._check is None or hmac.compare_digest(self._check.digest(), checksum.digest):
            return
        raise ChecksumMismatchError(
            f"The {checksum.algorithm} of the {self._end - self._kept} bytes that came is another.",
            "Nothing of them was kept; send them again.",
        )

    def _is_due(self) -> bool:
        return self._end - self._kept >= self._terms.piece_bytes or time.monotonic() - self._kept_at >= PIECE_S

    def _settle(self) -> None:
        self._kept_at = time.monotonic()
        if self._end == self._kept:
            return
        self._file.sync()
        self._in_doubt = True
        self._acknowledge(self._end, None if self._digest is None else self._digest.hexdigest())
        self._in_doubt = False
        self._kept = self._end
        self._kept_digest = None if self._digest is None else self._digest.copy()

    def _let_go(self) -> None:
        try:
            # A commit that failed may have happened: then the next request cuts at what the ledger says.
            if not self._in_doubt:
                self._file.cut(self._kept)
                if self._kept_digest is not None:
                    self._digests.keep(self._terms.upload_id, self._kept, self._kept_digest)
        finally:
            self._file.close()
