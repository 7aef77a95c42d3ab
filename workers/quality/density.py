"""Optical density of pictures, and the strips in which whole pictures are looked at."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

STRIP_ROWS = 512
MARGIN_ROWS = 16
"""At least the reach of every filter that is run on a strip: four sigma of 3 px and of 0.7 px, rounded up."""


def densities(rgb: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Optical density of red, green and blue, float32 (H, W) each: 0 is white, 1 a tenth of the light.

    References
    ----------
    Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, 2001 (PMID 11531144).
    """
    table = -np.log10((np.arange(256, dtype=np.float32) + 1) / 256)
    return table[rgb[..., 0]], table[rgb[..., 1]], table[rgb[..., 2]]


def strips(height: int, margin_rows: int, strip_rows: int = STRIP_ROWS) -> Iterator[tuple[slice, slice, slice]]:
    """(rows of the picture, those rows with a margin, the rows within the latter), strip by strip.

    Filters that reach no further than the margin give on strips what they give on the whole picture.
    """
    for top in range(0, height, strip_rows):
        bottom = min(top + strip_rows, height)
        first, last = max(0, top - margin_rows), min(height, bottom + margin_rows)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)
