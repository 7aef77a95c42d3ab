"""Points in strips along y, each sorted by y: what lies in a box, and little else, is a few runs of them."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes, their edges included; each array is (n,)."""

    left: Floats
    top: Floats
    right: Floats
    bottom: Floats

    def grow(self, by: Floats) -> "Boxes":
        """Each larger by so much on every side."""
        return Boxes(self.left - by, self.top - by, self.right + by, self.bottom + by)


@dataclass(frozen=True, eq=False)
class Runs:
    """Points in and beside boxes: those from `start` to `stop` are of the one called `box`."""

    box: Ints
    start: Ints
    stop: Ints
    totals: Ints
    """(boxes,): points of each."""

    def part(self, which: Ints) -> "Runs":
        """Those of some boxes, `which` ascending; the first of these is box 0."""
        number = np.full(len(self.totals), -1)
        number[which] = np.arange(len(which))
        box = number[self.box]
        kept = box >= 0
        return Runs(box[kept], self.start[kept], self.stop[kept], self.totals[which])


@dataclass(frozen=True, eq=False)
class Strips:
    """Where points lie, strip after strip."""

    places: Floats
    """(points, 2): x and y, whole numbers."""
    left: Floats
    """Of each strip: the least x in it."""
    right: Floats
    """The greatest."""
    edges: Ints
    """(strips + 1,): where strips begin."""
    keys: Ints
    """(points,): number of the strip times `span`, plus y above `top`; ascending."""
    top: int
    span: int

    @property
    def x(self) -> Floats:
        """(points,)"""
        return self.places[:, 0]

    @property
    def y(self) -> Floats:
        """(points,)"""
        return self.places[:, 1]

    def groups(self, most: int) -> Ints:
        """(groups, most): neighbours, all points once; a group that is smaller has its last one several times."""
        sizes = np.diff(self.edges)
        counts = -(-sizes // most)
        strip = np.repeat(np.arange(len(sizes)), counts)
        nth = _counting(counts)
        first, stop = (self.edges[strip] + (nth + more) * sizes[strip] // counts[strip] for more in (0, 1))
        return np.asarray(np.minimum(first[:, None] + np.arange(most), stop[:, None] - 1))

    def boxes(self, groups: Ints) -> Boxes:
        """What groups cover."""
        x, y = self.x[groups], self.y[groups]
        return Boxes(x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1))

    def runs(self, boxes: Boxes) -> Runs:
        """The points in boxes, and those beside them: whole strips are taken, from top to bottom of a box."""
        first = np.searchsorted(self.right, boxes.left, "left")
        counts = np.searchsorted(self.left, boxes.right, "right") - first
        box = np.repeat(np.arange(len(counts)), counts)
        base = (_counting(counts) + first[box]) * self.span
        above = np.clip(boxes.top - self.top, 0, self.span).astype(np.int64)
        below = np.clip(boxes.bottom - self.top, -1, self.span - 1).astype(np.int64)
        start = np.searchsorted(self.keys, base + above[box], "left")
        stop = np.maximum(np.searchsorted(self.keys, base + below[box], "right"), start)
        totals = np.bincount(box, stop - start, len(counts)).astype(np.int64)
        return Runs(box, start, stop, totals)


def make_strips(places: Floats, most: int) -> tuple[Strips, Ints]:
    """Strips about as wide as a square with `most` points, and the order in which they have the points.

    Parameters
    ----------
    places
        (n, 2): x and y, whole numbers; at least one.
    """
    count = len(places)
    strips = max(1, math.isqrt(count // most))
    by_x = np.argsort(places[:, 0], kind="stable")
    edges = count * np.arange(strips + 1) // strips
    left, right = places[by_x[edges[:-1]], 0], places[by_x[edges[1:] - 1], 0]
    top = int(places[:, 1].min())
    span = int(places[:, 1].max()) - top + 1
    keys = (places[by_x, 1] - top).astype(np.int64)
    for strip, (start, stop) in enumerate(pairwise(edges.tolist())):
        order = np.argsort(keys[start:stop], kind="stable")
        by_x[start:stop] = by_x[start:stop][order]
        keys[start:stop] = keys[start:stop][order] + strip * span
    return Strips(places[by_x], left, right, edges, keys, top, span), by_x


def list_runs(runs: Runs, none: int) -> Ints:
    """(boxes, most of a box): the points of each, then `none`."""
    width = int(runs.totals.max(initial=0))
    lengths = runs.stop - runs.start
    before = np.cumsum(lengths) - lengths
    skipped = np.cumsum(runs.totals) - runs.totals
    listed = np.full((len(runs.totals), width), none, np.int64)
    counting = np.arange(int(lengths.sum()))
    # Boxes follow each other in the runs: what is empty in the list is all that comes between them.
    place = counting + np.repeat(runs.box * width - skipped[runs.box], lengths)
    listed.ravel()[place] = counting + np.repeat(runs.start - before, lengths)
    return listed


def _counting(counts: NDArray[Any]) -> Ints:
    """0 up to each of `counts`, one after the other."""
    return np.asarray(np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts))
