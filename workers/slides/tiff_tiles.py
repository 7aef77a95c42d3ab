"""The decoded tiles of one TIFF level, straight from the file."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from models.errors import SlideUnreadableError
from workers.slides.byte_file import ByteFile
from workers.slides.codecs import Decode, make_decoder
from workers.slides.slide import RGB
from workers.slides.tiff_layout import Layout

DECODE_FAILURES = (ValueError, RuntimeError, TypeError, OverflowError)
"""What imagecodecs raises on damaged data, beside our own checks."""


T = TypeVar("T")


class TiffTiles:
    """Decodes tile `number` of a level. A tile without data is None; a damaged one raises, with its place."""

    def __init__(self, file: ByteFile, layout: Layout, level: int) -> None:
        self._file = file
        self._layout = layout
        self._level = level
        self._columns = -(-layout.width_px // layout.segment_width_px)
        self._rows = -(-layout.height_px // layout.segment_height_px)
        held = int(np.flatnonzero(layout.counts)[0])
        self._decode: Decode = self._guarded(held, lambda: make_decoder(layout, self._encoded(held)))

    def __call__(self, number: int) -> RGB | None:
        """The pixels of a tile, at its stored size.

        Raises
        ------
        SlideUnreadableError
            It cannot be decoded.
        """
        layout = self._layout
        height_px = self._height_of(number)
        if not layout.planar:
            return self._segment(number, number, height_px)
        plane = layout.segments_per_plane
        parts = [self._segment(number, number + i * plane, height_px) for i in range(3)]
        held = [part for part in parts if part is not None]
        return np.concatenate(held, axis=2) if len(held) == 3 else None

    def _height_of(self, number: int) -> int:
        """A tile is stored whole; the last strip has the rows that are left."""
        layout = self._layout
        if layout.tiled:
            return layout.segment_height_px
        return min(layout.segment_height_px, layout.height_px - number // self._columns * layout.segment_height_px)

    def _segment(self, number: int, segment: int, height_px: int) -> RGB | None:
        if self._layout.counts[segment] == 0:
            return None
        data = self._encoded(segment)
        return self._guarded(number, lambda: self._decode(data, height_px, self._layout.segment_width_px))

    def _encoded(self, segment: int) -> bytes:
        return self._file.read(int(self._layout.offsets[segment]), int(self._layout.counts[segment]))

    def _guarded(self, number: int, work: Callable[[], T]) -> T:
        try:
            return work()
        except DECODE_FAILURES as error:
            row, column = divmod(number % self._layout.segments_per_plane, self._columns)
            raise SlideUnreadableError(
                f"Tile {number} of level {self._level} (column {column} of {self._columns}, row {row} of {self._rows}) "
                f"cannot be decoded: {error}.",
                "The file is corrupt there: copy it again from the scanner.",
            ) from error
