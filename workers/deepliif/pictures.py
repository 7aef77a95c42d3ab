"""DeepLIIF's two pictures of a result: borders over the stained image, and the mask redrawn."""

import numpy as np
from numpy.typing import NDArray

from workers.deepliif.cells import Cells, Labels
from workers.deepliif.scoring import Score

Bytes = NDArray[np.uint8]

POSITIVE_BORDER, NEGATIVE_BORDER = 1, 2
GROWTHS = 2
"""How often a border is made one pixel wider."""
BAND_ROWS = 256
NOBODY = np.int32(np.iinfo(np.int32).max)


def draw_borders(labels: Labels, cells: Cells, score: Score) -> Bytes:
    """uint8 (H, W): 1 on the border of a positive cell, 2 on that of a negative one, 0 elsewhere.

    Borders lie around a cell, on background, and on the cell's raster-first pixel. Cells that do not count have none,
    and nothing is drawn on them.
    """
    border = np.zeros(labels.shape, np.uint8)
    for top in range(0, len(labels), BAND_ROWS):
        _draw_band(border, labels, cells, score, top)
    background = labels == 0
    for _ in range(GROWTHS):
        border = _grow(border, background)
    return border


def overlay(ihc: Bytes, border: Bytes) -> Bytes:
    """The stained image with red borders around positive cells and blue ones around negative cells."""
    picture = ihc.copy()
    picture[border == POSITIVE_BORDER] = (255, 0, 0)
    picture[border == NEGATIVE_BORDER] = (0, 0, 255)
    return picture


def refined(border: Bytes, labels: Labels, score: Score) -> Bytes:
    """The mask redrawn, uint8 (H, W, 3): positive cells red, negative ones blue, borders green, the rest black."""
    kinds = np.concatenate(([0], np.where(score.is_positive, 1, 2) * score.is_counted)).astype(np.uint8)
    colours = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0)], np.uint8)
    inside = kinds[labels]
    inside[border > 0] = 3
    return colours[inside]


def _draw_band(border: Bytes, labels: Labels, cells: Cells, score: Score, top: int) -> None:
    """Borders next to cells in rows `top` and following; of two cells the earlier one has the pixel."""
    height, width = labels.shape
    bottom = min(height, top + BAND_ROWS)
    above, below = max(0, top - 1), min(height, bottom + 1)
    numbers = np.arange(1, len(cells) + 1, dtype=np.int32)
    owner = np.concatenate(([NOBODY], np.where(score.is_counted, numbers, NOBODY))).astype(np.int32)
    near = np.full((bottom - top + 2, width + 2), NOBODY)
    inner = near[above - top + 1 : below - top + 1, 1:-1]
    inner[...] = owner[labels[above:below]]
    start, stop = np.searchsorted(cells.first, (above * width, below * width))
    y, x = np.divmod(cells.first[start:stop], width)
    # A cell's first pixel does not draw on its neighbours.
    inner[y - above, x] = NOBODY
    best = np.minimum(np.minimum(near[:-2, 1:-1], near[2:, 1:-1]), np.minimum(near[1:-1, :-2], near[1:-1, 2:]))
    drawn = (labels[top:bottom] == 0) & (best != NOBODY)
    kinds = np.where(score.is_positive, POSITIVE_BORDER, NEGATIVE_BORDER).astype(np.uint8)
    border[top:bottom][drawn] = kinds[best[drawn] - 1]
    mine = score.is_counted[start:stop] & (y >= top) & (y < bottom)
    border[y[mine], x[mine]] = kinds[start:stop][mine]


def _grow(border: Bytes, background: NDArray[np.bool_]) -> Bytes:
    """Borders one pixel wider on background; a new pixel takes the class of its raster-first neighbour."""
    height, width = border.shape
    around = np.pad(border, 1)
    grown = np.zeros_like(border)
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                np.copyto(grown, around[dy : dy + height, dx : dx + width], where=grown == 0)
    grown[~background] = 0
    np.copyto(grown, border, where=border > 0)
    return grown
