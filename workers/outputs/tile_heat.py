"""The heat map of a tile classifier: the slide in grey, and over each analysed tile the probability of one class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.outputs.heat import ramp
from workers.outputs.picture import RGB, Caption, ColourBar, write_picture

STRENGTH = 0.65
"""Of the colour over the slide."""
STEPS = 256

Floats = NDArray[np.float64]


def write_tile_heat(
    path: Path, probabilities: Floats, thumbnail: RGB, scale: tuple[float, float], title: str, mark: Sequence[str] = ()
) -> None:
    """Write the heat map as a PNG of the thumbnail's size, with a colour bar.

    Parameters
    ----------
    probabilities
        (rows, columns): per tile, from 0 to 1; not a number where none was analysed.
    thumbnail
        uint8, (h, w, 3): all of the slide's frame.
    scale
        (tiles per px of the thumbnail, um per px of the thumbnail).
    mark
        Lines in a band above the map.
    """
    tiles_per_px, mpp = scale
    rows, columns = (
        np.minimum(((np.arange(count) + 0.5) * tiles_per_px).astype(np.int64), limit - 1)
        for count, limit in zip(thumbnail.shape[:2], probabilities.shape, strict=True)
    )
    pixels = np.repeat(thumbnail.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    is_analysed = np.isfinite(probabilities)
    colours = ramp(np.where(is_analysed, probabilities, 0)) * STRENGTH
    for y, row in enumerate(rows):
        shown = is_analysed[row, columns]
        tinted = pixels[y, shown] * (1 - STRENGTH) + colours[row, columns[shown]]
        pixels[y, shown] = np.rint(tinted).astype(np.uint8)
    write_picture(path, pixels, Caption(title, (), mpp, mark, bar=_bar()))


def _bar() -> ColourBar:
    """The colours as they are over white: those over tissue are darker."""
    colours = ramp(np.linspace(0, 1, STEPS)) * STRENGTH + 255 * (1 - STRENGTH)
    return ColourBar("probability", np.rint(colours).astype(np.uint8))
