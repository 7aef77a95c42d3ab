import json
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.outputs.samples import CLASSES, make_frame, make_spec, store
from workers.outputs import class_regions
from workers.outputs.class_regions import outline_level, write_class_regions
from workers.outputs.marks import MARK
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid

WIDTH, HEIGHT = 1200, 800
FRAME = make_frame(WIDTH, HEIGHT)


@pytest.fixture
def spec(tmp_path):
    """At 0.5 um: nuclei of 400 x 200 px with a hole of 100 x 100 and of 40 x 40, border of 200 x 200."""
    made = make_spec(WIDTH, HEIGHT, shard=512, chunk=256)
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[100:300, 200:600] = 1
    values[150:250, 300:400] = 0
    values[600:640, 100:140] = 1
    values[400:600, 800:1000] = 2
    values[:, 1100:] = 255
    store(tmp_path, made, values)
    build_pyramid(tmp_path, made)
    return made


def features(tmp_path, spec, min_mm2: float) -> tuple[dict, list[dict]]:
    path = tmp_path / "outlines.geojson"
    write_class_regions(path, tmp_path, spec, place_of(FRAME), min_mm2)
    document = json.loads(path.read_bytes())
    return document["histoserve"], document["features"]


def test_outlines_lie_on_the_slide_with_their_areas_and_holes(tmp_path, spec):
    head, found = features(tmp_path, spec, 0.001)
    assert outline_level(spec, place_of(FRAME)) == 1 and head["outline_mpp"] == 1.0
    assert [f["properties"]["classification"]["name"] for f in found] == ["nucleus", "border"]
    assert found[0]["properties"]["classification"]["color"] == list(CLASSES[1].colour)
    areas = [f["properties"]["measurements"]["Area mm^2"] for f in found]
    assert areas == [pytest.approx((400 * 200 - 100 * 100) * 0.25e-6), pytest.approx(200 * 200 * 0.25e-6)]
    shell, hole = (np.array(ring) for ring in found[0]["geometry"]["coordinates"])
    # Level-0 px are half as wide as the frame's.
    assert (*shell.min(axis=0), *shell.max(axis=0)) == (400, 200, 1200, 600)
    assert (*hole.min(axis=0), *hole.max(axis=0)) == (600, 300, 800, 500)
    assert shell[0].tolist() == shell[-1].tolist()
    assert all(f["properties"]["objectType"] == "annotation" for f in found)


def test_parts_below_the_area_are_left_out(tmp_path, spec):
    assert len(features(tmp_path, spec, 0.0003)[1]) == 3
    head, found = features(tmp_path, spec, 0.012)
    assert [f["properties"]["classification"]["name"] for f in found] == ["nucleus"] and head["smallest_mm2"] == 0.012
    assert features(tmp_path, spec, 1)[1] == []


def test_a_large_map_is_outlined_at_a_coarser_level(tmp_path, spec, monkeypatch):
    monkeypatch.setattr(class_regions, "MAX_PX", 300 * 200)
    assert outline_level(spec, place_of(FRAME)) == 2
    head, found = features(tmp_path, spec, 0.001)
    assert head["outline_mpp"] == 2.0
    shell = np.array(found[0]["geometry"]["coordinates"][0])
    np.testing.assert_allclose((*shell.min(axis=0), *shell.max(axis=0)), (400, 200, 1200, 600), atol=4)


def test_a_virtual_stain_says_so_here_too(tmp_path, spec):
    assert features(tmp_path, replace(spec, virtual="Ki-67"), 1)[0]["virtual"]["mark"] == MARK
    assert "virtual" not in features(tmp_path, spec, 1)[0]
