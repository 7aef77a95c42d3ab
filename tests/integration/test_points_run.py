"""A package that detects: points, their hotspot and its circle, fractions of areas, and how the slide is stained."""

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.manifest import ClassSpec, GridSpec, InputSpec, OutputSpec
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from models.stain_spec import SeenRange, StainSeen
from tests import making
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.review.verify import verify_result

MPP = 0.5
CROWD = [(900 + 40 * i, 700 + 30 * j) for i in range(3) for j in range(3)]
ALONE = [(300, 300), (1700, 1300), (300, 1300)]
RADIUS_UM = 60.0
HOTSPOT_MM2 = math.pi * RADIUS_UM**2 / 1e6


class Figures(nn.Module):
    """Two outputs: the heat of dark pixels, and classes by brightness with the brightest as background."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        brightness = image.mean(dim=1, keepdim=True)
        classes = [brightness * centre * 2 - centre * centre for centre in (0.1, 0.65, 0.95)]
        return torch.cat(classes, dim=1), 40 * (0.35 - brightness)


def fields(seen: StainSeen) -> dict:
    classes = tuple(
        ClassSpec(name=name, colour=colour, background=name == "rest")
        for name, colour in (("dark", (200, 0, 0)), ("plain", (0, 0, 200)), ("rest", (250, 250, 250)))
    )
    return {
        "name": "figures",
        "version": "1.0.0",
        "title": "Dark spots",
        "task": "detection",
        "stain": "any",
        "runtime": "onnx",
        "grid": GridSpec(mpp=MPP, mpp_min=0.2, mpp_max=2, tile_px=256, halo_px=0),
        "input": InputSpec(),
        "outputs": (
            OutputSpec(name="classes", kind="classes", activation="softmax", channels=3, classes=classes),
            OutputSpec(name="heat", kind="heat", activation="sigmoid", channels=1),
        ),
        "measures": [
            {
                "kind": "points",
                "output": "heat",
                "component_threshold": 0.4,
                "detection_threshold": 0.5,
                "min_distance_um": 5,
                "label": "spot",
                "hotspot_mm2": HOTSPOT_MM2,
                "theta1": 0.5,
                "theta2": len(CROWD),
            },
            {"kind": "areas", "output": "classes", "positive": "dark", "negative": "plain"},
        ],
        "seen": seen,
        "licence": "none",
        "training_data": ("none: arithmetic",),
        "intended_use": "tests",
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    seen = StainSeen(
        images=5,
        mpp=MPP,
        ranges={"density_green": SeenRange(low=0.0, high=9.0), "density_red": SeenRange(low=3.0, high=4.0)},
    )
    tile = making.tissue(128, 128, seed=5)
    network = export_onnx(Figures().eval(), [torch.rand(2, 3, 64, 96)], ["classes", "heat"])
    folder = tmp_path_factory.mktemp("packages") / "figures" / "1.0.0"
    return write_package(folder, fields(seen), {"network.onnx": ("network", network)}, GoldenTile(tile)).folder


def paint(spots: list[tuple[int, int]]) -> np.ndarray:
    """Pink tissue with a faint grain, and a dark disc of 4 px at each spot."""
    rng = np.random.default_rng(1)
    pixels = np.clip(np.array((215, 160, 195)) + rng.integers(-6, 7, (1600, 2000, 3)), 0, 255).astype(np.uint8)
    ys, xs = np.mgrid[:1600, :2000]
    for x, y in spots:
        pixels[(xs + 0.5 - x) ** 2 + (ys + 0.5 - y) ** 2 <= 16] = (40, 20, 50)
    return pixels


def run(folder: Path, package: Path, spots: list[tuple[int, int]]) -> dict:
    slide = making.write_ome(folder / "slide.ome.tif", paint(spots), mpp=MPP / 2)
    run_slide(RunRequest(slide, str(package), folder / "out"), say_nothing, threading.Event())
    return json.loads((folder / "out" / "result.json").read_text())


@pytest.fixture(scope="module")
def result(tmp_path_factory, package) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run")
    return folder / "out", run(folder, package, CROWD + ALONE)


def test_the_hotspot_is_the_crowd_in_level_0_px(result) -> None:
    points = result[1]["scores"]["points"]
    assert (points["class"], points["count"]) == ("spot", len(CROWD) + len(ALONE))
    hotspot = points["hotspot"]
    assert hotspot["count"] == len(CROWD)
    assert hotspot["radius_px"] == pytest.approx(RADIUS_UM / (MPP / 2))
    # the crowd's middle: spots 40 and 30 px apart around (940, 730)
    assert (hotspot["x_px"], hotspot["y_px"]) == (pytest.approx(940, abs=2), pytest.approx(730, abs=2))
    assert 1 <= hotspot["percentile_95"] <= len(CROWD)
    assert 25 <= hotspot["step_um"] <= 75


def test_further_hotspots_hold_what_is_left_and_lie_in_the_geojson_as_circles(result) -> None:
    out, found = result
    told = found["scores"]["points"]["hotspots"]
    assert [disc["count"] for disc in told] == [len(CROWD), 1, 1]
    # of equally full discs the uppermost: the lone spots follow from above
    assert [(disc["x_px"], disc["y_px"]) for disc in told[1:]] == [
        (pytest.approx(x, abs=2), pytest.approx(y, abs=2)) for x, y in ALONE[0:3:2]
    ]
    features = json.loads((out / "hotspots-points.geojson").read_text())["features"]
    assert [feature["properties"]["name"] for feature in features] == ["hotspot 1", "hotspot 2", "hotspot 3"]
    for feature, disc in zip(features, told, strict=True):
        assert feature["properties"]["measurements"]["Count"] == disc["count"]
        (ring,) = feature["geometry"]["coordinates"]
        gaps = np.hypot(*(np.array(ring) - (disc["x_px"], disc["y_px"])).T)
        assert gaps == pytest.approx(disc["radius_px"], abs=0.02)
        assert ring[0] == ring[-1]


def test_the_grade_is_of_the_score_by_the_package_s_thresholds(result) -> None:
    points = result[1]["scores"]["points"]
    score = points["hotspot"]["percentile_95"]
    told = {"grade": 2, "proliferation_score": score, "theta1": 0.5, "theta2": len(CROWD)}
    assert points["grade"] == told


def test_the_contact_sheet_is_one_of_the_files(result) -> None:
    out, found = result
    paths = {part["path"] for part in found["files"]}
    assert {"hotspots-points.png", "hotspots-points.geojson"} <= paths
    with Image.open(out / "hotspots-points.png") as sheet:
        dark = (np.asarray(sheet.convert("RGB")).astype(int) - (40, 20, 50)).__abs__().max(axis=-1) < 40
    # a spot of 8 um has about 1257 px on the sheet, and there are eleven of them
    assert dark.sum() > 11 * 1000


def test_the_result_as_it_was_written_is_verified(result) -> None:
    review = verify_result(result[0])
    assert review.passed, review.failures


def test_fractions_are_of_the_areas(result) -> None:
    scores, tissue_mm2 = result[1]["scores"]["areas"], result[1]["plan"]["tissue_mm2"]
    assert scores["dark_mm2"] > 0
    assert scores["d_pos"] == pytest.approx(scores["dark_mm2"] / tissue_mm2)
    assert scores["d_neg"] == pytest.approx(scores["plain_mm2"] / tissue_mm2)
    assert scores["r_pos"] == pytest.approx(scores["dark_mm2"] / (scores["dark_mm2"] + scores["plain_mm2"]))


def test_a_stain_unseen_is_told_and_one_seen_is_not(result) -> None:
    seen = result[1]["quality"]["seen"]
    assert [item["name"] for item in seen["outside"]] == ["density_red"]
    assert seen["colours"]["density_green"] > 0
    (text,) = [w["text"] for w in result[1]["warnings"] if w["slug"] == "stain-unseen"]
    assert "less red light" in text and "seen 3 to 4" in text


def test_the_circle_is_on_the_overview_of_the_heat(result) -> None:
    out, found = result
    assert red_px(out / "overview-heat.png") > red_px(out / "overview.png") + 500
    assert "detail-points.png" in {part["path"] for part in found["files"]}


def red_px(path: Path) -> int:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - (220, 40, 40)).max(axis=-1) < 50).sum())


def test_without_a_detection_the_hotspot_is_empty(tmp_path, package) -> None:
    points = run(tmp_path, package, [])["scores"]["points"]
    assert points["count"] == 0
    told = {name: points["hotspot"][name] for name in ("count", "x_px", "y_px", "percentile_95")}
    assert told == {"count": 0, "x_px": None, "y_px": None, "percentile_95": None}
    assert (points["hotspots"], points["grade"]["grade"]) == ([], 1)
    assert not (tmp_path / "out" / "hotspots-points.png").exists()
    assert verify_result(tmp_path / "out").passed
