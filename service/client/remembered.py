"""Uploads that were begun, remembered on this machine so that another process goes on with them.

One small file per upload in the user's cache folder, named by a digest of what is sent and where to. Whoever uploads
holds a lock on it; a second process that sends the same file at the same time finds it held and remembers nothing.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from service.client.errors import FileUnreadableError
from service.client.place import Place

ENDS_BYTES = 64 << 10


def cache_folder() -> Path:
    """The user's folder for what may be lost: `$XDG_CACHE_HOME/histoserve`, `~/.cache/histoserve`."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "histoserve"


def identity(path: Path, place: Place) -> str:
    """A digest of a file as it is now (place, size, time of change, first and last bytes), the service and the key.

    Raises
    ------
    FileUnreadableError
        There is no such file, or it may not be read.
    """
    try:
        status = path.stat()
        with path.open("rb") as file:
            first = file.read(ENDS_BYTES)
            file.seek(max(0, status.st_size - ENDS_BYTES))
            last = file.read(ENDS_BYTES)
    except IsADirectoryError as error:
        raise FileUnreadableError(
            f"{path.name} is a folder; one file is sent at a time.", "Register a folder of DICOM files by reference."
        ) from error
    except OSError as error:
        raise FileUnreadableError(f"{path.name} cannot be read: {error.strerror}.", "Look at its name.") from error
    parts = [str(path.absolute()), str(status.st_size), str(status.st_mtime_ns), place.url, place.key]
    digests = [hashlib.sha256(part).hexdigest() for part in (first, last)]
    return hashlib.sha256(json.dumps(parts + digests).encode()).hexdigest()


class Remembered:
    """What is remembered of one upload; nothing where its file could not be had."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    @property
    def upload_id(self) -> str | None:
        """The upload that was begun, if one was."""
        if self._file is None:
            return None
        self._file.seek(0)
        try:
            document = json.loads(self._file.read())
        except ValueError:
            return None
        found = document.get("upload_id") if isinstance(document, dict) else None
        return found if isinstance(found, str) else None

    def keep(self, upload_id: str) -> None:
        """Remember an upload from now on."""
        self._write(json.dumps({"upload_id": upload_id}))

    def forget(self) -> None:
        """Remember nothing any more."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text)
            self._file.flush()


@contextmanager
def remember(name: str, folder: Path | None = None) -> Iterator[Remembered]:
    """What is remembered under a name, held until the block ends; an empty memory where another process holds it."""
    path = (folder or cache_folder() / "uploads") / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("a+")
    except OSError:
        # A cache that cannot be written is no reason not to upload.
        yield Remembered(None)
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Remembered(None)
            return
        held = Remembered(file)
        try:
            yield held
        finally:
            if held.upload_id is None:
                path.unlink(missing_ok=True)
