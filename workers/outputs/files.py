"""Files that are there whole or not at all."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replace_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends well, and leaves nothing when it does not.

    The name of the unfinished file depends on `path` alone: a run that was killed and started again leaves no litter.
    """
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file at once; when this returns, it is on the disk."""
    with replace_whole(path) as file:
        file.write(data)


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, durable where they are new."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def slide_sha256(path: Path) -> str:
    """SHA-256 of a slide's file; of a slide that is a folder, of that (`folder_sha256`)."""
    return folder_sha256(path) if path.is_dir() else file_sha256(path)


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the sorted `path sha256` lines of the files below a folder: one digest for all of them."""
    lines = "".join(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files_below(folder))
    return hashlib.sha256(lines.encode()).hexdigest()


def files_below(folder: Path) -> list[Path]:
    """The files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
