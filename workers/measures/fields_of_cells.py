"""Fields of a number of cells: around which cell the nearest so many hold the most positive ones, or lie closest.

A field is a disc around a cell's centre that reaches to the cell that is so many'th nearest, itself counted; what lies
as far away as that one is in it too. All cells are tried. Neighbours are worked on together: cells are counted within
a distance that a few more than the field's cells lie in, and only where these counts allow a better field than the best
so far are distances put in order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.measures.apart import Apart, measure_apart
from workers.measures.strips import Runs, Strips, make_strips

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
MORE = 12
"""Cells beyond those of a field that are looked at first."""
CROWDED = 8
"""Where so many times a field's cells are around a group, a better radius is found first."""
SLACK = 1e-9
"""Part of a distance by which rounding may err."""
WINDOW = 256
"""Groups that are looked at in one go."""
AT_ONCE = 250_000
"""About so many distances are held at once."""
MOST_AT_ONCE = 2_000_000
"""Cells of a group with more are looked at one by one."""
STEPS = 16
"""Places are taken to a sixteenth of a unit: distances of whole numbers are exact, whatever is added up first."""


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
    matter. Memory is about 100 bytes a cell: its place, in which strip it lies, two trees.

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
    most = max(1, min(LARGEST_GROUP, cells // GROUPS_IN_FIELD, AT_ONCE // cells))
    strips, order = make_strips(np.rint(centres * STEPS), most)
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

    @property
    def outer(self) -> Floats:
        """How far is looked."""
        return np.asarray(np.ceil(self.radius + self.margin) + 1)

    @property
    def inner(self) -> Floats:
        """What fields reach to at least."""
        return np.asarray(np.maximum(np.floor(self.radius - self.margin) - 1, 0))

    def part(self, which: slice | Ints) -> "_Groups":
        """Some of them."""
        return _Groups(self.members[which], self.radius[which], self.margin[which])


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
        self.tree = cKDTree(self.strips.places)
        self.positives = cKDTree(self.strips.places[self.is_positive]) if self.is_positive.any() else None

    def found(self) -> CellFields | None:
        """The best fields."""
        if self.hottest is None or self.densest is None:
            return None
        return CellFields(self.hottest[1], self.densest[1])

    def look_at_all(self, members: Ints) -> None:
        """Try the fields of all cells."""
        rest = [members[:0]]
        for groups in _windows(self._guess(members)):
            is_left = self._look(groups, CROWDED * self.cells)
            some = is_left.any(axis=1)
            of, left = groups.members[some], is_left[some]
            rest.append(np.where(left, of, np.take_along_axis(of, left.argmax(axis=1)[:, None], 1)))
        for groups in _windows(self._measure(np.concatenate(rest))):
            alone = groups.members[self._look(groups, max(CROWDED * self.cells, MOST_AT_ONCE // members.shape[1]))]
            for start in range(0, len(alone), 4096):
                self._look_alone(np.unique(alone[start : start + 4096]))

    def _guess(self, members: Ints) -> _Groups:
        """Groups with the radius of a cell near by, the most promising first."""
        block = np.arange(len(members)) // SHARED
        firsts = np.arange(0, len(members), SHARED)
        middles = members[np.minimum(firsts + SHARED // 2, len(members) - 1), members.shape[1] // 2]
        radius = self._reach(self.strips.places[middles])
        self._look_alone(middles[[radius.argmin()]])
        shares = np.add.reduceat(self.is_positive[members].mean(axis=1), firsts)
        # The sooner a good field is known, the fewer distances are put in order.
        order = np.argsort(-shares[block], kind="stable")
        return _Groups(members[order], radius[block][order], radius[block][order] * MARGIN)

    def _measure(self, members: Ints) -> _Groups:
        """Groups with a radius and a margin that hold for all of their fields."""
        x, y = self.strips.x[members], self.strips.y[members]
        middles = np.stack([(some.min(axis=1) + some.max(axis=1)) / 2 for some in (x, y)], axis=1)
        spread = np.hypot(x - middles[:, :1], y - middles[:, 1:]).max(axis=1, initial=0)
        # A step aside changes the distance to the so many'th nearest by no more than the step.
        radius = self._reach(middles)
        return _Groups(members, radius, spread + (radius + spread) * SLACK)

    def _reach(self, places: Floats) -> Floats:
        """How far the so many'th nearest cell of places is."""
        return np.asarray(self.tree.query(places, [self.cells])[0][:, 0])

    def _look(self, groups: _Groups, crowded: int) -> Bools:
        """Try the fields of some groups; (groups, members): True for those that have to be looked at again."""
        left = np.ones(groups.members.shape, bool)
        runs = self.strips.runs(self.strips.boxes(groups.members).grow(groups.outer))
        # Lists of about the same length go together: each is filled up to the longest.
        lengths = np.where(runs.totals <= crowded, np.frexp(runs.totals)[1], 0)
        for length in np.unique(lengths[lengths > 0]).tolist():
            some = np.flatnonzero(lengths == length)
            step = max(1, AT_ONCE // (groups.members.shape[1] * int(runs.totals[some].max())))
            for start in range(0, len(some), step):
                which = some[start : start + step]
                left[which] = self._count(groups.part(which), runs.part(which))
        return left

    def _count(self, groups: _Groups, runs: Runs) -> Bools:
        """Try fields that reach no farther than is looked; True for those that do."""
        apart = measure_apart(self.strips, self.is_positive, groups.members, runs)
        count, positive = apart.count(groups.outer**2)
        enough = count >= self.cells
        dense = enough & (apart.count_all(self._within(self.densest, groups)) >= self.cells)
        hot = enough & (positive / self.cells >= self._best_share())
        group, member = np.nonzero(hot)
        if len(group):
            hot[group, member] = self._is_hot(
                groups.part(group), apart.rows(group, member), count[group, member], positive[group, member]
            )
        group, member = np.nonzero(dense | hot)
        step = max(1, AT_ONCE // apart.squares.shape[2])
        for start in range(0, len(group), step):
            some, which = group[start : start + step], member[start : start + step]
            self._order(groups.members[some, which], apart.rows(some, which))
        return ~enough

    def _is_hot(self, groups: _Groups, apart: Apart, count: Ints, positive: Ints) -> Bools:
        """Which of some fields, each a group of its own, may be the hottest.

        Within what is looked at lie `count` cells, enough, and `positive` of them.
        """
        # A field where cells lie evenly, and a little more: what is positive beyond it is not in the field.
        closer = np.ceil(groups.outer**2 * np.minimum(1, (self.cells + MORE) / count))
        enough, fewer = (some[:, 0] for some in apart.count(closer))
        most = np.where(enough >= self.cells, fewer, positive)
        # What lies nearer than the field reaches is in it: so many negative ones at least.
        nearer, inside = (some[:, 0] for some in apart.count(groups.inner**2))
        negative = np.where(nearer < self.cells, nearer - inside, 0)
        share, best = most / np.maximum(self.cells, most + negative), self._best_share()
        small = apart.count_all(self._within(self.hottest, groups))[:, 0] >= self.cells
        return np.asarray((share > best) | ((share == best) & small))

    def _best_share(self) -> float:
        return -1.0 if self.hottest is None else -self.hottest[0].first

    def _within(self, best: tuple[_Rank, CellField] | None, groups: _Groups) -> Floats:
        """Squares of how far fields that are not larger than the best reach, as far as is looked."""
        limits = groups.outer**2
        return limits if best is None else np.minimum(limits, round((best[1].radius * STEPS) ** 2))

    def _order(self, members: Ints, apart: Apart) -> None:
        """Try fields by all of their distances."""
        limits = np.partition(apart.squares[:, 0], self.cells - 1, axis=1)[:, self.cells - 1]
        count, positive = (some[:, 0] for some in apart.count(limits))
        self._try(members, limits, count, positive)

    def _look_alone(self, members: Ints) -> None:
        """Try fields, each by itself."""
        places = self.strips.places[members]
        squares = np.rint(self._reach(places) ** 2)
        # Squares of distances are whole numbers: nothing lies between this one and the next.
        radii = np.sqrt(squares + 0.5)
        count, positive = (
            np.zeros(len(members), np.int64)
            if tree is None
            else tree.query_ball_point(places, radii, return_length=True)
            for tree in (self.tree, self.positives)
        )
        self._try(members, squares, count, positive)

    def _try(self, members: Ints, squares: Floats, count: Ints, positive: Ints) -> None:
        x, y = self.strips.x[members], self.strips.y[members]
        for first, second in ((-positive / count, squares), (squares, -positive)):
            self._take(
                *(int(some[np.lexsort((x, y, second, first))[0]]) for some in (members, squares, count, positive))
            )

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
