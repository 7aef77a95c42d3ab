"""The directories of a TIFF, BigTIFF or NDPI file, walked in pure Python with every claim checked against the file.

Nothing here trusts a number of the file: offsets must lie inside of it, directories may not loop, no count is believed
that the file could not hold.
"""

import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import SlideAbsurdError, SlideUnreadableError
from workers.slides.byte_file import ByteFile

ByteOrder = Literal["<", ">"]
MAX_DIRECTORIES = 1024
MAX_ENTRIES = 1024
MAX_TEXT_BYTES = 16 << 20
SUB_IFDS = 330
_NDPI_MARK = 65420
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: its values lie at `offset`, or inside of the entry where they fit."""

    kind: int
    count: int
    offset: int
    inline: bytes

    @property
    def length_bytes(self) -> int:
        """Size of the values."""
        return self.count * _TYPE_BYTES.get(self.kind, 1)


@dataclass(frozen=True)
class Directory:
    """One image file directory (IFD): a page, or a reduced image below a page."""

    offset: int
    entries: dict[int, Entry] = field(repr=False)
    is_sub: bool = False


@dataclass(frozen=True)
class Dialect:
    """How wide a file's numbers are: classic TIFF, BigTIFF, or NDPI (classic with hidden 64-bit offsets)."""

    order: ByteOrder
    offset_code: str
    count_code: str
    entry_bytes: int
    is_ndpi: bool = False

    @property
    def field_bytes(self) -> int:
        """Bytes of an entry's value field."""
        return 8 if self.entry_bytes == 20 else 4

    def number(self, code: str, data: bytes) -> int:
        """One integer."""
        return int(struct.unpack(self.order + code, data)[0])


@dataclass(frozen=True)
class TiffHeader:
    """All directories of the file in the order they were met."""

    dialect: Dialect
    directories: tuple[Directory, ...]

    @property
    def by_offset(self) -> dict[int, Directory]:
        """The directories by their offset in the file."""
        return {directory.offset: directory for directory in self.directories}


def is_tiff(start: bytes) -> bool:
    """True where the first bytes are a TIFF's or BigTIFF's."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff_header(file: ByteFile) -> TiffHeader:
    """The directories of the file, those below pages included.

    Raises
    ------
    SlideUnreadableError
        The file is no TIFF, or ends before what it points to.
    SlideAbsurdError
        Directories loop, or there are more than a slide can have.
    """
    dialect, first = _read_dialect(file)
    seen: dict[int, bool] = {}
    directories: list[Directory] = []
    waiting = [(first, False)]
    while waiting:
        offset, is_sub = waiting.pop(0)
        # Reduced images are both listed by their page and chained to each other: met twice, they are done, not a loop.
        while offset and not (is_sub and seen.get(offset, False)):
            _refuse_loop(offset, seen)
            seen[offset] = is_sub
            directory, offset = _read_directory(file, dialect, offset, is_sub)
            directories.append(directory)
            if SUB_IFDS in directory.entries:
                subs = integers(file, dialect, directory, SUB_IFDS)
                waiting.extend((int(sub), True) for sub in subs[: MAX_DIRECTORIES + 1])
    if not directories:
        raise SlideUnreadableError("The TIFF holds no image: its first directory is missing.")
    return TiffHeader(dialect, tuple(directories))


def _refuse_loop(offset: int, seen: Collection[int]) -> None:
    if offset in seen:
        raise SlideAbsurdError(f"The TIFF's directories loop: the one at byte {offset} comes twice.")
    if len(seen) >= MAX_DIRECTORIES:
        raise SlideAbsurdError(f"The TIFF has more than {MAX_DIRECTORIES} directories.")


def _read_dialect(file: ByteFile) -> tuple[Dialect, int]:
    start = file.read(0, min(16, file.size_bytes))
    if not is_tiff(start) or len(start) < 8:
        raise SlideUnreadableError("The file is no TIFF.")
    order: ByteOrder = "<" if start[:2] == b"II" else ">"
    if start[2:4] in (b"+\0", b"\0+"):
        if len(start) < 16 or struct.unpack(order + "HH", start[4:8]) != (8, 0):
            raise SlideUnreadableError("The BigTIFF header is damaged: its offsets are not 8 bytes.")
        return Dialect(order, "Q", "Q", 20), int(struct.unpack(order + "Q", start[8:16])[0])
    classic = Dialect(order, "I", "H", 12)
    first = classic.number("I", start[4:8])
    wide = int.from_bytes(start[4:12], "little")
    for candidate in {first, wide} if order == "<" and len(start) >= 12 else ():
        if _marks_ndpi(file, classic, candidate):
            return Dialect(order, "Q", "H", 12, is_ndpi=True), candidate
    return classic, first


def _marks_ndpi(file: ByteFile, dialect: Dialect, offset: int) -> bool:
    if not 8 <= offset <= file.size_bytes - 2:
        return False
    count = dialect.number("H", file.read(offset, 2))
    length = min(count, MAX_ENTRIES) * 12
    if offset + 2 + length > file.size_bytes:
        return False
    table = file.read(offset + 2, length)
    return any(dialect.number("H", table[at : at + 2]) == _NDPI_MARK for at in range(0, length, 12))


def _read_directory(file: ByteFile, dialect: Dialect, offset: int, is_sub: bool) -> tuple[Directory, int]:
    """The directory at `offset`, and the offset of the next one (0: none)."""
    count_bytes = struct.calcsize(dialect.count_code)
    count = dialect.number(dialect.count_code, file.read(offset, count_bytes))
    if not 0 < count <= MAX_ENTRIES:
        raise SlideAbsurdError(
            f"The TIFF directory at byte {offset} claims {count} entries; 1 to {MAX_ENTRIES} are sane."
        )
    at = offset + count_bytes
    table = file.read(at, count * dialect.entry_bytes)
    at += len(table)
    next_bytes = struct.calcsize(dialect.offset_code)
    following = dialect.number(dialect.offset_code, file.read(at, next_bytes))
    highs = file.read(at + next_bytes, 4 * count) if dialect.is_ndpi else bytes(4 * count)
    entries: dict[int, Entry] = {}
    for i in range(count):
        raw = table[i * dialect.entry_bytes : (i + 1) * dialect.entry_bytes]
        tag, entry = _read_entry(dialect, raw, highs[4 * i : 4 * i + 4])
        entries.setdefault(tag, entry)
    return Directory(offset, entries, is_sub), following


def _read_entry(dialect: Dialect, raw: bytes, high: bytes) -> tuple[int, Entry]:
    tag, kind = struct.unpack(dialect.order + "HH", raw[:4])
    wide = dialect.field_bytes == 8
    count = dialect.number("Q" if wide else "I", raw[4 : 12 if wide else 8])
    value = raw[12:] if wide else raw[8:]
    offset = dialect.number("Q" if wide else "I", value) | int.from_bytes(high, "little") << 32
    if dialect.is_ndpi and kind == 4 and count == 1 and any(high):
        return tag, Entry(16, 1, 0, value + high)
    fits = count * _TYPE_BYTES.get(kind, 1) <= dialect.field_bytes
    return tag, Entry(kind, count, offset, value if fits else b"")


def raw_values(file: ByteFile, directory: Directory, tag: int, limit_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """The bytes of a tag's values; empty where the directory has no such tag.

    Raises
    ------
    SlideAbsurdError
        More than `limit_bytes` are claimed.
    SlideUnreadableError
        They lie beyond the end of the file.
    """
    entry = directory.entries.get(tag)
    if entry is None or entry.count == 0:
        return b""
    if entry.length_bytes > limit_bytes:
        raise SlideAbsurdError(f"TIFF tag {tag} claims {entry.length_bytes} bytes; {limit_bytes} is the limit.")
    if entry.inline:
        return entry.inline[: entry.length_bytes]
    return file.read(entry.offset, entry.length_bytes)


def integers(
    file: ByteFile, dialect: Dialect, directory: Directory, tag: int, limit_bytes: int = MAX_TEXT_BYTES
) -> NDArray[Any]:
    """The unsigned integers of a tag, empty where it is absent.

    Raises
    ------
    SlideUnreadableError
        The tag holds something else than unsigned integers, or lies beyond the end of the file.
    SlideAbsurdError
        More than `limit_bytes` are claimed.
    """
    data = raw_values(file, directory, tag, limit_bytes)
    if not data:
        return np.empty(0, np.uint64)
    kind = _INTEGERS.get(directory.entries[tag].kind)
    if kind is None:
        raise SlideUnreadableError(
            f"TIFF tag {tag} should hold whole numbers, it holds type {directory.entries[tag].kind}."
        )
    return np.frombuffer(data, dialect.order + kind)


def text(file: ByteFile, directory: Directory, tag: int) -> str:
    """The text of a tag, decoded leniently; empty where it is absent."""
    return raw_values(file, directory, tag).split(b"\0", 1)[0].decode("utf-8", "replace")
