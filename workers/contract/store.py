"""The store: where slides and results lie, on a local disk or in an S3-compatible bucket, through fsspec.

Keys are our own: `slides/<sha256>`, `jobs/<job>/…`. What is put is there whole or not at all, and durable when `put`
returns; a key is never written twice with different bytes, because every writer's keys hold its fencing token.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import fsspec

from workers.contract.errors import DiskFullError, StoreError
from workers.contract.settings import Settings

PIECE_BYTES = 1 << 20
NO_SPACE = (28, 122)
"""ENOSPC and EDQUOT."""


@dataclass(frozen=True, eq=False)
class Store:
    """An open store. `folder` is the root where it is a local disk, None where it is not."""

    files: Any
    root: str
    folder: Path | None

    def put(self, path: Path, key: str) -> None:
        """Put a local file at `key`. On a local disk it is linked where that is possible: do not change it afterwards.

        Raises
        ------
        DiskFullError, StoreError
            Nothing is at `key` that was not there before.
        """
        try:
            if self.folder is None:
                self.files.put_file(str(path), self._full(key))
            else:
                _put_local(path, self.folder / _safe(key))
        except OSError as error:
            raise _told(error, key) from error

    def fetch(self, key: str, path: Path) -> None:
        """Bring the file at `key` to a local path; linked where that is possible: do not change it.

        Raises
        ------
        StoreError
            There is no such file, or it cannot be read.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.folder is None:
                self.files.get_file(self._full(key), str(path))
            else:
                _link_or_copy(self.folder / _safe(key), path)
        except OSError as error:
            raise _told(error, key) from error

    def size(self, key: str) -> int:
        """Bytes of the file at `key`. Raises `StoreError` where there is none."""
        try:
            return int(self.files.size(self._full(key)))
        except OSError as error:
            raise _told(error, key) from error

    def read(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes [start, stop) of the file at `key`, a piece at a time. Raises `StoreError`."""
        try:
            with self.files.open(self._full(key), "rb") as file:
                file.seek(start)
                left = None if stop is None else stop - start
                while left is None or left > 0:
                    piece = file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
                    if not piece:
                        break
                    left = None if left is None else left - len(piece)
                    yield piece
        except OSError as error:
            raise _told(error, key) from error

    def exists(self, key: str) -> bool:
        """True where there is a file at `key`."""
        return bool(self.files.isfile(self._full(key)))

    def names(self, prefix: str) -> list[str]:
        """The keys and folders of keys right under a folder of keys."""
        try:
            found = self.files.ls(self._full(prefix), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _told(error, prefix) from error
        cut = len(self.root) + 1
        return sorted(name.rstrip("/")[cut:] for name in found if name.rstrip("/") != self._full(prefix))

    def remove(self, prefix: str) -> None:
        """Remove the file or everything under a folder of keys; what is not there is fine."""
        try:
            self.files.rm(self._full(prefix), recursive=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _told(error, prefix) from error

    def local_path(self, key: str) -> Path | None:
        """Where the file at `key` lies on this machine; None where the store is elsewhere."""
        return None if self.folder is None else self.folder / _safe(key)

    def check(self) -> None:
        """Write, read and remove a small file. Raises `StoreError` or `DiskFullError`."""
        key = f"checks/{uuid4().hex}"
        try:
            self.files.makedirs(self._full("checks"), exist_ok=True)
            self.files.pipe_file(self._full(key), b"histoserve")
            self.files.rm_file(self._full(key))
        except OSError as error:
            raise _told(error, key) from error

    def _full(self, key: str) -> str:
        return f"{self.root}/{_safe(key)}"


def open_store(settings: Settings) -> Store:
    """The store of a deployment."""
    files, root = fsspec.core.url_to_fs(settings.store, **settings.store_options)
    local = "file" in (files.protocol if isinstance(files.protocol, tuple) else (files.protocol,))
    folder = Path(root) if local else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return Store(files, root.rstrip("/"), folder)


def _safe(key: str) -> str:
    parts = PurePosixPath(key).parts
    if not parts or ".." in parts or key.startswith("/") or "\\" in key or "\0" in key:
        raise StoreError(f"{key!r} is no key of the store.")
    return key


def _put_local(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        _link_or_copy(path, unfinished)
        _sync(unfinished)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        target.unlink()
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Another disk, or a file system without links.
        shutil.copyfile(source, target)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _told(error: OSError, key: str) -> StoreError | DiskFullError:
    if error.errno in NO_SPACE:
        return DiskFullError(
            "There is no room left in the store.", "Free some space; the work goes on from where it is."
        )
    if isinstance(error, FileNotFoundError):
        return StoreError(f"The store does not hold {key}.", "`histoserve gc --verify` lists what is damaged.")
    return StoreError(f"The store failed on {key}: {type(error).__name__}.", "Look at the store's own log.")
