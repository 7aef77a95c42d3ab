"""The file of an upload: held by one request, cut to what is acknowledged, written, fsynced."""

import errno
import fcntl
import os
from pathlib import Path

from models.errors import IntegrityError
from service.uploads.errors import UploadLockedError
from workers.contract.errors import DiskFullError, StoreError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MODE = 0o600


class UploadFile:
    """An open file of an upload that nobody else writes to while it is open.

    It knows nothing of what was acknowledged: `cut` says where the bytes end that count, everything behind is rubbish
    of a request that died.
    """

    def __init__(self, folder: Path, upload_id: str) -> None:
        """Open and lock; the file is made where there is none. Raises `UploadLockedError`."""
        self._folder = folder
        self._in_folder = False
        try:
            self._file = os.open(folder / upload_id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise _told(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise UploadLockedError(
                "Another request writes to this upload.", "Wait for its end; then ask for the offset again."
            ) from error

    def cut(self, offset: int) -> None:
        """Let the file end at `offset`, where the next byte goes.

        Raises
        ------
        IntegrityError
            Bytes that were acknowledged are not there.
        """
        size = os.fstat(self._file).st_size
        if size < offset:
            raise IntegrityError(
                f"{offset} bytes of the upload were acknowledged and {size} are there.", "Begin a new upload."
            )
        os.ftruncate(self._file, offset)
        os.lseek(self._file, offset, os.SEEK_SET)

    def append(self, data: bytes | bytearray) -> None:
        """Write all of `data`. Raises `DiskFullError` or `StoreError`; some of it may be in the file then."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise _told(error) from error

    def sync(self) -> None:
        """Return when all that was written is on the disk, and the file's name too. Raises as `append`."""
        try:
            os.fsync(self._file)
            if not self._in_folder:
                sync_folder(self._folder)
                self._in_folder = True
        except OSError as error:
            raise _told(error) from error

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def check_room(folder: Path, needed_bytes: int, reserve_bytes: int) -> None:
    """Raise `DiskFullError` where the disk has not `needed_bytes` and the reserve."""
    free = free_bytes(folder)
    if free < needed_bytes + reserve_bytes:
        raise DiskFullError(
            f"The service's disk has no room for {needed_bytes} bytes.",
            "Free some space, or wait until other uploads are done; then go on from the offset.",
        )


def _told(error: OSError) -> DiskFullError | StoreError:
    if error.errno in NO_ROOM:
        return DiskFullError(
            "There is no room left on the service's disk.", "Free some space, then go on from the offset."
        )
    return StoreError(f"The disk failed: {type(error).__name__}.", "Look at the machine's own log.")
