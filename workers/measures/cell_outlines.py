"""Outlines of cells whose pixels hang together by sides or corners, many at once."""

import numpy as np
from numpy.typing import NDArray

from workers.deepliif.cells import Labels
from workers.geometry import Box
from workers.measures.outlines import trace_outlines
from workers.measures.pixels import Pixels
from workers.measures.simplify import simplify

AT_ONCE = 2000
"""Outlines of so many cells are made together."""

Ints = NDArray[np.int64]


def ranks_of(kept: Ints, count: int) -> NDArray[np.int32]:
    """For each label its place among the kept cells, -1 for all others."""
    rank = np.full(count + 1, -1, np.int32)
    rank[kept + 1] = np.arange(len(kept))
    return rank


def outline_cells(labels: Labels, kept: Ints) -> tuple[Ints, NDArray[np.int32]]:
    """(starts, points) of the outlines of the kept cells, in px of the window."""
    ranks = ranks_of(kept, int(labels.max(initial=0)))[bridge(labels)]
    ys, xs = np.nonzero(ranks >= 0)
    owner: Ints = ranks[ys, xs].astype(np.int64)
    order = np.argsort(owner, kind="stable")
    ys, xs, owner = ys[order], xs[order], owner[order]
    window = Box(0, 0, labels.shape[1], labels.shape[0])
    lengths, parts = [np.zeros(1, np.int64)], []
    for first in range(0, len(kept), AT_ONCE):
        start, stop = np.searchsorted(owner, (first, first + AT_ONCE))
        traced = trace_outlines(_pixels(xs[start:stop], ys[start:stop], owner[start:stop] - first), 0, window)
        starts, points = simplify(traced.starts, traced.points)
        lengths.append(np.diff(starts))
        parts.append(points)
    return np.cumsum(np.concatenate(lengths)), np.concatenate(parts)


def bridge(labels: Labels) -> Labels:
    """The labels with each cell's pixels that meet at a corner joined by one more pixel, the one below.

    An outline of pixels that meet at a corner alone would touch itself there.
    """
    joined = labels.copy()
    above, here = labels[:-1], labels[1:]
    free = (here == 0) & (above > 0)
    to_right = free[:, :-1] & (above[:, 1:] == 0) & (here[:, 1:] > 0)
    to_left = free[:, 1:] & (above[:, :-1] == 0) & (here[:, :-1] > 0)
    for part, columns in ((to_right, np.s_[:-1]), (to_left, np.s_[1:])):
        np.copyto(joined[1:, columns], above[:, columns], where=part)
    return joined


def _pixels(xs: Ints, ys: Ints, owner: Ints) -> Pixels:
    nothing = np.zeros(len(xs), np.uint8)
    count = int(owner.max()) + 1
    firsts = np.searchsorted(owner, np.arange(count))
    boxes = np.stack(
        (
            np.minimum.reduceat(xs, firsts),
            np.minimum.reduceat(ys, firsts),
            np.maximum.reduceat(xs, firsts) + 1,
            np.maximum.reduceat(ys, firsts) + 1,
        ),
        axis=1,
    )
    return Pixels(xs, ys, nothing, nothing, owner, boxes)
