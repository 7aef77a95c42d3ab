"""A file read by position, so that many threads may read it at once."""

import os
from pathlib import Path
from typing import Self

from models.errors import SlideUnreadableError


class ByteFile:
    """An open file of known size. Reading is positional (`pread`): no shared cursor, no lock.

    Not memory-mapped on purpose: a file that is truncated under a mapping kills the process with SIGBUS, a short read
    is an error we can name.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SlideUnreadableError(
                f"The file could not be opened: {error.strerror}.", "Check the path and its permissions."
            ) from error
        self._open = True
        self.size_bytes = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length_bytes: int) -> bytes:
        """Exactly `length_bytes` bytes from `offset`.

        Raises
        ------
        SlideUnreadableError
            The file ends before, is closed, or its disk fails.
        """
        if not self._open:
            raise SlideUnreadableError("The slide is closed.")
        if offset < 0 or length_bytes < 0 or offset + length_bytes > self.size_bytes:
            raise SlideUnreadableError(
                f"The file is truncated: bytes {offset} to {offset + length_bytes} are needed, "
                f"it ends at {self.size_bytes}.",
                "Copy it again from the scanner and compare its size.",
            )
        try:
            data = os.pread(self._descriptor, length_bytes, offset)
        except OSError as error:
            raise SlideUnreadableError(f"Reading the file failed at byte {offset}: {error.strerror}.") from error
        if len(data) != length_bytes:
            raise SlideUnreadableError(f"The file shrank while it was read, at byte {offset + len(data)}.")
        return data

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._open:
            self._open = False
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
