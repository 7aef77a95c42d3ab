"""The heat map of a ratio: the slide in grey, and over its tissue the positive part of the area around each place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.measures.lattice import ANALYSED, NEGATIVE, POSITIVE, Lattice
from workers.outputs.colours import HEAT_STOPS
from workers.outputs.picture import RGB, Caption, Colour, write_picture

WINDOW = 5
"""The ratio at a square is that of so many squares by so many around it."""
MIN_UM2 = 200.0
"""Positive and negative area of a window; below that of a few nuclei a ratio says nothing and is not shown."""
SHADE = 0.6
"""How far the slide's own darkness shows in the colours."""
MIN_TISSUE = 0.5
"""The part of a square that must be tissue."""
NOTHING = (190, 214, 238)
"""The colour of no positive area at all: on the usual ramp it is the white of bare glass."""
LEGEND = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Heat:
    """What a heat map shows: sums of squares."""

    sums: NDArray[np.int64]
    """(3, rows, columns) of a `Tally`."""
    lattice: Lattice
    mpp: float
    """Of the map that was counted."""


def window_ratios(heat: Heat) -> Floats:
    """(rows, columns): S_pos / (S_pos + S_neg) of the window around each square.

    Not a number where the square holds little tissue, or its window little positive and negative area.
    """
    held = [_window_sums(heat.sums[plane]) for plane in (POSITIVE, NEGATIVE)]
    both = held[0] + held[1]
    full_px = heat.lattice.width_px * heat.lattice.height_px
    shown = (heat.sums[ANALYSED] >= MIN_TISSUE * full_px) & (both * heat.mpp**2 >= MIN_UM2)
    return np.where(shown, held[0] / np.maximum(both, 1), np.nan)


def write_heat(path: Path, heat: Heat, thumbnail: RGB, mpp: float, title: str, mark: Sequence[str] = ()) -> None:
    """Write the heat map as a PNG of the thumbnail's size.

    Parameters
    ----------
    thumbnail
        uint8, (h, w, 3): all of the slide's frame, at `mpp`.
    mark
        Lines in a band above the map.
    """
    ratios = window_ratios(heat)
    rows, columns = (
        np.minimum(((np.arange(count) + 0.5) * mpp / heat.mpp / step).astype(np.int64), limit - 1)
        for count, step, limit in zip(
            thumbnail.shape[:2], (heat.lattice.height_px, heat.lattice.width_px), ratios.shape, strict=True
        )
    )
    pixels = np.repeat(thumbnail.mean(axis=2).astype(np.uint8)[..., None], 3, axis=2)
    # Row by row: in floats the whole picture would be eight times its size.
    for y, row in enumerate(rows):
        values = ratios[row, columns]
        shown = np.isfinite(values)
        shade = 1 - SHADE + SHADE * pixels[y, shown] / 255
        pixels[y, shown] = np.rint(ramp(values[shown]) * shade).astype(np.uint8)
    write_picture(path, pixels, Caption(title, _legend(), mpp, mark))


def ramp(values: Floats) -> Floats:
    """(n, 3): the colours of ratios from 0 to 1."""
    stops = ((0, NOTHING), *HEAT_STOPS[1:])
    places = [place / 255 for place, _ in stops]
    return np.stack([np.interp(values, places, [colour[i] for _, colour in stops]) for i in range(3)], axis=-1)


def _legend() -> Sequence[tuple[str, Colour]]:
    entries = []
    for value, colour in zip(LEGEND, ramp(np.array(LEGEND)), strict=True):
        red, green, blue = (round(part) for part in colour.tolist())
        entries.append((f"R_pos {value:g}" if value == LEGEND[0] else f"{value:g}", (red, green, blue)))
    return entries


def _window_sums(plane: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of the window around each square; squares outside hold nothing."""
    reach = WINDOW // 2
    table = np.pad(plane, ((reach + 1, reach), (reach + 1, reach))).cumsum(axis=0).cumsum(axis=1)
    sums: NDArray[np.int64] = (
        table[WINDOW:, WINDOW:] - table[:-WINDOW, WINDOW:] - table[WINDOW:, :-WINDOW] + table[:-WINDOW, :-WINDOW]
    )
    return sums
