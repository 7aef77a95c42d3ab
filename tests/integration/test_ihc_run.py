"""A package of IHC cells from end to end: table, shapes, score, fields, regions, refusal, and which maps are kept."""

import csv
import json
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models.errors import RefusedInputError, TooFewCellsError
from models.manifest import GridSpec, InputSpec, OutputSpec
from models.onnx_export import IR_VERSION, OPSET
from models.packaging import GoldenTile, write_package
from service.cli import run_command
from tests import making
from workers.contract.regions import read_regions
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.review.verify import verify_result

MPP = 0.5
BROWN, PALE, BLUE = (120, 70, 30), (205, 175, 150), (90, 100, 180)
SIDE = 1400
RADIUS = 7


def stains_onnx() -> bytes:
    """A mask of what is brown and what is blue, and how dark it is: by subtraction alone."""
    nodes = [
        helper.make_node("Conv", ["image", "difference"], ["redness"]),
        helper.make_node("Greater", ["redness", "limit"], ["is_brown"]),
        helper.make_node("Less", ["redness", "opposite"], ["is_blue"]),
        helper.make_node("Cast", ["is_brown"], ["brown"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["is_blue"], ["blue"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["brown", "nothing"], ["green"]),
        helper.make_node("Concat", ["brown", "green", "blue"], ["seg"], axis=1),
        helper.make_node("Sub", ["one", "image"], ["marker"]),
    ]
    constants = {
        "difference": np.array([1, 0, -1], np.float32).reshape(1, 3, 1, 1),
        "limit": np.float32(0.15),
        "opposite": np.float32(-0.15),
        "nothing": np.float32(0),
        "one": np.float32(1),
    }
    shape = ["n", 3, "height", "width"]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "marker", "seg")
    }
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "stains", [values["image"]], [values["marker"], values["seg"]], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model.SerializeToString()


def fields() -> dict:
    return {
        "name": "stains",
        "version": "1.0.0",
        "title": "Brown and blue discs",
        "task": "multi-output",
        "stain": "any",
        "runtime": "onnx",
        "grid": GridSpec(mpp=MPP, mpp_min=0.2, mpp_max=2, tile_px=256, halo_px=0),
        "input": InputSpec(),
        "outputs": tuple(
            OutputSpec(name=name, kind="image", activation="none", channels=3) for name in ("marker", "seg")
        ),
        "measures": [{"kind": "ihc-cells", "output": "seg", "marker": "marker", "field_cells": 20}],
        "licence": "none",
        "training_data": ("none: arithmetic",),
        "intended_use": "tests",
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packages") / "stains" / "1.0.0"
    tile = GoldenTile(making.tissue(128, 128, seed=5))
    return write_package(folder, fields(), {"network.onnx": ("network", stains_onnx())}, tile).folder


def discs() -> list[tuple[int, int, tuple[int, int, int]]]:
    """A grid of cells 50 px apart: a brown corner of strong and weak ones, the rest blue."""
    found = []
    for row, y in enumerate(range(60, SIDE - 40, 50)):
        for column, x in enumerate(range(60, SIDE - 40, 50)):
            kind = BLUE if row > 5 or column > 5 else (BROWN if column < 3 else PALE)
            found.append((x, y, kind))
    return found


def paint(cells: list[tuple[int, int, tuple[int, int, int]]]) -> np.ndarray:
    """Pink tissue with a faint grain, discs of 7 px, and specks of 1 px."""
    rng = np.random.default_rng(1)
    pixels = np.clip(np.array((215, 160, 195)) + rng.integers(-6, 7, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    ys, xs = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    inside = xs**2 + ys**2 <= RADIUS**2
    for x, y, colour in cells:
        pixels[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1][inside] = colour
    for x, y, _ in cells[::10]:
        pixels[y + 20 : y + 24, x + 20 : x + 24] = BLUE
    return pixels


def write_slide(folder: Path, cells: list) -> Path:
    options = making.lossless_options()
    return making.write_pyramid(folder / "slide.tiff", paint(cells), mpp=MPP, options=options)


def run(folder: Path, package: Path, cells: list, **asked) -> dict:
    slide = write_slide(folder, cells)
    run_slide(RunRequest(slide, str(package), folder / "out", **asked), say_nothing, threading.Event())
    return json.loads((folder / "out" / "result.json").read_text())


SQUARE = {
    "type": "Feature",
    "properties": {"name": "corner"},
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [385, 0], [385, 385], [0, 385], [0, 0]]]},
}
WHOLE = {
    "type": "Feature",
    "properties": {"name": "all"},
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE], [0, 0]]]},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory, package) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run")
    regions = read_regions({"type": "FeatureCollection", "features": [SQUARE, WHOLE]})
    return folder / "out", run(folder, package, discs(), regions=regions)


def test_the_score_is_that_of_the_drawn_cells(result) -> None:
    scores = result[1]["scores"]["ihc-cells"]
    drawn = discs()
    positive = sum(kind != BLUE for *_, kind in drawn)
    assert scores["cells"]["num_total"] == len(drawn)
    assert scores["cells"]["num_pos"] == positive == 36
    assert scores["cells"]["percent_pos"] == pytest.approx(100 * positive / len(drawn))
    assert scores["cells"]["low"] < scores["cells"]["percent_pos"] < scores["cells"]["high"]
    assert scores["ihc_components"] == {
        "counted": len(drawn),
        "rejected": len(drawn[::10]),
        "noise": 0,
        "too_large": 0,
        "too_large_part": 0.0,
    }
    assert (scores["ihc_thresholds"]["size_source"], scores["ihc_thresholds"]["seg"]) == ("found", 120)
    assert 16 <= scores["ihc_thresholds"]["size_px"] < 149


def test_bands_and_h_score_are_of_the_positive_cells(result) -> None:
    scores = result[1]["scores"]["ihc-cells"]
    bands = scores["dab_bands"]
    assert bands["negative"] == scores["cells"]["num_neg"]
    # half of the brown corner is dark, half pale
    assert (bands["weak"], bands["moderate"] + bands["strong"]) == (18, 18)
    weighted = bands["weak"] + 2 * bands["moderate"] + 3 * bands["strong"]
    assert bands["h_score"] == pytest.approx(100 * weighted / scores["cells"]["num_total"])


def test_regions_have_shares(result) -> None:
    corner, whole = result[1]["regions"]
    # cells at 60, 110, ... 360: seven of them on a side, six of those brown
    assert corner["findings"] == {"ihc-cells": 49}
    assert corner["cells"]["ihc-cells"]["num_pos"] == 36
    assert whole["cells"]["ihc-cells"]["num_total"] == len(discs())


def test_the_hottest_field_is_in_the_brown_corner(result) -> None:
    out, found = result
    told = found["scores"]["ihc-cells"]["cell_fields"]
    hottest = told["hottest"]
    assert hottest["cells"]["num_total"] >= 20 and hottest["cells"]["percent_pos"] == 100
    assert max(hottest["x_px"], hottest["y_px"]) < 400
    shapes = json.loads((out / "fields-ihc-cells.geojson").read_text())["features"]
    assert [shape["properties"]["name"] for shape in shapes] == ["hottest field", "densest field"]


def test_the_tables_agree(result) -> None:
    out, found = result
    table = pq.read_table(out / "ihc-cells.parquet")
    scores = found["scores"]["ihc-cells"]
    counted = table.filter(table["counted"])
    assert (len(table), len(counted)) == (len(discs()) + len(discs()[::10]), len(discs()))
    assert counted["class"].to_pylist().count("positive") == scores["cells"]["num_pos"]
    assert table["cell"].to_pylist() == list(range(len(table)))
    places = {(round(x), round(y)) for x, y in zip(*(counted[n].to_pylist() for n in ("x_px", "y_px")), strict=True)}
    near = {(x + dx, y + dy) for x, y, _ in discs() for dx in (0, 1) for dy in (0, 1)}
    assert places <= near
    with (out / "ihc-cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table)
    assert [row["counted"] for row in rows].count("true") == len(counted)
    assert float(rows[0]["area_um2"]) == pytest.approx(table["area_um2"][0].as_py(), abs=1e-4)
    shapes = json.loads((out / "ihc-cells.geojson").read_text())["features"]
    assert len(shapes) == len(counted)
    names = [shape["properties"]["classification"]["name"] for shape in shapes]
    assert sum(name.startswith("positive") for name in names) == scores["cells"]["num_pos"]
    assert all(shape["geometry"]["coordinates"][0][0] == shape["geometry"]["coordinates"][0][-1] for shape in shapes)


def test_the_result_is_verified_and_has_pictures(result) -> None:
    review = verify_result(result[0])
    assert review.passed, review.failures
    detail = np.asarray(Image.open(result[0] / "detail-ihc-cells.png").convert("RGB"))
    assert (detail == (255, 0, 0)).all(axis=-1).sum() > 500
    overview = np.asarray(Image.open(result[0] / "overview-ihc-cells.png").convert("RGB"))
    assert (overview == (60, 90, 220)).all(axis=-1).sum() > 500


def test_too_few_cells_are_refused_unless_forced(tmp_path, package) -> None:
    few = discs()[:30]
    with pytest.raises(TooFewCellsError, match="Only 30 cells"):
        run(tmp_path, package, few)
    assert not (tmp_path / "out" / "result.json").exists()
    assert not list((tmp_path / "out").glob("*ihc-cells*"))
    forced = run(tmp_path, package, few, parameters={"force": True}, overwrite=True)
    assert forced["scores"]["ihc-cells"]["cells"]["num_total"] == 30
    assert "too-few-cells" in {warning["slug"] for warning in forced["warnings"]}


def test_only_the_maps_asked_for_are_kept(tmp_path, package, capsys) -> None:
    slide = write_slide(tmp_path, discs())
    command = ["run", str(slide), "--package", str(package), "--out", str(tmp_path / "out"), "--json"]
    assert run_command([*command, "--outputs", "seg", "--set", "min_cells=0"]) == 0
    # the measure reads both, so both stay
    kept = {folder["path"] for folder in json.loads(capsys.readouterr().out)["folders"]}
    assert kept == {"maps/marker.ome.zarr", "maps/seg.ome.zarr"}
    with pytest.raises(RefusedInputError, match="dapi"):
        run_slide(
            RunRequest(slide, str(package), tmp_path / "other", outputs=("dapi",)), say_nothing, threading.Event()
        )
