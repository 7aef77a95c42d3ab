"""Masks of whole pictures: looked at in strips, with holes filled and specks dropped."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

STRIP_ROWS = 512
MARGIN_ROWS = 16
"""At least the reach of every filter that is run on a strip: four sigma of 3 px and of 0.7 px, rounded up."""


def strips(height: int) -> Iterator[tuple[slice, slice, slice]]:
    """(rows of the picture, those rows with a margin, the rows within the latter), strip by strip.

    Filters that reach no further than the margin give on strips what they give on the whole picture.
    """
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        first, last = max(0, top - MARGIN_ROWS), min(height, bottom + MARGIN_ROWS)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)


def without_specks(mask: Mask, least_px: int) -> Mask:
    """The mask without pieces of fewer than `least_px` pixels; pixels that touch at a corner only are two pieces."""
    if not mask.any():
        return mask
    pieces, _ = ndimage.label(mask)
    kept = np.bincount(pieces.ravel()) >= least_px
    kept[0] = False
    return np.asarray(kept[pieces])


def without_holes(mask: Mask, most_px: int) -> Mask:
    """The mask with holes of up to `most_px` pixels filled; what touches the picture's border is no hole."""
    if not mask.any():
        return mask
    gaps, _ = ndimage.label(~mask)
    filled = np.bincount(gaps.ravel()) <= most_px
    filled[np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False
    filled[0] = True
    return np.asarray(filled[gaps])
