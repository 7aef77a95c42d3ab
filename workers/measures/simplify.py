"""Outlines with fewer points that stay simple.

A point goes where the triangle it makes with its neighbours is no larger than half a pixel, smallest first
(Visvalingam and Whyatt's measure). A triangle of half a pixel between pixel corners holds no other pixel corner (Pick's
theorem), so nothing of the outline can lie inside: an outline that did not touch itself still does not.

References
----------
Visvalingam M, Whyatt JD. Line generalisation by repeated elimination of points. doi:10.1179/000870493786962263
"""

import numpy as np
from numpy.typing import NDArray

from workers.measures.pixels import Ints

LIMIT = 1
"""Twice the largest triangle that is given up, px2."""
MIN_POINTS = 8
"""Outlines with fewer points are left alone, so that at least half of these remain."""
MAX_PASSES = 12


def simplify(starts: Ints, points: NDArray[np.int32]) -> tuple[Ints, NDArray[np.int32]]:
    """(starts, points) of the same rings with fewer points; the first point's ring order is kept."""
    for _ in range(MAX_PASSES):
        stays = ~_removable(starts, points)
        if stays.all():
            break
        kept = np.concatenate(([0], np.cumsum(stays)))
        starts, points = kept[starts], points[stays]
    return starts, points


def _removable(starts: Ints, points: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Points whose triangle is small and smaller than those of both neighbours; never two in a row."""
    before, after = _neighbours(starts, len(points))
    xs, ys = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    twice = np.abs((xs - xs[before]) * (ys[after] - ys[before]) - (ys - ys[before]) * (xs[after] - xs[before]))
    lengths = np.diff(starts)
    place = np.arange(len(points)) - np.repeat(starts[:-1], lengths)
    # Of equal ones every second goes, so that a staircase becomes a slope in one pass.
    rank = 2 * twice + place % 2
    small = (twice <= LIMIT) & (np.repeat(lengths, lengths) >= MIN_POINTS)
    goes: NDArray[np.bool_] = small & (rank < rank[before]) & (rank <= rank[after])
    return goes


def _neighbours(starts: Ints, count: int) -> tuple[Ints, Ints]:
    before, after = np.arange(-1, count - 1), np.arange(1, count + 1)
    before[starts[:-1]], after[starts[1:] - 1] = starts[1:] - 1, starts[:-1]
    return before, after
