"""Boundaries of cells as DeepLIIF walks them: Moore's trace, clockwise, all cells at once."""

import numpy as np
from numpy.typing import NDArray

from workers.deepliif.cells import Labels

Ints = NDArray[np.int64]

CLOCKWISE = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)], np.int64)
"""(dx, dy) of the eight neighbours, from the right one on clockwise, y down."""
BACKWARDS = (3, 2, 1, 0, 7, 6, 5)
"""Where to look for the pixel before the first one, as places in `CLOCKWISE`: SW, S, SE, E, NE, N, NW."""


def trace_boundaries(labels: Labels, first: Ints) -> list[Ints]:
    """For each cell int64 (k, 2): x and y of its first pixel, and of the border pixels where the walk turns.

    Parameters
    ----------
    labels
        int32 (H, W): components, 8-connected and without holes; background 0.
    first
        (n,): raster-first pixel of each cell to walk around, y * W + x.

    References
    ----------
    Moore's neighbour trace; Pavlidis 1982, Algorithms for Graphics and Image Processing, chapter 7.
    """
    width = labels.shape[1] + 2
    is_cell = np.pad(labels != 0, 1).ravel()
    steps = CLOCKWISE[:, 1] * width + CLOCKWISE[:, 0]
    y, x = np.divmod(first, labels.shape[1])
    starts = (y + 1) * width + x + 1
    walked = _walk(is_cell, starts, steps)
    return [_corners(x[k], y[k], directions) for k, directions in enumerate(walked)]


def _walk(is_cell: NDArray[np.bool_], starts: Ints, steps: Ints) -> list[Ints]:
    """Directions of the steps around each cell, back to its start; none for a single pixel."""
    behind = _first_set(is_cell[starts[:, None] + steps[list(BACKWARDS)]], np.array(BACKWARDS))
    walking = np.flatnonzero(behind >= 0)
    before, here, back = starts + steps[behind], starts.copy(), behind.copy()
    turns, movers = [], []
    while len(walking):
        order = (back[walking, None] + np.arange(1, 9)) % 8
        found = is_cell[here[walking, None] + steps[order]].argmax(1)
        direction = (back[walking] + 1 + found) % 8
        turns.append(direction)
        movers.append(walking)
        previous = here[walking]
        here[walking] += steps[direction]
        back[walking] = (direction + 4) % 8
        walking = walking[(here[walking] != starts[walking]) | (previous != before[walking])]
    if not movers:
        return [np.zeros(0, np.int64) for _ in starts]
    cell, turn = np.concatenate(movers), np.concatenate(turns)
    order = np.argsort(cell, kind="stable")
    return np.split(turn[order], np.cumsum(np.bincount(cell, minlength=len(starts)))[:-1])


def _first_set(is_set: NDArray[np.bool_], names: Ints) -> Ints:
    """The name of the first true column of each row, -1 where none is."""
    found: Ints = np.where(is_set.any(1), names[is_set.argmax(1)], -1)
    return found


def _corners(x: int, y: int, directions: Ints) -> Ints:
    """The start, and the places where the direction changes."""
    start = np.array([[x, y]], np.int64)
    if not len(directions):
        return start
    places = start + np.concatenate((np.zeros((1, 2), np.int64), np.cumsum(CLOCKWISE[directions[:-1]], axis=0)))
    turned = directions != np.roll(directions, 1)
    turned[0] = True
    corners: Ints = places[turned]
    return corners
