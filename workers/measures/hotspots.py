"""Hotspots: how many detections a disc of a given area holds, where it holds the most, and how many it holds usually.

The densest disc is exact. A disc that holds the most can be moved until two detections, or the lowest one's border,
lie on its rim; so it is looked for where two circles around detections cross and at the lowest point of each. Squares
of possible centres are halved as long as a bound on what a disc in them can hold says that they may have the densest,
and only what is left is searched crossing by crossing.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workers.measures.enclosing import enclosing_disc

Points = NDArray[np.float64]
Counts = NDArray[np.int64]

HOTSPOT_MM2 = 2.0
"""The area mitoses are counted in, about ten fields of an old microscope."""
PERCENT = 95.0
"""Of the counts over all positions that hold anything (Tellez 2018)."""
SLACK = 1e-9
"""Part of the radius by which a point may lie outside and is still on the border."""
DECIMALS = 6
"""Centres that are alike to so many decimals of a um lie equally low."""
FEW = 12
"""So many circles through a square are searched at once; more of them halve it again."""
DEEPEST = 14
"""A square of 1/16384 of the radius is searched whatever crosses it."""
AT_ONCE = 1_000_000
"""So many distances are held at once."""


@dataclass(frozen=True)
class DensestDisc:
    """A disc that holds as many points as any disc of its area can."""

    count: int
    x_um: float
    y_um: float
    radius_um: float


Filled = tuple[DensestDisc, Counts]
"""A disc, and which points count for it."""


def radius_of(area_mm2: float) -> float:
    """The radius in um of a disc of that area.

    Raises
    ------
    ValueError
        The area is not above zero.
    """
    if not 0 < area_mm2 < math.inf:
        raise ValueError(f"a disc of {area_mm2} mm2 cannot be: give an area above zero")
    return 1000 * math.sqrt(area_mm2 / math.pi)


def densest_disc(points_um: Points, area_mm2: float = HOTSPOT_MM2) -> DensestDisc | None:
    """The disc of `area_mm2` that holds the most points, its border included; None where there is no point.

    Where several discs hold as many, it is the one that can be moved to the least y, of those to the least x. Its
    centre is then put in the middle of its points, so that none lies on the border unless it has to, and whoever counts
    again finds the same number. The order of the points does not matter; points at one place count one by one. A point
    counts as on the border where it lies up to `SLACK` of the radius outside.

    Parameters
    ----------
    points_um
        (n, 2): x and y in um.

    Raises
    ------
    ValueError
        The points are not (n, 2) or not finite, or the area is not above zero.

    References
    ----------
    The crossings: Chazelle and Lee 1986, doi:10.1007/BF02238188; the bounds: Land and Doig 1960, doi:10.2307/1910129.
    """
    radius = radius_of(area_mm2)
    points = _checked(points_um)
    if not len(points):
        return None
    search = _Search.over(points, radius)
    squares, side = _first_squares(points, radius), radius / 2
    for depth in range(DEEPEST + 1):
        squares = search.look_into(squares, side, everything=depth == DEEPEST)
        squares, side = _quarters(squares, side), side / 2
    x_um, y_um = _middle(points, (search.x_um, search.y_um), radius)
    return DensestDisc(search.count, x_um, y_um, radius)


def densest_discs(points_um: Points, most: int, area_mm2: float = HOTSPOT_MM2) -> tuple[Filled, ...]:
    """Up to `most` discs, and the indices of the points that count for each, int64 (disc.count,), in order.

    The first is `densest_disc`; each further one is the densest among the points that are in none before it. So no
    point is counted twice, though discs may cover some of the same ground. There are fewer where no point is left.

    Raises
    ------
    ValueError
        As `densest_disc`.
    """
    points = _checked(points_um)
    found: list[Filled] = []
    left = np.arange(len(points))
    while len(found) < most and (disc := densest_disc(points[left], area_mm2)) is not None:
        gaps = np.hypot(points[left, 0] - disc.x_um, points[left, 1] - disc.y_um)
        inside = gaps <= disc.radius_um * (1 + SLACK)
        found.append((disc, left[inside]))
        left = left[~inside]
    return tuple(found)


def disc_counts(points_um: Points, positions_um: Points, area_mm2: float = HOTSPOT_MM2) -> Counts:
    """int64 (m,): the points in the disc of `area_mm2` around each position, its border included (see `SLACK`).

    Parameters
    ----------
    points_um, positions_um
        (n, 2) and (m, 2): x and y in um.

    Raises
    ------
    ValueError
        An array is not (n, 2) or not finite, or the area is not above zero.
    """
    reach = radius_of(area_mm2) * (1 + SLACK)
    points, positions = _checked(points_um), _checked(positions_um)
    return _counts(cKDTree(points), positions, reach) if len(points) else np.zeros(len(positions), np.int64)


def percentile_count(
    points_um: Points, positions_um: Points, area_mm2: float = HOTSPOT_MM2, percent: float = PERCENT
) -> float | None:
    """The percentile of the counts over the positions whose disc holds a point; None where none does.

    Between two counts it is interpolated. The paper takes every position of the slide: positions of a narrow grid over
    the tissue do as well, and how narrow is the caller's to tell.

    References
    ----------
    Tellez et al. 2018, doi:10.1109/TMI.2018.2820199.
    """
    counts = disc_counts(points_um, positions_um, area_mm2)
    filled = counts[counts > 0]
    return float(np.percentile(filled, percent)) if len(filled) else None


@dataclass(eq=False)
class _Search:
    """The best disc so far, and what is needed to look for a better one."""

    tree: cKDTree
    """Of the places, each once."""
    every: cKDTree
    """Of all points."""
    places: Points
    weights: Counts
    """Points at each place."""
    radius: float
    count: int = 0
    x_um: float = math.inf
    y_um: float = math.inf

    @classmethod
    def over(cls, points: Points, radius: float) -> "_Search":
        places, weights = np.unique(points, axis=0, return_counts=True)
        return cls(cKDTree(places), cKDTree(points), places, weights, radius)

    def look_into(self, squares: Points, side: float, *, everything: bool) -> Points:
        """The squares that are worth halving; those with few circles through them are searched and gone."""
        reach = side * math.sqrt(0.5) + 2 * SLACK * self.radius
        most = _counts(self.every, squares, self.radius + reach)
        if len(squares):
            self._take(squares, _counts(self.every, squares, self.radius * (1 + SLACK)))
        squares, most = self._promising(squares, most, side)
        inside = _counts(self.every, squares, max(0.0, self.radius - reach))
        ready = np.ones(len(squares), bool) if everything else most - inside <= FEW
        for index in np.flatnonzero(ready)[np.argsort(-most[ready], kind="stable")]:
            if most[index] >= self.count:
                self._search_square(squares[index], reach)
        return self._promising(squares[~ready], most[~ready], side)[0]

    def _promising(self, squares: Points, most: Counts, side: float) -> tuple[Points, Counts]:
        """Squares that may hold more than the best so far, or as much further down."""
        lower = squares[:, 1] - side <= self.y_um
        stay = (most > self.count) | ((most == self.count) & lower)
        return squares[stay], most[stay]

    def _search_square(self, centre: Points, reach: float) -> None:
        """Try every crossing, and every lowest point, of the circles that go through a square (and a little more)."""
        near = np.array(self.tree.query_ball_point(centre, self.radius + reach), np.int64)
        gaps = np.hypot(*(self.places[near] - centre).T)
        on_rim = gaps > self.radius - reach
        always, rim = int(self.weights[near[~on_rim]].sum()), np.sort(near[on_rim])
        places, weights = self.places[rim], self.weights[rim]
        tried = _candidates(places, self.radius)
        tried = tried[np.hypot(*(tried - centre).T) <= reach]
        for part in np.array_split(tried, 1 + tried.shape[0] * max(1, len(rim)) // AT_ONCE):
            gaps = np.hypot(part[:, None, 0] - places[:, 0], part[:, None, 1] - places[:, 1])
            self._take(part, always + (gaps <= self.radius * (1 + SLACK)) @ weights)

    def _take(self, centres: Points, counts: Counts) -> None:
        """Keep the best of these where it is better than the best so far."""
        if not len(counts) or (top := int(counts.max())) < self.count:
            return
        x, y = min(((x, y) for x, y in centres[counts == top].tolist()), key=_lowness)
        if top > self.count or _lowness((x, y)) < _lowness((self.x_um, self.y_um)):
            self.count, self.x_um, self.y_um = top, x, y


def _middle(points: Points, centre: tuple[float, float], radius: float) -> tuple[float, float]:
    """The middle of the points in a disc, where a disc around it still holds them all; the centre itself elsewhere."""
    gaps = np.hypot(points[:, 0] - centre[0], points[:, 1] - centre[1])
    x, y, reach = enclosing_disc(np.unique(points[gaps <= radius * (1 + SLACK)], axis=0))
    return (x, y) if reach <= radius * (1 + SLACK / 2) else centre


def _lowness(centre: tuple[float, float]) -> tuple[float, float]:
    return round(centre[1], DECIMALS), round(centre[0], DECIMALS)


def _candidates(places: Points, radius: float) -> Points:
    """(k, 2): the crossings of the circles around the places, and the lowest point of each."""
    first, second = np.triu_indices(len(places), 1)
    apart = places[second] - places[first]
    length = np.hypot(apart[:, 0], apart[:, 1])
    meet = length <= 2 * radius * (1 + SLACK)
    apart, length, middle = apart[meet], length[meet], (places[first] + places[second])[meet] / 2
    away = np.sqrt(np.maximum(0.0, (radius - length / 2) * (radius + length / 2)))
    step = np.stack((-apart[:, 1], apart[:, 0]), axis=1) * (away / length)[:, None]
    return np.concatenate((places - (0.0, radius), middle - step, middle + step))


def _first_squares(points: Points, radius: float) -> Points:
    """Centres of squares of half the radius that hold every centre of a disc with a point in it."""
    side = radius / 2
    cells = np.unique(np.floor(points / side).astype(np.int64), axis=0)
    steps = np.arange(-3, 4)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return (np.unique((cells[:, None] + around).reshape(-1, 2), axis=0) + 0.5) * side


def _quarters(squares: Points, side: float) -> Points:
    corners = np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)]) * (side / 4)
    return (squares[:, None] + corners).reshape(-1, 2)


def _counts(tree: cKDTree, centres: Points, reach: float) -> Counts:
    if not len(centres):
        return np.zeros(0, np.int64)
    return np.asarray(tree.query_ball_point(centres, reach, return_length=True), np.int64)


def _checked(places: Points) -> Points:
    places = np.asarray(places, np.float64)
    places = places.reshape(-1, 2) if not places.size else places
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(f"points of shape {places.shape} cannot be counted: give finite (n, 2) in um")
    return places
