"""The outlines of the connected parts of a class, with their holes, from a map that fits into memory.

Parts are 4-connected. The border of a part along pixel edges is a set of rings: one around it, one around each hole.
Where two pixels of one part meet at a corner only, the ring keeps to the side that the part encloses; where the two
are of different parts, each keeps its own corner. So no ring crosses or touches itself; a hole may touch its shell at
a corner, as GeoJSON and JTS allow. All rings are found at once: each border edge knows the one that follows it, and
rings are the cycles of that permutation, ordered by doubling (list ranking).

References
----------
Wyllie JC. The complexity of parallel computations. Cornell University, 1979 (list ranking by pointer doubling).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.measures.pixels import Ints
from workers.measures.simplify import simplify

Labels = NDArray[np.int32]

EAST, SOUTH, WEST, NORTH = range(4)
"""The way an edge is walked: the part lies on its right."""
STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])


@dataclass(frozen=True, eq=False)
class Part:
    """A connected part of a class."""

    area_px: int
    """Of its pixels."""
    rings: tuple[NDArray[np.int32], ...]
    """(n, 2) each: corners (x, y) of pixels, not closed; the first goes around the part, the others around holes."""


def class_parts(mask: NDArray[np.bool_], min_area_px: float) -> list[Part]:
    """The parts of a mask that are not smaller than `min_area_px`, by their first pixels in raster order."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= max(min_area_px, 1)
    number = np.cumsum(kept) * kept
    areas = sizes[kept].tolist()
    if not areas:
        return []
    starts, points, owners = ring_outlines(number[labels].astype(np.int32))
    starts, points = simplify(starts, points)
    rings: list[list[NDArray[np.int32]]] = [[] for _ in areas]
    for index, owner in enumerate(owners.tolist()):
        rings[owner - 1].append(points[starts[index] : starts[index + 1]])
    return [Part(area, tuple(sorted(own, key=_is_hole))) for area, own in zip(areas, rings, strict=True)]


def ring_outlines(labels: Labels) -> tuple[Ints, NDArray[np.int32], Ints]:
    """(starts (n + 1,), points (m, 2), labels (n,)): the rings of all labelled parts; 0 is none.

    Clockwise as seen on the screen around a part, the other way around a hole.
    """
    padded = np.pad(labels, 1)
    xs, ys, way, owner = _edges(padded)
    following = _following(padded, xs, ys, way, owner)
    ring, place = _rank(following)
    order = np.lexsort((place, ring))
    # Corners alone: where the way changes.
    before = np.empty_like(following)
    before[following] = np.arange(len(following))
    turns = order[way[order] != way[before[order]]]
    first = np.flatnonzero(np.diff(ring[turns], prepend=-1))
    points = np.stack((xs[turns], ys[turns]), axis=1).astype(np.int32) - 1
    return np.append(first, len(turns)).astype(np.int64), points, owner[turns[first]].astype(np.int64)


def _is_hole(ring: NDArray[np.int32]) -> bool:
    xs, ys = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return bool((xs * np.roll(ys, -1) - np.roll(xs, -1) * ys).sum() < 0)


def _edges(padded: Labels) -> tuple[Ints, Ints, Ints, Ints]:
    """(x, y, way, label) of each border edge: the corner it starts at, and whose it is.

    Corner (x, y) is the upper left one of pixel (x, y).
    """
    found = []
    above, below = padded[:-1], padded[1:]
    for way, own, other in ((EAST, below, above), (WEST, above, below)):
        ys, xs = np.nonzero((own != other) & (own > 0))
        found.append((xs + (way == WEST), ys + 1, np.full(len(xs), way), own[ys, xs]))
    left, right = padded[:, :-1], padded[:, 1:]
    for way, own, other in ((SOUTH, left, right), (NORTH, right, left)):
        ys, xs = np.nonzero((own != other) & (own > 0))
        found.append((xs + 1, ys + (way == NORTH), np.full(len(xs), way), own[ys, xs]))
    xs, ys, ways, owners = (np.concatenate(parts).astype(np.int64) for parts in zip(*found, strict=True))
    return xs, ys, ways, owners


def _following(padded: Labels, xs: Ints, ys: Ints, way: Ints, owner: Ints) -> Ints:
    """The edge after each one: of those of its part that leave the corner it ends at, the leftmost that is right.

    At a corner with two pixels of the part across from each other both a left and a right turn are there: the left one
    keeps both pixels on the right, the side that the part does not enclose being the one that is walked around.
    """
    width = padded.shape[1] + 1
    key = (ys * width + xs) * 4 + way
    order = np.argsort(key, kind="stable")
    ends = (ys + STEPS[way, 1]) * width + xs + STEPS[way, 0]
    following = np.full(len(xs), -1, dtype=np.int64)
    # Right first, then ahead, then left: what is found last counts.
    for turn in (1, 0, 3):
        wanted = ends * 4 + (way + turn) % 4
        place = np.searchsorted(key, wanted, sorter=order)
        place = np.minimum(place, len(order) - 1)
        candidate = order[place]
        fits = (key[candidate] == wanted) & (owner[candidate] == owner)
        following[fits] = candidate[fits]
    return following


def _rank(following: Ints) -> tuple[Ints, Ints]:
    """(ring, place in it) of each edge: a ring is known by its smallest edge, which is its first."""
    count = len(following)
    ring, jump, reach = np.arange(count), following.copy(), 1
    while reach < count:
        ring, jump, reach = np.minimum(ring, ring[jump]), jump[jump], 2 * reach
    # How far it is to the ring's first edge, which leads to itself.
    is_first = ring == np.arange(count)
    jump = np.where(is_first, np.arange(count), following)
    left, reach = np.where(is_first, 0, 1), 1
    while reach < count:
        left, jump, reach = left + left[jump], jump[jump], 2 * reach
    return ring, np.where(left == 0, 0, count - left)
