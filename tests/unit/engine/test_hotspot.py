"""What the scores say of hotspots, and the contact sheet of what they hold."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from models.measures_spec import PointsMeasure
from tests.array_slide import ArraySlide
from tests.toy_predictor import toy_manifest
from tests.unit.review.made import made_result
from workers.engine.hotspot import find_hotspots, tell_hotspots, unfilled_texts
from workers.engine.sheet import write_sheet
from workers.geometry import Box, Frame
from workers.measures.points import Point
from workers.outputs.figures import COLUMNS, FIELD_UM, SIDE_PX
from workers.outputs.picture import BAND_PX
from workers.outputs.place import Place, place_of
from workers.plan import Plan, cell_shape, choose_grid, make_plan

RADIUS_UM = 50.0
MEASURE = PointsMeasure(
    output="heat",
    component_threshold=0.3,
    detection_threshold=0.5,
    min_distance_um=5,
    label="spot",
    hotspot_mm2=math.pi * RADIUS_UM**2 / 1e6,
    theta1=1,
    theta2=2,
)
FRAME = Frame(mpp=0.5, width_px=2048, height_px=1024, level0_mpp=0.25, bounds=Box(0, 0, 4096, 2048))
PLACE = place_of(FRAME, 2)
"""Map px are 1 um, and 4 level-0 px."""
SPOTS = [(100, 100), (110, 100), (120, 100), (600, 300), (610, 300), (900, 100), (300, 400)]
POINTS = [Point(index, float(x), float(y), 0.9 - index / 10) for index, (x, y) in enumerate(SPOTS)]


@pytest.fixture(scope="module")
def plan() -> Plan:
    manifest = toy_manifest(kind="classes")
    grid = choose_grid(manifest.grid, manifest.outputs)
    return make_plan(FRAME, grid, np.ones(cell_shape(FRAME, grid), dtype=bool))


def told(plan: Plan, points: list[Point], **changes) -> dict:
    measure = MEASURE.model_copy(update=changes)
    found = find_hotspots(points, PLACE, measure.hotspots, measure.hotspot_mm2)
    return tell_hotspots(found, points, PLACE, plan, measure)


def test_hotspots_are_told_in_level_0_px_the_densest_first(plan):
    scores = told(plan, POINTS)
    assert [disc["count"] for disc in scores["hotspots"]] == [3, 2, 1]
    assert [(disc["x_px"], disc["y_px"]) for disc in scores["hotspots"]] == [(440, 400), (2420, 1200), (3600, 400)]
    assert [disc["radius_px"] for disc in scores["hotspots"]] == pytest.approx([4 * RADIUS_UM] * 3)
    first = scores["hotspots"][0]
    assert {name: scores["hotspot"][name] for name in first} == first
    assert len(told(plan, POINTS, hotspots=20)["hotspots"]) == 4


def test_the_grade_is_of_the_percentile_by_the_thresholds_of_the_package(plan):
    scores = told(plan, POINTS)
    score = scores["hotspot"]["percentile_95"]
    assert 1 < score < 3
    for theta1, theta2, grade in ((score, 9, 1), (score - 0.1, score, 2), (0, score - 0.1, 3)):
        assert told(plan, POINTS, theta1=theta1, theta2=theta2)["grade"] == {
            "grade": grade,
            "proliferation_score": score,
            "theta1": theta1,
            "theta2": theta2,
        }
    assert "grade" not in told(plan, POINTS, theta1=None, theta2=None)


def test_without_a_detection_there_is_no_hotspot_and_the_lowest_grade(plan):
    scores = told(plan, [])
    assert scores["hotspots"] == []
    empty = [scores["hotspot"][name] for name in ("count", "x_px", "y_px", "percentile_95")]
    assert empty == [0, None, None, None]
    assert (scores["grade"]["grade"], scores["grade"]["proliferation_score"]) == (1, 0.0)
    assert tell_hotspots((), [], PLACE, plan, MEASURE.model_copy(update={"hotspot_mm2": None})) == {}


def test_what_is_told_is_of_the_form_the_result_has_and_keeps_its_order(plan):
    points = {"class": "spot", "count": 7, **told(plan, POINTS), "per_mm2": 1.5}
    result = made_result(scores={"points": points, "areas": {"dark_mm2": 0.1}})
    assert list(result.scores["points"]) == list(points)
    assert json.loads(result.model_dump_json())["scores"]["points"] == points
    for name, wrong in (("grade", {"grade": 4}), ("hotspots", [{"count": 1}]), ("hotspot", points["grade"])):
        with pytest.raises(ValidationError):
            made_result(scores={"points": points | {name: wrong}})


def test_a_hotspot_larger_than_the_tissue_is_warned_of():
    manifest = toy_manifest(kind="classes").model_copy(update={"measures": (MEASURE,)})
    area = MEASURE.hotspot_mm2
    assert unfilled_texts(manifest, area) == []
    (text,) = unfilled_texts(manifest, area / 2)
    assert "less than" in text
    assert unfilled_texts(toy_manifest(kind="classes"), 0.1) == []


def test_the_sheet_shows_what_each_hotspot_is_most_certain_of(tmp_path: Path):
    # every place in a colour of its own: red says where in x, green where in y
    ys, xs = np.mgrid[:1024, :2048]
    rgb = np.stack((xs // 8, ys // 8, np.zeros_like(xs)), axis=-1).astype(np.uint8)
    crowd = [Point(i, 200.0 + 4 * i, 300.0, 0.99 - i / 100) for i in range(12)]
    place = Place(mpp=1.0, level0_mpp=0.5, bounds=Box(0, 0, 2048, 1024))
    hotspots = find_hotspots([*crowd, Point(12, 700.0, 200.0, 0.5)], place, 3, MEASURE.hotspot_mm2)
    write_sheet(tmp_path / "sheet.png", ArraySlide(rgb, 0.5), hotspots, place, mpp=0.5, title="Toy")
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture.convert("RGB")).astype(int)
    fields = find_fields(sheet)
    # ten of twelve, five in a row, then the one of the second hotspot
    assert [len(row) for row in fields] == [COLUMNS, COLUMNS, 1]
    shown = [sheet[y + SIDE_PX // 2, x + SIDE_PX // 2] for row in fields for x, y in row]
    for (red, green, _), point in zip(shown, [*crowd[:10], Point(12, 700.0, 200.0, 0.5)], strict=True):
        assert (red, green) == (pytest.approx(point.x * 2 / 8, abs=1), pytest.approx(point.y * 2 / 8, abs=1))
    x, y = fields[0][0]
    across = sheet[y + SIDE_PX // 2, x + SIDE_PX - 2, 0] - sheet[y + SIDE_PX // 2, x + 1, 0]
    assert across == pytest.approx(FIELD_UM / 0.5 / 8, abs=1)


def find_fields(sheet: np.ndarray) -> list[list[tuple[int, int]]]:
    """Upper left corners of the fields, row by row: no blue is in them, and white or grey everywhere else."""
    inside = (sheet[..., 2] == 0) & (np.arange(len(sheet)) >= BAND_PX)[:, None]
    rows = np.flatnonzero(inside.sum(axis=1) > SIDE_PX // 3)
    tops = [row for row in rows if row - 1 not in rows]
    found = []
    for top in tops:
        middle = inside[top + SIDE_PX * 3 // 4]
        lefts = np.flatnonzero(middle & ~np.roll(middle, 1))
        found.append([(int(left), int(top)) for left in lefts])
    return found
