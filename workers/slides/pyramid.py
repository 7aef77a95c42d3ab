"""A slide as a pyramid of levels: reads a box at any mpp from the best of them."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from models.errors import RefusedInputError, SlideUnreadableError
from workers.geometry import Box
from workers.slides.slide import RGB, Level, SlideInfo

SAME_MPP = 1e-6
"""Relative difference below which an mpp is a level's own."""
MAX_READ_PX = 1 << 28
"""Pixels one read may give: 768 MiB."""
BLOCK_PX = 640
"""Side of what is resampled at once, in level pixels."""


class LevelPixels(Protocol):
    """The pixels of one level."""

    def read(self, box: Box) -> RGB:
        """The pixels of `box` in px of the level, white outside of it."""
        ...


class PyramidSlide:
    """A slide made of levels. Implements `Slide`."""

    def __init__(self, info: SlideInfo, levels: Sequence[LevelPixels], release: Callable[[], None]) -> None:
        self._info = info
        self._levels = tuple(levels)
        self._release = release
        self._open = True

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide."""
        return self._info

    def read(self, box: Box, mpp: float) -> RGB:
        """The pixels of `box` in the frame of the slide at `mpp`; see `Slide.read`."""
        if not self._open:
            raise SlideUnreadableError("The slide is closed.")
        if mpp <= 0 or box.is_empty:
            raise ValueError(f"nothing to read: {box} at {mpp} um/px")
        if box.width * box.height > MAX_READ_PX:
            raise RefusedInputError(
                f"One read of {box.width} x {box.height} px is too large; {MAX_READ_PX} px are allowed.",
                "Read smaller boxes, or at a coarser resolution.",
            )
        level = best_level(self._info, mpp)
        scale = mpp / (self._info.mpp * level.downsample)
        pixels = self._levels[level.index]
        return pixels.read(box) if abs(scale - 1) <= SAME_MPP else _read_resampled(pixels, box, scale)

    def close(self) -> None:
        """Release the file; reading afterwards raises."""
        if self._open:
            self._open = False
            self._release()


def _read_resampled(pixels: LevelPixels, box: Box, scale: float) -> RGB:
    """The box in blocks that need about 0.4 million level pixels each: memory stays small at any scale."""
    # Whoever opens a slide only to describe it does without scipy, which takes longer to load than all else here.
    from workers.slides.resample import plan_axis, resample

    widths, heights = _parts(box.width, scale), _parts(box.height, scale)
    columns = [plan_axis(box.x + x, width, scale) for x, width in widths]
    out = np.empty((box.height, box.width, 3), np.uint8)
    for y, height in heights:
        rows = plan_axis(box.y + y, height, scale)
        for (x, width), across in zip(widths, columns, strict=True):
            source = pixels.read(Box(across.start, rows.start, across.length, rows.length))
            out[y : y + height, x : x + width] = resample(source, rows, across)
    return out


def _parts(length_px: int, scale: float) -> list[tuple[int, int]]:
    """Start and length of equal parts of a side, none of which needs more than about BLOCK_PX level pixels."""
    count = min(length_px, math.ceil(length_px * max(scale, 1.0) / BLOCK_PX))
    edges = [length_px * i // count for i in range(count + 1)]
    return [(start, stop - start) for start, stop in itertools.pairwise(edges)]


def best_level(info: SlideInfo, mpp: float) -> Level:
    """The coarsest level that is not coarser than `mpp`; the finest where all are."""
    fine_enough = [level for level in info.levels if info.mpp * level.downsample <= mpp * (1 + SAME_MPP)]
    return max(fine_enough, key=lambda level: level.downsample) if fine_enough else info.levels[0]


def level_downsample(full_px: tuple[int, int], level_px: tuple[int, int]) -> float:
    """Level-0 pixels per level pixel: the whole number scanners mean where the sizes allow it, else the mean ratio.

    Levels are cut to whole pixels, so the ratio of the sizes (4443 / 2221 = 2.0005) is not the factor (2) the pixels
    were made with; used as if it were, it would move the far end of a slide by a pixel.
    """
    ratio = (full_px[0] / level_px[0] + full_px[1] / level_px[1]) / 2
    factor = round(ratio)
    exact = all(abs(full / factor - part) < 1 for full, part in zip(full_px, level_px, strict=True))
    return float(factor) if exact and abs(ratio / factor - 1) < 0.05 else ratio
