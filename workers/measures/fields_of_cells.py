"""Fields of a number of cells: around which cell the nearest so many hold the most positive ones, or lie closest.

A field is a disc around a cell's centre that reaches to the cell that is so many'th nearest, itself counted; what lies
as far away as that one is in it too. All cells are tried. Neighbours are worked on together: cells are counted within
a distance that a few more than the field's cells lie in, and only where these counts allow a better field than the best
so far are distances put in order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.measures.strips import Strips, list_runs, make_strips

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

GROUPS_IN_FIELD = 16
"""Neighbours that are worked on together are this part of a field's cells."""
LARGEST_GROUP = 64
SHARED = 8
"""Groups in a row whose fields are taken to be about as wide as that of one cell among them."""
MARGIN = 1 / 12
"""Part of its radius by which a field may differ from that; where one differs more, its group is looked at again."""
CROWDED = 8
"""So many times a field's cells around a group, and each of its cells is looked at alone."""
SLACK = 1e-9
"""Part of a distance by which rounding may err."""
CLOSER = 12
VERY_CROWDED = 64
WINDOW = 256
AT_ONCE = 250_000
"""About so many distances are held at once."""
STEPS = 16
"""Places are taken to a sixteenth of a unit: distances of whole numbers are exact, whatever is added up first."""
LONGEST = 32_000
"""Squares of distances up to this, in steps, fit 32 bits."""


@dataclass(frozen=True, order=True)
class _Rank:
    """What makes a field better than another: the least of these is the best."""

    first: float
    second: float
    y: float
    x: float


@dataclass(frozen=True)
class CellField:
    """The disc around a cell that holds the nearest so many cells."""

    x: float
    y: float
    radius: float
    """To the farthest of its cells."""
    count: int
    positive: int


@dataclass(frozen=True)
class CellFields:
    """The two fields that are told."""

    hottest: CellField
    """With the highest share of positive cells; of equal ones the smaller."""
    densest: CellField
    """The smallest; of equal ones that with more positive cells."""


def find_fields(centres: Floats, is_positive: Bools, cells: int) -> CellFields | None:
    """The hottest and the densest field of `cells` cells; None where there are fewer.

    Equal fields are told apart by their place: the uppermost, then the leftmost. The order of the cells does not
    matter.

    Parameters
    ----------
    centres
        (n, 2): x and y, in any one unit.
    is_positive
        (n,)

    Raises
    ------
    ValueError
        The arrays do not fit each other, are not finite, or `cells` is not above 0.
    """
    if centres.shape != (len(is_positive), 2) or not np.isfinite(centres).all() or cells < 1:
        raise ValueError(f"{centres.shape} centres, {len(is_positive)} classes, fields of {cells} cells: cannot be")
    if len(centres) < cells:
        return None
    most = min(LARGEST_GROUP, max(1, cells // GROUPS_IN_FIELD))
    strips, order = make_strips(np.rint(centres * STEPS).astype(np.int64), most)
    search = _Search(strips, is_positive[order], cells)
    search.look_at_all(strips.groups(most))
    return search.found()


@dataclass(frozen=True, eq=False)
class _Groups:
    """Neighbouring cells, and how wide their fields are thought to be."""

    members: Ints
    """(groups, most)"""
    radius: Floats
    """(groups,): in steps."""
    margin: Floats
    """(groups,): by which the radius may be wrong."""

    def part(self, which: slice | Ints) -> "_Groups":
        """Some of them."""
        return _Groups(self.members[which], self.radius[which], self.margin[which])


@dataclass(frozen=True, eq=False)
class _Apart:
    """Distances between the members of some groups and all that may lie in their fields."""

    squares: Floats
    """(groups, members, cells near): whole numbers."""
    is_positive: Bools
    """(groups, 1, cells near)"""

    def count(self, limits: Ints) -> Ints:
        """(groups, members): cells not farther than the root of each group's limit."""
        return _sum(self._within(limits))

    def count_both(self, limits: Ints) -> tuple[Ints, Ints]:
        """All such cells, and the positive ones."""
        inside = self._within(limits)
        return _sum(inside), _sum(np.logical_and(inside, self.is_positive))

    def rows(self, group: Ints, member: Ints) -> "_Apart":
        """Some members, each as a group of its own."""
        return _Apart(self.squares[group, member][:, None], self.is_positive[group])

    def _within(self, limits: Ints) -> Bools:
        return np.asarray(self.squares <= limits.astype(np.float64)[:, None, None])


@dataclass(eq=False)
class _Search:
    """The best fields so far, and what is needed to look for better ones."""

    strips: Strips
    """In steps."""
    is_positive: Bools
    """In the order of the strips."""
    cells: int
    tree: cKDTree = field(init=False)
    positives: cKDTree | None = field(init=False)
    hottest: tuple[_Rank, CellField] | None = None
    densest: tuple[_Rank, CellField] | None = None

    def __post_init__(self) -> None:
        places = np.stack([self.strips.x, self.strips.y], axis=1)
        self.tree = cKDTree(places)
        self.positives = cKDTree(places[self.is_positive]) if self.is_positive.any() else None

    def found(self) -> CellFields | None:
        """The best fields."""
        if self.hottest is None or self.densest is None:
            return None
        return CellFields(self.hottest[1], self.densest[1])

    def look_at_all(self, members: Ints) -> None:
        """Try the fields of all cells."""
        rest = [members[:0]]
        for groups in _windows(self._guess(members)):
            is_left = self._look(groups, CROWDED)
            some = is_left.any(axis=1)
            of, left = groups.members[some], is_left[some]
            rest.append(np.where(left, of, np.take_along_axis(of, left.argmax(axis=1)[:, None], 1)))
        for groups in _windows(self._measure(np.concatenate(rest))):
            alone = groups.members[self._look(groups, VERY_CROWDED)]
            for start in range(0, len(alone), 4096):
                self._look_alone(np.unique(alone[start : start + 4096]))

    def _guess(self, members: Ints) -> _Groups:
        """Groups with the radius of a cell near by, the most promising first."""
        block = np.arange(len(members)) // SHARED
        firsts = np.arange(0, len(members), SHARED)
        middles = members[np.minimum(firsts + SHARED // 2, len(members) - 1), members.shape[1] // 2]
        radius = self._reach(self.strips.x[middles], self.strips.y[middles])
        self._look_alone(middles[[radius.argmin()]])
        shares = np.add.reduceat(self.is_positive[members].mean(axis=1), firsts)
        # The sooner a good field is known, the fewer distances are put in order.
        order = np.argsort(-shares[block], kind="stable")
        return _Groups(members[order], radius[block][order], radius[block][order] * MARGIN)

    def _measure(self, members: Ints) -> _Groups:
        """Groups with a radius and a margin that hold for all of their fields."""
        x, y = self.strips.x[members], self.strips.y[members]
        middle_x, middle_y = ((some.min(axis=1) + some.max(axis=1)) / 2 for some in (x, y))
        spread = np.hypot(x - middle_x[:, None], y - middle_y[:, None]).max(axis=1, initial=0)
        # A step aside changes the distance to the so many'th nearest by no more than the step.
        radius = self._reach(middle_x, middle_y)
        return _Groups(members, radius, spread + (radius + spread) * SLACK)

    def _reach(self, x: NDArray[Any], y: NDArray[Any]) -> Floats:
        """How far the so many'th nearest cell of places is."""
        return np.asarray(self.tree.query(np.stack([x, y], axis=1), [self.cells])[0][:, 0])

    def _look(self, groups: _Groups, crowded: int) -> Bools:
        """Try the fields of some groups; (groups, members): True for those that have to be looked at again."""
        left = np.ones(groups.members.shape, bool)
        outer = np.ceil(groups.radius + groups.margin).astype(np.int64) + 1
        totals = self.strips.runs(self.strips.boxes(groups.members).grow(outer)).totals
        # Lists of about the same length go together: each is filled up to the longest.
        lengths = np.frexp(totals)[1]
        for length in np.unique(lengths[totals <= crowded * self.cells]).tolist():
            some = np.flatnonzero((lengths == length) & (totals <= crowded * self.cells))
            step = max(1, AT_ONCE // (groups.members.shape[1] * int(totals[some].max())))
            for start in range(0, len(some), step):
                which = some[start : start + step]
                left[which] = self._count(groups.part(which), outer[which])
        return left

    def _count(self, groups: _Groups, outer: Ints) -> Bools:
        """Try fields that reach no farther than `outer`; True for those that do."""
        apart = self._measure_apart(groups.members, outer)
        count, positive = apart.count_both(outer**2)
        self._look_closer(groups, apart, outer, count, positive)
        return np.asarray(count < self.cells)

    def _measure_apart(self, members: Ints, outer: Ints) -> _Apart:
        strips, boxes = self.strips, self.strips.boxes(members)
        near = list_runs(strips.runs(boxes.grow(outer)), len(strips.x))
        none = near == len(strips.x)
        near[none] = 0
        own, other = (
            [(place[some] - start[:, None]).astype(np.float64) for place, start in zip((strips.x, strips.y), (boxes.left, boxes.top), strict=True)]
            for some in (members, near)
        )
        far = other[0] ** 2 + other[1] ** 2
        far[none] = np.inf
        # As one product: sums of whole numbers, exact in any order.
        left = np.stack([*own, own[0] ** 2 + own[1] ** 2, np.ones_like(own[0])], axis=2)
        right = np.stack([-2 * other[0], -2 * other[1], np.ones_like(far), far], axis=1)
        return _Apart(left @ right, (self.is_positive[near] & ~none)[:, None])

    def _look_closer(self, groups: _Groups, apart: _Apart, outer: Ints, count: Ints, positive: Ints) -> None:
        """Put in order what can be better; `positive` is what no field has more of, -1 for what is not looked at."""
        limits = outer**2
        dense = apart.count(self._not_beyond(self.densest, limits)) >= self.cells
        hot = positive / self.cells >= self._best_share()
        group, member = np.nonzero(hot & (count >= self.cells))
        if len(group):
            rows, most = apart.rows(group, member), positive[group, member]
            closer = np.ceil(limits[group] * np.minimum(1, (self.cells + CLOSER) / count[group, member])).astype(np.int64)
            enough, fewer = (some[:, 0] for some in rows.count_both(closer))
            most = np.where(enough >= self.cells, fewer, most)
            inner = np.maximum(np.floor(groups.radius - groups.margin).astype(np.int64) - 1, 0)
            nearer, inside = (some[:, 0] for some in rows.count_both(inner[group] ** 2))
            # What lies nearer than the field reaches is in it: so many negative ones at least.
            negative = np.where(nearer < self.cells, nearer - inside, 0)
            share = most / np.maximum(self.cells, most + negative)
            small = rows.count(self._not_beyond(self.hottest, limits)[group])[:, 0] >= self.cells
            hot[group, member] = (share > self._best_share()) | ((share == self._best_share()) & small)
        group, member = np.nonzero((dense | hot) & (count >= self.cells))
        step = max(1, AT_ONCE // apart.squares.shape[2])
        for start in range(0, len(group), step):
            some, which = group[start : start + step], member[start : start + step]
            self._order(groups.members[some, which], apart.rows(some, which))

    def _best_share(self) -> float:
        return -1.0 if self.hottest is None else -self.hottest[0].first

    def _not_beyond(self, best: tuple[_Rank, CellField] | None, limits: Ints) -> Ints:
        """Squares of radii, as far as fields that are better may reach, and no more than `limits`."""
        if best is None:
            return limits
        return np.minimum(limits, round((best[1].radius * STEPS) ** 2))

    def _order(self, members: Ints, apart: _Apart) -> None:
        """Try fields by all of their distances."""
        limits = np.partition(apart.squares[:, 0], self.cells - 1, axis=1)[:, self.cells - 1].astype(np.int64)
        count, positive = (some[:, 0] for some in apart.count_both(limits))
        self._try(members, limits, count, positive)

    def _look_alone(self, members: Ints) -> None:
        """Try fields, each by itself."""
        x, y = self.strips.x[members], self.strips.y[members]
        squares = np.rint(self._reach(x, y) ** 2).astype(np.int64)
        # Squares of distances are whole numbers: nothing lies between this one and the next.
        places, radii = np.stack([x, y], axis=1), np.sqrt(squares + 0.5)
        count, positive = (
            np.zeros(len(members), np.int64) if tree is None else tree.query_ball_point(places, radii, return_length=True)
            for tree in (self.tree, self.positives)
        )
        self._try(members, squares, count, positive)

    def _try(self, members: Ints, squares: Ints, count: Ints, positive: Ints) -> None:
        x, y = self.strips.x[members], self.strips.y[members]
        for first, second in ((-positive / count, squares), (squares, -positive)):
            self._take(*(int(some[np.lexsort((x, y, second, first))[0]]) for some in (members, squares, count, positive)))

    def _take(self, member: int, square: int, count: int, positive: int) -> None:
        x, y = int(self.strips.x[member]), int(self.strips.y[member])
        told = CellField(x / STEPS, y / STEPS, math.sqrt(square) / STEPS, count, positive)
        hot, dense = _Rank(-positive / count, square, y, x), _Rank(square, -positive, y, x)
        if self.hottest is None or hot < self.hottest[0]:
            self.hottest = (hot, told)
        if self.densest is None or dense < self.densest[0]:
            self.densest = (dense, told)


def _windows(groups: _Groups) -> Iterator[_Groups]:
    return (groups.part(slice(start, start + WINDOW)) for start in range(0, len(groups.members), WINDOW))


def _sum(inside: Bools) -> Ints:
    """How many of each row."""
    kind = np.uint16 if inside.shape[-1] < 2**16 else np.uint32
    return inside.sum(axis=-1, dtype=kind).astype(np.int64)
