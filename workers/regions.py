"""Regions of interest on a slide: which cells they touch, and what was found in them.

A region is the inside of its rings, in level-0 px. Its border is half-open, as a box's is: a point
on the left or the upper border is in it, one on the right or the lower border is not, so that regions that share a
border share no finding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.errors import NoTissueError, RegionsInvalidError
from workers.contract.regions import Region, Regions
from workers.geometry import Frame
from workers.plan import Grid, Plan
from workers.result import RegionPart, SlidePart
from workers.result_scores import RegionAreasPart
from workers.slides.slide import SlideInfo

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CHUNK = 256
"""Edges looked at in one go: bounds the memory."""
POINTS = 64
"""Points looked at in one go."""
ROUNDING_PX = 1e-9
"""What is nearer than this to a line of the grid lies on it."""
BATCH = 65_536
"""Findings read from a table at once."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A region's outline, checked."""

    name: str
    edges: Floats
    """(n, 4): x0, y0, x1, y1 in level-0 px; outer rings go one way round, holes the other."""

    @property
    def area_px(self) -> float:
        """Area in level-0 px."""
        return _signed_area(self.edges)


def region_shapes(regions: Regions | None, info: SlideInfo | SlidePart) -> tuple[Shape, ...]:
    """The outlines of the regions on a slide; none where there are no regions.

    Raises
    ------
    RegionsInvalidError
        A region reaches out of the slide, or its outline crosses itself.
    """
    shapes = () if regions is None else tuple(_shape(region) for region in regions.features)
    for shape in shapes:
        _check_inside(shape, info)
        if _crosses_itself(shape.edges) or _covers_itself(shape.edges):
            raise RegionsInvalidError(
                f"The outline of the region {shape.name!r} crosses or covers itself.",
                "What is inside of it is not clear: redraw it.",
            )
        if not shape.area_px > 0:
            raise RegionsInvalidError(f"The region {shape.name!r} has no area.", "Its holes leave nothing of it.")
    return shapes


def cut_cells(tissue: Bools, shapes: Sequence[Shape], frame: Frame, grid: Grid) -> Bools:
    """The tissue cells that a region touches; all of them where there are no regions.

    Raises
    ------
    NoTissueError
        A region touches no tissue.
    """
    if not shapes:
        return tissue
    chosen = np.zeros_like(tissue)
    for shape in shapes:
        touched = cover_cells(shape, grid.cell_px * frame.scale, tissue.shape)[0] & tissue
        if not touched.any():
            raise NoTissueError(
                f"The region {shape.name!r} touches no tissue.",
                "Move it, or leave it away; coordinates are level-0 px.",
            )
        chosen |= touched
    return chosen


def cover_cells(shape: Shape, side_px: float, size: tuple[int, ...]) -> tuple[Bools, Floats]:
    """(which squares of a grid share some area with a region, that area in level-0 px), both (rows, columns).

    Each piece of an edge within one square takes from the square what lies on its right, and from the squares further
    to the right their whole width: signed, and so the same for any outline.

    Parameters
    ----------
    side_px
        Of a square, in level-0 px; the grid begins at (0, 0).
    """
    touched, part = np.zeros(size, dtype=bool), np.zeros(size)
    whole = np.zeros((size[0], size[1] + 1))
    for x0, y0, x1, y1 in _pieces(shape.edges, side_px):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        column, row = np.floor(x / side_px).astype(int), np.floor(y / side_px).astype(int)
        near = (row < size[0]) & (column < size[1])
        # What runs along a line of the grid is in neither of the squares beside it.
        inside = near & _is_between(x - column * side_px, side_px) & _is_between(y - row * side_px, side_px)
        touched[row[inside], column[inside]] = True
        drop, row, column = (y1 - y0)[near], row[near], column[near]
        np.add.at(part, (row, column), drop * ((column + 1) * side_px - x[near]))
        np.add.at(whole, (row, column + 1), drop * side_px)
    area = part + np.cumsum(whole, axis=1)[:, :-1]
    return touched | (area > side_px**2 / 2), area


def _is_between(offset: Floats, side_px: float) -> Bools:
    return np.asarray((offset > ROUNDING_PX) & (offset < side_px - ROUNDING_PX))


def in_region(shape: Shape, xs: Floats, ys: Floats) -> Bools:
    """Which points, in level-0 px, lie in a region."""
    return _winding(shape.edges, xs, ys) > 0


def _winding(edges: Floats, xs: Floats, ys: Floats) -> NDArray[np.int64]:
    """How often the edges go around each point; one on an edge belongs to what is on the right of it, or below."""
    x0, y0, x1, y1 = edges.T
    # From the upper end down, whichever way the edge goes: neighbours that share it get the same number.
    up = y0 > y1
    left, top, right, bottom = np.where(up, x1, x0), np.where(up, y1, y0), np.where(up, x0, x1), np.where(up, y0, y1)
    turn = np.where(up, -1, 1)
    found = np.zeros(len(xs), dtype=np.int64)
    near = np.flatnonzero((top.min() <= ys) & (ys < bottom.max()) & (np.minimum(left, right).min() <= xs))
    # In the order of their rows, so that few edges are looked at for each few points.
    near = near[np.argsort(ys[near], kind="stable")]
    for start in range(0, len(near), POINTS):
        some = near[start : start + POINTS]
        x, y = xs[some], ys[some]
        level = np.flatnonzero((top <= y[-1]) & (y[0] < bottom))
        point, which = np.nonzero((top[level] <= y[:, None]) & (y[:, None] < bottom[level]))
        edge = level[which]
        ahead = (y[point] - top[edge]) * (right[edge] - left[edge]) / (bottom[edge] - top[edge])
        before = left[edge] + ahead <= x[point]
        found[some] = np.bincount(point[before], turn[edge[before]], len(some))
    return found


def tell_regions(
    shapes: Sequence[Shape],
    plan: Plan,
    tables: Mapping[str, Path],
    areas: Mapping[str, Callable[[Shape], RegionAreasPart]] | None = None,
) -> tuple[RegionPart, ...]:
    """What was found in each region.

    Parameters
    ----------
    tables
        Parquet files of findings by the name of their measure; read as a stream.
    areas
        What measures the areas of classes in a region, by the name of the measure.
    """
    counts = {name: _count(shapes, path) for name, path in tables.items()}
    told = (
        _tell(shape, plan, {name: found[index] for name, found in counts.items()}) for index, shape in enumerate(shapes)
    )
    return tuple(
        part.model_copy(update={"areas": {name: measure(shape) for name, measure in (areas or {}).items()}})
        for shape, part in zip(shapes, told, strict=True)
    )


def _tell(shape: Shape, plan: Plan, findings: dict[str, int]) -> RegionPart:
    px_mm2 = (plan.frame.level0_mpp / 1000) ** 2
    _, area = cover_cells(shape, plan.grid.cell_px * plan.frame.scale, plan.analysed.shape)
    # The sum's rounding must not make the tissue larger than its region.
    tissue_mm2 = min(float(area[plan.analysed].sum()), shape.area_px) * px_mm2
    return RegionPart(
        name=shape.name,
        area_mm2=shape.area_px * px_mm2,
        tissue_mm2=tissue_mm2,
        findings=findings,
        per_mm2={name: count / tissue_mm2 for name, count in findings.items()},
    )


def _count(shapes: Sequence[Shape], path: Path) -> list[int]:
    counts = [0] * len(shapes)
    with pq.ParquetFile(path) as table:
        # Some tables keep more than counts.
        judged = ["counted"] if "counted" in table.schema_arrow.names else []
        for batch in table.iter_batches(BATCH, columns=["x_px", "y_px", *judged]) if shapes else ():
            rows = batch.filter(batch.column("counted")) if judged else batch
            xs, ys = (rows.column(name).to_numpy() for name in ("x_px", "y_px"))
            for index, shape in enumerate(shapes):
                counts[index] += int(in_region(shape, xs, ys).sum())
    return counts


def _shape(region: Region) -> Shape:
    rings = (
        _oriented(np.array(ring), outer=index == 0)
        for polygon in region.geometry.polygons
        for index, ring in enumerate(polygon)
    )
    edges = np.concatenate([np.hstack((ring[:-1], ring[1:])) for ring in rings])
    return Shape(region.name, edges[(edges[:, :2] != edges[:, 2:]).any(axis=1)])


def _oriented(ring: Floats, *, outer: bool) -> Floats:
    return ring if (_signed_area(np.hstack((ring[:-1], ring[1:]))) > 0) == outer else ring[::-1]


def _signed_area(edges: Floats) -> float:
    """Positive where edges go down on the left side of their area, as `cover_cells` has it."""
    x0, y0, x1, y1 = edges.T
    return float(((y0 - y1) * (x0 + x1)).sum() / 2)


def _check_inside(shape: Shape, info: SlideInfo | SlidePart) -> None:
    left, top = shape.edges[:, :2].min(axis=0)
    right, bottom = shape.edges[:, :2].max(axis=0)
    if left < 0 or top < 0 or right > info.width_px or bottom > info.height_px:
        raise RegionsInvalidError(
            f"The region {shape.name!r} reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}); the slide has "
            f"{info.width_px} x {info.height_px} px.",
            "Regions are given in level-0 px, from the slide's upper left corner.",
        )


def _crosses_itself(edges: Floats) -> bool:
    """True where two edges cross; edges that only touch do not."""
    for start in range(0, len(edges), CHUNK):
        some, rest = edges[start : start + CHUNK], edges[start:]
        one, other = _near(some, rest)
        if (_parts(some[one], rest[other]) & _parts(rest[other], some[one])).any():
            return True
    return False


def _covers_itself(edges: Floats) -> bool:
    """True where an edge has anything but the inside on one side and the outside on the other."""
    away = (edges[:, 2:] - edges[:, :2])[:, ::-1] * (1e-6, -1e-6)
    middle = (edges[:, :2] + edges[:, 2:]) / 2
    points = np.concatenate((middle + away, middle - away))
    around = _winding(edges, points[:, 0], points[:, 1])
    return bool(((around < 0) | (around > 1)).any())


def _near(some: Floats, rest: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of edges whose bounding boxes meet."""
    meets = np.ones((len(some), len(rest)), dtype=bool)
    for axis in (0, 1):
        first, last = some[:, axis, None], some[:, axis + 2, None]
        begin, end = rest[:, axis], rest[:, axis + 2]
        meets &= np.maximum(first, last) >= np.minimum(begin, end)
        meets &= np.minimum(first, last) <= np.maximum(begin, end)
    one, other = np.nonzero(meets)
    return one, other


def _parts(one: Floats, other: Floats) -> Bools:
    """Where the ends of `other` lie on different sides of `one`'s line."""
    dx, dy = one[:, 2] - one[:, 0], one[:, 3] - one[:, 1]
    first = dx * (other[:, 1] - one[:, 1]) - dy * (other[:, 0] - one[:, 0])
    second = dx * (other[:, 3] - one[:, 1]) - dy * (other[:, 2] - one[:, 0])
    return np.asarray(((first > 0) & (second < 0)) | ((first < 0) & (second > 0)))


def _pieces(edges: Floats, side_px: float) -> Iterator[Floats]:
    """The edges, cut where they meet a line of the grid: (4, n) arrays of x0, y0, x1, y1."""
    for start in range(0, len(edges), CHUNK):
        some = edges[start : start + CHUNK]
        owners, cuts = [np.arange(len(some))] * 2, [np.zeros(len(some)), np.ones(len(some))]
        for axis in (0, 1):
            owner, cut = _cuts(some[:, axis], some[:, axis + 2], side_px)
            owners.append(owner)
            cuts.append(cut)
        owner, cut = np.concatenate(owners), np.concatenate(cuts)
        order = np.lexsort((cut, owner))
        owner, cut = owner[order], cut[order]
        points = some[owner, :2] + cut[:, None] * (some[owner, 2:] - some[owner, :2])
        same = owner[1:] == owner[:-1]
        yield np.hstack((points[:-1], points[1:]))[same].T


def _cuts(first: Floats, last: Floats, side_px: float) -> tuple[NDArray[np.int64], Floats]:
    """(edge, place along it from 0 to 1) of each line of the grid between the ends of an edge."""
    low, high = np.minimum(first, last), np.maximum(first, last)
    begin = np.floor(low / side_px).astype(np.int64) + 1
    count = np.maximum(np.ceil(high / side_px).astype(np.int64) - begin, 0)
    owner = np.repeat(np.arange(len(first)), count)
    line = (begin[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)) * side_px
    return owner, (line - first[owner]) / (last[owner] - first[owner])
