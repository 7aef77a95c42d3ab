"""Shares, means and regions of tiles, and their heat maps, on maps painted by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from models.manifest import ClassSpec, OutputSpec
from models.measures_spec import TilesMeasure
from tests.unit.outputs.samples import store
from workers.engine import tile_classes
from workers.engine.keep import Target
from workers.engine.tile_classes import TilesSource, region_tiles, score_tiles, write_tile_heats
from workers.geometry import Box, Frame
from workers.outputs.maps import MapSpec, fill_of
from workers.outputs.picture import BAND_PX, MIN_WIDTH_PX
from workers.plan import Grid, cell_shape, make_plan
from workers.regions import Shape
from workers.result_scores import TileClassPart

SIDE = 128
FRAME = Frame(mpp=0.5, width_px=8 * SIDE, height_px=4 * SIDE, level0_mpp=0.25, bounds=Box(0, 0, 16 * SIDE, 8 * SIDE))
GRID = Grid(tile_px=SIDE, halo_px=0, align_px=SIDE, cell_px=SIDE, shard_px=4 * SIDE)
CLASSES = tuple(
    ClassSpec(name=name, colour=(9, 9, 9), background=name == "glass")
    for name in ("Tumor", "In situ", "in-situ", "glass")
)
CELLS = np.ones((4, 8), bool)
CELLS[0] = False
CELLS[3, 4:] = False
"""20 of 32 tiles are analysed."""


def map_spec(name: str, kind: str, channels: int) -> MapSpec:
    classes = CLASSES if kind in ("classes", "probabilities") else ()
    return MapSpec(name, kind, channels, SIDE, 8, 4, 4, 4, fill_of(kind), classes)


def target(spec: MapSpec) -> Target:
    output = OutputSpec(name=spec.name, kind="heat", activation="sigmoid", channels=1)
    return Target(spec, output, lambda raw, _: raw.astype(np.uint8))


@pytest.fixture
def source(tmp_path: Path) -> TilesSource:
    """Tumor in the last two columns with a probability of 0.6, In situ elsewhere with 0.8."""
    assert cell_shape(FRAME, GRID) == CELLS.shape
    plan = make_plan(FRAME, GRID, CELLS)
    columns = np.broadcast_to(np.arange(8), (4, 8))
    classes = np.where(CELLS, np.where(columns >= 6, 0, 1), 255).astype(np.uint8)
    likely = np.stack([np.where(columns >= 6, 153, 51), np.where(columns >= 6, 102, 204), *np.zeros((2, 4, 8))])
    hard, soft = map_spec("tiles", "classes", 1), map_spec("tiles-probabilities", "probabilities", 4)
    store(tmp_path, hard, classes)
    store(tmp_path, soft, np.where(CELLS, likely, 0).astype(np.uint8))
    return TilesSource(TilesMeasure(output="tiles"), target(hard), target(soft), tmp_path, plan)


@pytest.fixture
def heat(tmp_path: Path) -> TilesSource:
    """Probability 0 but in two tiles: shards of zeros have no file, and their tiles count all the same."""
    spec = map_spec("tiles", "heat", 1)
    values = np.zeros((4, 8), np.uint8)
    values[1, 0], values[2, 3] = 255, 102
    store(tmp_path, spec, values)
    measure = TilesMeasure(output="tiles", label="Tumor", threshold=0.4)
    return TilesSource(measure, target(spec), None, tmp_path, make_plan(FRAME, GRID, CELLS))


def parts(values: list) -> dict[str, TileClassPart]:
    return {part.name: part for part in TypeAdapter(tuple[TileClassPart, ...]).validate_python(values)}


def test_shares_and_means_are_over_the_analysed_tiles(source, tmp_path):
    scores, files = score_tiles(source, "tiles", tmp_path)
    found = parts(scores["tile_classes"])
    assert (scores["tiles"], scores["tile_um"]) == (20, 64.0) and "threshold" not in scores
    assert (found["Tumor"].tiles, found["In situ"].tiles, found["in-situ"].tiles) == (4, 16, 0)
    assert found["Tumor"].share == 0.2 and found["glass"].share == 0
    assert found["Tumor"].mean_probability == pytest.approx((4 * 0.6 + 16 * 0.2) / 20)
    assert found["In situ"].area_mm2 == pytest.approx(16 * 0.064**2)
    assert [path.name for path in files] == ["tiles.geojson", "tiles.parquet", "tiles.csv"]
    placed = [f["geometry"]["coordinates"][0][0] for f in json.loads(files[0].read_bytes())["features"]]
    assert len(placed) == 20 and {tuple(p) for p in placed} == {
        (int(x) * 256, int(y) * 256) for y, x in np.argwhere(CELLS)
    }


def test_without_probabilities_there_are_none(source, tmp_path):
    bare = replace(source, likely=None)
    found = parts(score_tiles(bare, "tiles", tmp_path)[0]["tile_classes"])
    assert found["Tumor"].share == 0.2 and found["Tumor"].mean_probability is None
    assert write_tile_heats(bare, "tiles", tmp_path, np.zeros((8, 8, 3), np.uint8), "t") == []


def test_a_heat_map_is_cut_at_its_threshold(heat, tmp_path):
    scores, _ = score_tiles(heat, "tiles", tmp_path)
    found = parts(scores["tile_classes"])
    assert scores["threshold"] == 0.4 and scores["tiles"] == 20
    assert (found["Tumor"].tiles, found["not Tumor"].tiles) == (2, 18)
    assert found["Tumor"].mean_probability == pytest.approx(1.4 / 20) and found["not Tumor"].mean_probability is None
    stricter = replace(heat, measure=heat.measure.model_copy(update={"threshold": 0.41}))
    assert parts(score_tiles(stricter, "tiles", tmp_path)[0]["tile_classes"])["Tumor"].tiles == 1


def test_a_region_has_the_tiles_whose_middle_lies_in_it(source):
    # From column 5 on, and half of row 1: the middles of its tiles are on the border, which is outside below.
    left, top, right, bottom = 5 * 256, 0, 8 * 256, 1.5 * 256
    corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
    edges = np.array([(*a, *b) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)], float)
    assert sum(part.tiles for part in region_tiles(source, Shape("r", edges))) == 0
    edges[:, [1, 3]] = np.where(edges[:, [1, 3]] == bottom, 2 * 256, edges[:, [1, 3]])
    found = {part.name: part for part in region_tiles(source, Shape("r", edges))}
    assert (found["Tumor"].tiles, found["In situ"].tiles) == (2, 1)
    assert found["In situ"].share == pytest.approx(1 / 3)
    assert found["Tumor"].mean_probability == pytest.approx((0.6 + 0.6 + 0.2) / 3)


def test_each_class_has_a_heat_map_but_the_background(source, tmp_path):
    grey = np.full((4 * 16, 8 * 16, 3), 100, np.uint8)
    paths = write_tile_heats(source, "tiles", tmp_path, grey, "Tiles")
    assert [path.name for path in paths] == [
        "heat-tiles-tumor.png",
        "heat-tiles-in-situ.png",
        "heat-tiles-in-situ-2.png",
    ]
    with Image.open(paths[0]) as image:
        pixels = np.asarray(image.convert("RGB"))
    left = (MIN_WIDTH_PX - grey.shape[1]) // 2
    shown = pixels[BAND_PX : BAND_PX + grey.shape[0], left : left + grey.shape[1]].astype(int)
    assert (shown[:16] == 100).all() and (shown[48:, 64:] == 100).all()
    sure, unsure = shown[20, 100], shown[20, 20]
    assert (shown[16:48, 96:] == sure).all() and (shown[16:48, :96] == unsure).all()
    # Darker where it is more probable.
    assert sure.sum() < unsure.sum()


def test_of_many_classes_some_are_shown(source, tmp_path, monkeypatch):
    monkeypatch.setattr(tile_classes, "MOST_PICTURES", 1)
    assert len(write_tile_heats(source, "tiles", tmp_path, np.zeros((8, 8, 3), np.uint8), "t")) == 1
