"""Areas of a stored map over the slide, in regions and in its densest fields: tiny maps, expected by counting."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.manifest import OutputSpec
from models.measures_spec import AreasMeasure
from tests.unit.outputs.samples import CLASSES, make_frame, make_spec, store
from workers.engine.fractions import AreasSource, region_areas, slide_areas
from workers.engine.keep import Target
from workers.outputs.spec import NOT_ANALYSED
from workers.regions import Shape
from workers.result_scores import TYPED_SCORES

WIDTH, HEIGHT = 60, 40
MPP, PX_MM2 = 0.5, 0.0005**2
LEVEL0 = 2
"""Level-0 px per map px, as `make_frame` has it."""
OUTPUT = OutputSpec(name="classes", kind="classes", activation="softmax", channels=3, classes=CLASSES)


def values_of(seed: int = 4) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
    values[:, 50:] = NOT_ANALYSED
    values[10:18, 20:28] = 1
    return values


def source_of(folder: Path, values: np.ndarray, **changes) -> AreasSource:
    measure = AreasMeasure.model_construct(
        output="classes",
        **{"positive": "nucleus", "negative": "border", "field_mm2": 64 * PX_MM2, "fields": 2, "block_um": 4.0}
        | {"heat_um": 8.0, "seed": 0}
        | changes,
    )
    spec, frame = make_spec(WIDTH, HEIGHT), make_frame(WIDTH, HEIGHT)
    store(folder, spec, values, frame)
    return AreasSource(measure, Target(spec, OUTPUT, lambda raw, output: raw), folder, frame)


def rectangle(name: str, left: float, top: float, right: float, bottom: float) -> Shape:
    """In map px."""
    corners = np.array([(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]) * float(LEVEL0)
    return Shape(name, np.hstack((corners[:-1], corners[1:])))


def test_fractions_are_of_all_analysed_pixels(tmp_path):
    values = values_of()
    scores = slide_areas(source_of(tmp_path, values), "areas", tmp_path).scores
    background, positive, negative = (int((values == value).sum()) for value in range(3))
    assert scores["nucleus_mm2"] == pytest.approx(positive * PX_MM2)
    assert scores["d_pos"] == pytest.approx(positive / (background + positive + negative))
    assert scores["d_neg"] == pytest.approx(negative / (50 * HEIGHT))
    assert scores["r_pos"] == pytest.approx(positive / (positive + negative))


def test_the_intervals_hold_the_fractions_and_say_how_they_were_made(tmp_path):
    scores = slide_areas(source_of(tmp_path, values_of(), seed=3), "areas", tmp_path).scores
    told = scores["intervals"]
    # 4 um are 8 px: 7 columns, the last of 2 px, by 5 rows
    assert (told["blocks"], told["block_um"], told["draws"], told["seed"]) == (35, 4.0, 2000, 3)
    for name in ("d_pos", "d_neg", "r_pos"):
        assert told[name]["low"] < scores[name] < told[name]["high"]
    for name in ("intervals", "fields"):
        TYPED_SCORES[name].validate_python(scores[name])


def test_the_densest_field_is_the_solid_square_in_level_0_px_and_in_the_geojson(tmp_path):
    found = slide_areas(source_of(tmp_path, values_of()), "areas", tmp_path)
    first, second = found.scores["fields"]
    assert (first["x_px"], first["y_px"], first["side_px"]) == (20 * LEVEL0, 10 * LEVEL0, 8 * LEVEL0)
    assert (first["d_pos"], first["r_pos"], first["negative_mm2"]) == (1, 1, 0)
    assert first["tissue_mm2"] == pytest.approx(first["area_mm2"])
    assert second["positive_mm2"] < first["positive_mm2"]
    features = json.loads((tmp_path / "fields-areas.geojson").read_text())["features"]
    assert [feature["properties"]["name"] for feature in features] == ["field 1", "field 2"]
    ring = features[0]["geometry"]["coordinates"][0]
    assert ring == [[40, 20], [56, 20], [56, 36], [40, 36], [40, 20]]
    assert found.files == (tmp_path / "fields-areas.geojson",)


def test_a_region_is_the_pixels_whose_centre_lies_in_it(tmp_path):
    values = values_of()
    source = source_of(tmp_path, values)
    part = region_areas(source, rectangle("any", 10.4, 5.5, 40.6, 35.49))
    inside = values[5:35, 10:41]
    counts = [int((inside == value).sum()) for value in range(3)]
    assert list(part.class_mm2.values()) == pytest.approx([count * PX_MM2 for count in counts])
    assert part.d_pos == pytest.approx(counts[1] / sum(counts))
    assert part.intervals.r_pos.low < part.r_pos < part.intervals.r_pos.high


def test_regions_that_share_a_border_add_up_to_the_slide(tmp_path):
    source = source_of(tmp_path, values_of())
    scores = slide_areas(source, "areas", tmp_path).scores
    halves = [rectangle("left", 0, 0, 23.5, HEIGHT), rectangle("right", 23.5, 0, WIDTH, HEIGHT)]
    parts = [region_areas(source, shape) for shape in halves]
    for name in ("background", "nucleus", "border"):
        assert sum(part.class_mm2[name] for part in parts) == pytest.approx(scores[f"{name}_mm2"])


def test_a_small_region_has_fractions_and_no_interval(tmp_path):
    part = region_areas(source_of(tmp_path, values_of()), rectangle("small", 20, 10, 28, 18))
    assert (part.d_pos, part.d_neg, part.r_pos) == (1, 0, 1)
    assert part.intervals.r_pos is None
    assert "at least 10" in part.intervals.reason


def test_a_region_beside_the_tissue_has_nothing(tmp_path):
    part = region_areas(source_of(tmp_path, values_of()), rectangle("glass", 51, 1, 59, 9))
    assert (part.d_pos, part.r_pos, sum(part.class_mm2.values())) == (None, None, 0)


def test_a_package_that_names_no_two_classes_gets_areas_alone(tmp_path):
    source = source_of(tmp_path, values_of(), positive=None, negative=None)
    found = slide_areas(source, "areas", tmp_path)
    assert (set(found.scores), found.files, found.heat) == ({f"{item.name}_mm2" for item in CLASSES}, (), None)
    part = region_areas(source, rectangle("any", 0, 0, 9, 9))
    assert (part.d_pos, part.intervals) == (None, None)
