"""Which pixels of a map have their centre inside of a polygon."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cover_pixels(edges: Floats, xs: Floats, ys: Floats) -> NDArray[np.bool_]:
    """bool (rows, columns): the points (x, y) that lie inside of a polygon's edges, row by row.

    The rule is that of findings: a point on a left or upper border is inside, one on a right or lower one is not. Each
    edge changes how often a row is gone around from the first point on that does not lie to its left.

    Parameters
    ----------
    edges
        (n, 4): x0, y0, x1, y1; outer rings go one way round, holes the other.
    xs, ys
        Rising.
    """
    turns = np.zeros((len(ys), len(xs) + 1), dtype=np.int32)
    uppers, lowers = np.minimum(edges[:, 1], edges[:, 3]), np.maximum(edges[:, 1], edges[:, 3])
    near = (uppers <= ys[-1]) & (lowers > ys[0]) & (np.minimum(edges[:, 0], edges[:, 2]) <= xs[-1])
    for x0, y0, x1, y1 in edges[near & (uppers < lowers)]:
        turn = -1 if y0 > y1 else 1
        # From the upper end down, whichever way the edge goes: neighbours that share it get the same number.
        (left, top), (right, bottom) = ((x1, y1), (x0, y0)) if y0 > y1 else ((x0, y0), (x1, y1))
        first, stop = np.searchsorted(ys, (top, bottom))
        crossing = left + (ys[first:stop] - top) * (right - left) / (bottom - top)
        turns[np.arange(first, stop), np.searchsorted(xs, crossing)] += turn
    return np.asarray(turns[:, :-1].cumsum(axis=1) > 0)
