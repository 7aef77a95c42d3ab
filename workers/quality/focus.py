"""Whether the slide is sharp, on a sample of its tissue.

The measure is the part of a square's gradient energy that is left after a fine blur takes it away: out of focus there
was nothing fine to take. Being a ratio of energies of the same square, it does not depend on contrast or stain
strength.

References
----------
Crete et al., The blur effect: perception and estimation with a new no-reference perceptual blur metric, 2007,
doi:10.1117/12.702790 (the idea of comparing an image with its re-blurred self).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.geometry import Box
from workers.quality.masks import Mask
from workers.quality.tissue import TissueMask
from workers.slides import Slide
from workers.slides.slide import SlideInfo

FOCUS_MPP = 0.5
MAX_FOCUS_MPP = 1.1
"""What is blurred at a finer resolution may look sharp at a coarser one: coarser slides are not judged."""
SQUARE_PX = 256
MAX_SQUARES = 48
MIN_SIDE_PX = 64
"""Less than this of a square, at the border of the slide, says too little."""
SHARP = 0.36
"""Squares at least this sharp are in focus. 145 real slides and regions have medians of 0.32-0.95 as they are
and of 0.14-0.41 blurred with a sigma of 0.75 um (1.5 px); the exceptions to the threshold are in docs/quality.md."""
BLURRED = 0.30
"""Squares below this are blurred, and no doubt: none of 357 squares of those slides and regions is, the least sharp is
0.315; of phantoms under a sigma of 3 px of 0.25 um all are (0.12-0.28)."""
MIN_FILLED = 0.2
"""Part of a square that is tissue; only where no square has that much do emptier ones count."""
MIN_CONTRAST = 4.0
"""Grey levels; a flatter square says nothing."""


@dataclass(frozen=True)
class FocusSquare:
    """One sampled square, in level-0 px, and its sharpness."""

    box: Box
    sharpness: float


@dataclass(frozen=True)
class FocusReport:
    """The sampled squares and what they say together."""

    squares: tuple[FocusSquare, ...]
    mpp: float

    @property
    def in_focus(self) -> float | None:
        """Part of the squares that are sharp; None where none could be judged."""
        return float(np.mean([square.sharpness >= SHARP for square in self.squares])) if self.squares else None

    @property
    def blurred(self) -> float | None:
        """Part of the squares that are blurred beyond doubt; None where none could be judged."""
        return float(np.mean([square.sharpness < BLURRED for square in self.squares])) if self.squares else None

    @property
    def median(self) -> float | None:
        """Median sharpness."""
        return float(np.median([square.sharpness for square in self.squares])) if self.squares else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "in_focus": None if self.in_focus is None else round(self.in_focus, 4),
            "blurred": None if self.blurred is None else round(self.blurred, 4),
            "median_sharpness": None if self.median is None else round(self.median, 4),
            "squares": len(self.squares),
            "threshold": SHARP,
            "blurred_threshold": BLURRED,
            "mpp": self.mpp,
        }


def estimate_focus(slide: Slide, tissue: TissueMask) -> FocusReport:
    """The focus of up to `MAX_SQUARES` squares spread over the tissue, at 0.5 um/px or the finest level."""
    mpp = max(FOCUS_MPP, slide.info.mpp)
    if mpp > MAX_FOCUS_MPP:
        return FocusReport((), mpp)
    squares = []
    scanned = _scanned(slide.info, mpp)
    for square in sample_squares(tissue, mpp):
        box = square.intersect(scanned)
        if min(box.width, box.height) < MIN_SIDE_PX:
            continue
        grey = slide.read(box, mpp).astype(np.float32).mean(axis=2)
        if grey.std() >= MIN_CONTRAST:
            squares.append(FocusSquare(_to_level0(box, mpp / slide.info.mpp), sharpness(grey)))
    return FocusReport(tuple(squares), mpp)


def _scanned(info: SlideInfo, mpp: float) -> Box:
    """Whole pixels at `mpp` within the scanned part: its border to white is sharp however blurred the tissue."""
    scale, bounds = mpp / info.mpp, info.bounds
    left, top = math.ceil(bounds.x / scale), math.ceil(bounds.y / scale)
    return Box(left, top, math.floor(bounds.right / scale) - left, math.floor(bounds.bottom / scale) - top)


def sharpness(grey: NDArray[np.float32]) -> float:
    """0 (nothing fine) to 1 (all of it fine) of a grey image (h, w)."""
    blurred = ndimage.gaussian_filter(grey, 1.0)
    before, after = (_gradient_energy(image) for image in (grey, blurred))
    return float(max(0.0, 1 - after / before)) if before > 0 else 0.0


def _gradient_energy(grey: NDArray[np.float32]) -> float:
    # Inside a margin: the blur sees no neighbours at the rim.
    inner = grey[4:-4, 4:-4]
    return float((np.diff(inner, axis=0) ** 2).sum() + (np.diff(inner, axis=1) ** 2).sum())


def sample_squares(tissue: TissueMask, mpp: float) -> list[Box]:
    """Up to `MAX_SQUARES` boxes in px at `mpp` that never cover each other, spread over the tissue, in reading order.

    The slide is cut into squares; of each block of so and so many squares the one with most tissue is taken.
    """
    pitch = SQUARE_PX * mpp / tissue.mpp
    filled = _filled(tissue.mask, pitch)
    well = filled >= MIN_FILLED * pitch**2
    filled = np.where(well, filled, 0) if well.any() else filled
    side = 1
    while len(chosen := _best_of_blocks(filled, side)) > MAX_SQUARES:
        side += 1
    return [Box(column * SQUARE_PX, row * SQUARE_PX, SQUARE_PX, SQUARE_PX) for row, column in chosen]


def _filled(mask: Mask, pitch: float) -> NDArray[np.int64]:
    """Tissue pixels of each square of `pitch` mask pixels; a mask pixel belongs to the square that holds its centre."""
    shape = tuple(max(1, math.ceil(side / pitch)) for side in mask.shape)
    rows, columns = (((index + 0.5) / pitch).astype(np.int64) for index in np.nonzero(mask))
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _best_of_blocks(filled: NDArray[np.int64], side: int) -> list[tuple[int, int]]:
    """(row, column) of the fullest square of each block of `side` x `side` squares that has any tissue."""
    best = []
    for top in range(0, filled.shape[0], side):
        for left in range(0, filled.shape[1], side):
            block = filled[top : top + side, left : left + side]
            if block.any():
                row, column = divmod(int(block.argmax()), block.shape[1])
                best.append((top + row, left + column))
    return best


def _to_level0(box: Box, scale: float) -> Box:
    return Box(*(round(value * scale) for value in (box.x, box.y, box.width, box.height)))
