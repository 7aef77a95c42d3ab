"""A tiled pyramid written as its tiles come: flat pages in one BigTIFF, equal tiles stored once."""

import struct
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from models.errors import InternalError

TILE_PX = 256
SHORT, LONG, RATIONAL, ASCII, LONG8 = 3, 4, 5, 2, 16
_SIZES = {ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, LONG8: 8}
JPEG, DEFLATE = 7, 8
Tag = tuple[int, int, int, bytes]


@dataclass(frozen=True)
class PageStyle:
    """What all pages share."""

    compression: int
    """JPEG (7, stored as YCbCr 4:2:0) or DEFLATE (8, stored as RGB)."""
    mpp: float
    description: str
    """Of the first page."""


class PyramidFile:
    """A pyramid open for writing: tiles of any level in any order, the pages' headers at the end.

    Invariant: every offset that is kept points to bytes already written; the file becomes a TIFF only on `close`.
    """

    def __init__(self, path: Path, sizes: list[tuple[int, int]], style: PageStyle) -> None:
        self._file = path.open("wb")
        self._sizes = sizes
        self._style = style
        self._shared: dict[bytes, tuple[int, int]] = {}
        counts = [tiles_across(w) * tiles_across(h) for w, h in sizes]
        self._offsets = [array("Q", bytes(8 * n)) for n in counts]
        self._lengths = [array("Q", bytes(8 * n)) for n in counts]
        self._file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        self._end = 16

    def write_tile(self, level: int, column: int, row: int, data: bytes, shared: bool = False) -> None:
        """Store one encoded tile. `shared` ones (bare glass) are written once and pointed to from everywhere."""
        index = row * tiles_across(self._sizes[level][0]) + column
        offset, length = self._shared.get(data, (0, 0)) if shared else (0, 0)
        if not offset:
            offset, length = self._append(data), len(data)
            if shared:
                self._shared[data] = (offset, length)
        self._offsets[level][index], self._lengths[level][index] = offset, length

    def close(self, thumbnail: bytes, size: tuple[int, int]) -> None:
        """Write the pages and make the file a TIFF; the second page is the thumbnail, as in Aperio's files.

        Raises
        ------
        InternalError
            A tile was never written.
        """
        missing = sum(lengths.count(0) for lengths in self._lengths)
        if missing:
            self._file.close()
            raise InternalError(f"{missing} tiles of the pyramid were not written.")
        pages = [self._level_tags(level) for level in range(len(self._sizes))]
        pages.insert(1, self._thumbnail_tags(thumbnail, size))
        link = 8
        for tags in pages:
            start = self._write_page(tags)
            self._patch(link, start)
            link = self._end - 8
        self._file.close()

    def abandon(self) -> None:
        """Close the file without making it a TIFF."""
        self._file.close()

    def _append(self, data: bytes) -> int:
        start = self._end
        self._file.write(data)
        self._end += len(data)
        return start

    def _patch(self, at: int, value: int) -> None:
        self._file.seek(at)
        self._file.write(struct.pack("<Q", value))
        self._file.seek(self._end)

    def _write_page(self, tags: list[Tag]) -> int:
        """The start of the page; its last eight bytes are the link to the next."""
        packed = []
        for code, kind, count, value in sorted(tags):
            place = value.ljust(8, b"\0") if len(value) <= 8 else struct.pack("<Q", self._append(value))
            packed.append(struct.pack("<HHQ", code, kind, count) + place)
        self._append(bytes(-self._end % 8))
        return self._append(struct.pack("<Q", len(packed)) + b"".join(packed) + bytes(8))

    def _level_tags(self, level: int) -> list[Tag]:
        width, height = self._sizes[level]
        offsets, lengths = self._offsets[level], self._lengths[level]
        text = self._style.description if level == 0 else f"Reduced {width}x{height}"
        return [
            *self._image_tags(width, height, text),
            _numbers(322, SHORT, TILE_PX),
            _numbers(323, SHORT, TILE_PX),
            (324, LONG8, len(offsets), offsets.tobytes()),
            (325, LONG8, len(lengths), lengths.tobytes()),
        ]

    def _thumbnail_tags(self, thumbnail: bytes, size: tuple[int, int]) -> list[Tag]:
        return [
            *self._image_tags(*size, f"Thumbnail {size[0]}x{size[1]}"),
            _numbers(273, LONG8, self._append(thumbnail)),
            _numbers(278, LONG, size[1]),
            _numbers(279, LONG8, len(thumbnail)),
        ]

    def _image_tags(self, width: int, height: int, text: str) -> list[Tag]:
        jpeg = self._style.compression == JPEG
        mpp = self._style.mpp * self._sizes[0][0] / width
        tags = [
            _numbers(254, LONG, 0),
            _numbers(256, LONG, width),
            _numbers(257, LONG, height),
            _numbers(258, SHORT, 8, 8, 8),
            _numbers(259, SHORT, self._style.compression),
            _numbers(262, SHORT, 6 if jpeg else 2),
            _text(270, text),
            _numbers(277, SHORT, 3),
            _per_cm(282, mpp),
            _per_cm(283, mpp),
            _numbers(284, SHORT, 1),
            _numbers(296, SHORT, 3),
            _text(305, "histoserve phantom"),
        ]
        return [*tags, _numbers(530, SHORT, 2, 2)] if jpeg else tags


def tiles_across(size_px: int) -> int:
    """Tiles that a side of so many pixels needs."""
    return -(-size_px // TILE_PX)


def _numbers(code: int, kind: int, *values: int) -> Tag:
    letter = {SHORT: "H", LONG: "I", LONG8: "Q"}[kind]
    return code, kind, len(values), struct.pack(f"<{len(values)}{letter}", *values)


def _text(code: int, text: str) -> Tag:
    data = text.encode("ascii", "replace") + b"\0"
    return code, ASCII, len(data), data


def _per_cm(code: int, mpp: float) -> Tag:
    ratio = Fraction(10_000 / mpp).limit_denominator(100_000)
    return code, RATIONAL, 1, struct.pack("<II", ratio.numerator, ratio.denominator)
