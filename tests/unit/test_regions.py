"""Regions against slow, exact references: which cells they touch, how much of each, which points lie in them."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.errors import NoTissueError, RegionsInvalidError
from tests.array_slide import ArraySlide
from workers.contract.orders import JobOrder
from workers.contract.regions import MAX_REGIONS, MAX_VERTICES, read_regions
from workers.engine.calibrate import sample_boxes
from workers.geometry import Box, Frame
from workers.plan import Grid, make_plan
from workers.regions import Shape, cover_cells, cut_cells, in_region, region_shapes, tell_regions

SIDE, CELLS = 4, 6
SLIDE = SIDE * CELLS
INFO = ArraySlide(np.zeros((SLIDE, SLIDE, 3), dtype=np.uint8), 0.5).info
FRAME = Frame(mpp=0.5, width_px=SLIDE, height_px=SLIDE, level0_mpp=0.5, bounds=Box(0, 0, SLIDE, SLIDE))
GRID = Grid(tile_px=8, halo_px=0, align_px=1, cell_px=SIDE, shard_px=16)
ALL = np.ones((CELLS, CELLS), dtype=bool)

Corners = list[tuple[float, float]]
places = st.tuples(st.integers(0, SLIDE), st.integers(0, SLIDE))


def polygon(*rings: Corners) -> dict:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}


def feature(geometry: dict, name: str | None = None) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name}}


def collection(*features: dict) -> dict:
    return {"type": "FeatureCollection", "features": list(features)}


def square(x: float, y: float, side: float) -> Corners:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def shape_of(document: dict) -> Shape:
    (shape,) = region_shapes(read_regions(document), INFO)
    return shape


@st.composite
def rings(draw: st.DrawFn) -> Corners:
    """Corners on whole px, around some place: mostly a plain polygon, often with edges along the grid's lines."""
    corners = draw(st.lists(places, min_size=3, max_size=8, unique=True))
    middle = tuple(sum(axis) / len(corners) + 0.01 for axis in zip(*corners, strict=True))
    return sorted(corners, key=lambda c: math.atan2(c[1] - middle[1], c[0] - middle[0]))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    try:
        return shape_of(polygon(draw(rings())))
    except RegionsInvalidError:
        assume(False)
        raise


def area_in_box(shape: Shape, box: Box) -> Fraction:
    """Exact: the ring clipped to one side of the box after the other."""
    ring = [(Fraction(x), Fraction(y)) for x, y in shape.edges[:, :2].tolist()]
    for axis, limit, sign in ((0, box.x, 1), (0, box.right, -1), (1, box.y, 1), (1, box.bottom, -1)):
        ring = clip(ring, axis, Fraction(limit), sign)
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return abs(sum((a[0] * b[1] - b[0] * a[1] for a, b in pairs), Fraction(0))) / 2


def clip(ring: list, axis: int, limit: Fraction, sign: int) -> list:
    kept = []
    for one, two in zip(ring, ring[1:] + ring[:1], strict=True):
        first, second = sign * (one[axis] - limit), sign * (two[axis] - limit)
        if first >= 0:
            kept.append(one)
        if first * second < 0:
            part = first / (first - second)
            kept.append(tuple(a + part * (b - a) for a, b in zip(one, two, strict=True)))
    return kept


def holds(shape: Shape, x: int, y: int) -> bool:
    """Exact: the borders that a line to the left of the point meets, half-open both ways."""
    met = 0
    for x0, y0, x1, y1 in shape.edges.tolist():
        if min(y0, y1) <= y < max(y0, y1):
            met += Fraction(x0) + (y - Fraction(y0)) * Fraction(x1 - x0) / Fraction(y1 - y0) <= x
    return met % 2 == 1


@settings(max_examples=25)
@given(shapes())
def test_the_cells_chosen_are_those_that_share_area_with_the_region(shape: Shape) -> None:
    exact = [
        [float(area_in_box(shape, Box(c * SIDE, r * SIDE, SIDE, SIDE))) for c in range(CELLS)] for r in range(CELLS)
    ]
    touched, area = cover_cells(shape, SIDE, (CELLS, CELLS))
    np.testing.assert_array_equal(touched, np.array(exact) > 0)
    np.testing.assert_allclose(area, exact, atol=1e-9)
    assert area.sum() == pytest.approx(shape.area_px)


@settings(max_examples=30)
@given(shapes(), st.sampled_from([0.1, 1 / 3, 1.0007, 4.00027]))
def test_a_scale_s_rounding_touches_no_cell_more(shape: Shape, scale: float) -> None:
    scaled = Shape(shape.name, shape.edges * scale)
    found, exact = (cover_cells(s, side, (CELLS, CELLS)) for s, side in ((scaled, SIDE * scale), (shape, SIDE)))
    np.testing.assert_array_equal(found[0], exact[0])
    np.testing.assert_allclose(found[1], exact[1] * scale**2, atol=1e-9)


@settings(max_examples=20)
@given(shapes())
def test_the_points_in_a_region_are_those_of_an_exact_count(shape: Shape) -> None:
    xs, ys = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(SLIDE + 1), np.arange(SLIDE + 1)))
    expected = [holds(shape, int(x), int(y)) for x, y in zip(xs, ys, strict=True)]
    np.testing.assert_array_equal(in_region(shape, xs, ys), expected)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, SLIDE - 1), st.booleans()), min_size=2, max_size=6), st.data())
def test_regions_that_share_a_border_share_no_point_and_miss_none(line: list, data: st.DataObject) -> None:
    heights = np.linspace(0, SLIDE, len(line)).tolist()
    border = [(x + 0.1 * bent, y) for (x, bent), y in zip(line, heights, strict=True)]
    left = shape_of(polygon([(0, 0), *border, (0, SLIDE)]))
    right = shape_of(polygon([(SLIDE, SLIDE), *border[::-1], (SLIDE, 0)]))
    some = np.array(data.draw(st.lists(places, min_size=1, max_size=50)), dtype=float)
    some = np.concatenate((some, border))
    some = some[(some < SLIDE).all(axis=1)]
    both = in_region(left, some[:, 0], some[:, 1]).astype(int) + in_region(right, some[:, 0], some[:, 1])
    assert (both == 1).all()
    areas = [cover_cells(shape, SIDE, (CELLS, CELLS))[1] for shape in (left, right)]
    np.testing.assert_allclose(areas[0] + areas[1], SIDE**2)


def test_a_hole_is_not_in_the_region() -> None:
    shape = shape_of(polygon(square(0, 0, 24), square(4, 4, 16)))
    touched, area = cover_cells(shape, SIDE, (CELLS, CELLS))
    assert touched.sum() == 36 - 16
    assert area.sum() == shape.area_px == 24**2 - 16**2
    assert in_region(shape, np.array([2.0, 12.0, 4.0, 20.0]), np.array([2.0, 12.0, 12.0, 12.0])).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_the_way_round_does_not_matter() -> None:
    one, other = shape_of(polygon(square(3, 3, 9))), shape_of(polygon(square(3, 3, 9)[::-1]))
    assert one.area_px == other.area_px == 81
    np.testing.assert_array_equal(cover_cells(one, SIDE, (6, 6))[1], cover_cells(other, SIDE, (6, 6))[1])


def test_a_region_on_the_grid_s_lines_takes_no_cell_beside_it() -> None:
    touched = cover_cells(shape_of(polygon(square(4, 8, 8))), SIDE, (CELLS, CELLS))[0]
    assert np.argwhere(touched).tolist() == [[2, 1], [2, 2], [3, 1], [3, 2]]


def test_what_is_behind_the_last_cell_is_left_out() -> None:
    touched, area = cover_cells(shape_of(polygon(square(15, 15, 9))), SIDE, (4, 4))
    assert np.argwhere(touched).tolist() == [[3, 3]]
    assert area.sum() == 1


def test_only_tissue_is_cut_to_and_a_region_without_any_is_named() -> None:
    tissue = ALL.copy()
    tissue[:, 3:] = False
    inside, outside = feature(polygon(square(9, 1, 6)), "inside"), feature(polygon(square(16, 1, 4)), "beside")
    shapes = region_shapes(read_regions(inside), INFO)
    assert np.argwhere(cut_cells(tissue, shapes, FRAME, GRID)).tolist() == [[0, 2], [1, 2]]
    assert cut_cells(tissue, (), FRAME, GRID) is tissue
    with pytest.raises(NoTissueError, match="beside"):
        cut_cells(tissue, region_shapes(read_regions(collection(inside, outside)), INFO), FRAME, GRID)


def test_what_is_fitted_once_per_slide_does_not_depend_on_the_regions() -> None:
    cut = cut_cells(ALL, region_shapes(read_regions(polygon(square(9, 1, 6))), INFO), FRAME, GRID)
    whole, part = make_plan(FRAME, GRID, ALL), make_plan(FRAME, GRID, cut, ALL)
    assert part.tissue_px < whole.tissue_px
    assert sample_boxes(part, 10, SIDE) == sample_boxes(whole, 10, SIDE)


def test_findings_tissue_and_density_are_told_per_region(tmp_path: Path) -> None:
    xs, ys = [0.0, 12.0, 11.9, 30.0], [0.0, 0.0, 23.0, 3.0]
    pq.write_table(pa.table({"x_px": xs, "y_px": ys}), tmp_path / "cells.parquet")
    halves = collection(
        feature(polygon([(0, 0), (12, 0), (12, 24), (0, 24)]), "left"),
        feature(polygon([(12, 0), (24, 0), (24, 24), (12, 24)])),
    )
    tissue = ALL.copy()
    tissue[:, 4:] = False
    found = region_shapes(read_regions(halves), INFO)
    plan = make_plan(FRAME, GRID, cut_cells(tissue, found, FRAME, GRID), tissue)
    left, right = tell_regions(found, plan, {"cells": tmp_path / "cells.parquet"})
    px_mm2 = 0.0005**2
    assert (left.name, right.name) == ("left", "region-2")
    assert (left.findings, right.findings) == ({"cells": 2}, {"cells": 1})
    assert left.area_mm2 == pytest.approx(12 * 24 * px_mm2)
    assert right.tissue_mm2 == pytest.approx(4 * 24 * px_mm2)
    assert right.per_mm2["cells"] == pytest.approx(1 / (4 * 24 * px_mm2))
    assert tell_regions((), plan, {"cells": tmp_path / "cells.parquet"}) == ()


OK = polygon(square(1, 1, 4))
REFUSED = {
    "no document": (None, "type None"),
    "a point": ({"type": "Point", "coordinates": [1, 2]}, "'Point'"),
    "no coordinates": ({"type": "Polygon"}, "Field required"),
    "a feature of a line": (feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}), "LineString"),
    "no feature": (collection(), "at least 1"),
    "too many": (collection(*[feature(OK, str(i)) for i in range(MAX_REGIONS + 1)]), "at most 100"),
    "too fine": (polygon([(i, i * i) for i in range(MAX_VERTICES + 1)]), "10001 vertices"),
    "text": (polygon([("0", 0), (1, 0), (1, 1)]), "valid number"),
    "endless": (polygon([(math.inf, 0), (1, 0), (1, 1)]), "finite"),
    "three numbers": (polygon([(0, 0, 0), (1, 0, 0), (1, 1, 0)]), "at most 2"),
    "open": ({"type": "Polygon", "coordinates": [square(1, 1, 4)]}, "not closed"),
    "a line": (polygon([(0, 0), (1, 0), (0, 0), (1, 0)]), "2 of them distinct"),
    "two of one name": (collection(feature(OK, "a"), feature(OK, "a")), "'a'"),
    "a name that is taken": (collection(feature(OK, "region-2"), feature(OK)), "'region-2'"),
    "left of the slide": (polygon(square(-1, 1, 4)), "24 x 24 px"),
    "behind the slide": (polygon(square(21, 1, 4)), "(25, 5)"),
    "a bow tie": (polygon([(0, 0), (8, 8), (8, 0), (0, 8)]), "crosses or covers itself"),
    "twice the same": (
        {"type": "MultiPolygon", "coordinates": [OK["coordinates"], OK["coordinates"]]},
        "crosses or covers itself",
    ),
    "one in the other": (
        {"type": "MultiPolygon", "coordinates": [polygon(square(0, 0, 9))["coordinates"], OK["coordinates"]]},
        "crosses or covers itself",
    ),
    "a hole beside": (polygon(square(0, 0, 4), square(8, 8, 4)), "crosses or covers itself"),
    "flat": (polygon([(0, 0), (4, 4), (8, 8)]), "no area"),
}


@pytest.mark.parametrize(("document", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_region_is_refused_with_the_reason(document: object, said: str) -> None:
    with pytest.raises(RegionsInvalidError) as refused:
        region_shapes(read_regions(document), INFO)
    assert said in str(refused.value)
    assert refused.value.slug == "regions-invalid"
    assert refused.value.remedy


def test_every_form_of_one_region_is_the_same_region() -> None:
    forms = [OK, feature(OK), collection(feature(OK)), feature(OK) | {"id": 7, "bbox": [1, 1, 5, 5]}]
    assert len({read_regions(form).digest for form in forms}) == 1
    assert read_regions(feature(OK, "a")).digest != read_regions(OK).digest


def test_an_order_comes_back_from_its_text_with_the_same_digest() -> None:
    order = JobOrder(package="nuclei@1.0.0", parameters={"grow_px": 2, "force": True}, regions=feature(OK, "a"))
    again = JobOrder.model_validate(json.loads(order.canonical_json()))
    assert again == order
    assert again.digest == order.digest
    assert [type(value) for value in again.parameters.values()] == [bool, int]
    assert JobOrder(package="nuclei@1.0.0").digest != order.digest
    with pytest.raises(RegionsInvalidError):
        JobOrder(package="nuclei@1.0.0", regions={"type": "Point"})
