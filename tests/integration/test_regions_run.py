"""Regions and parameters through whole runs: the same cells as without them, whatever the tiles."""

import json
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.errors import NoTissueError, OutputConflictError, ParametersInvalidError, RegionsInvalidError
from models.registry import Package
from tests.e2e.command import digests, histoserve
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
from workers.contract.regions import read_regions
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.regions import Shape, in_region, region_shapes
from workers.result import Result
from workers.slides import open_slide

SIDE_PX = 1600
MARGIN_PX = 24
"""12 um: a cell whose centroid is so far inside of a region lies in it whole."""
TUMOUR = [(310.5, 240), (900, 200), (1204.25, 777), (800, 1100), (420, 960)]
INNER = [(310.5, 240), (900, 200), (1204.25, 777)]


def polygon(corners: list[tuple[float, float]], name: str) -> dict:
    geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    return {"type": "Feature", "geometry": geometry, "properties": {"name": name}}


REGIONS = {"type": "FeatureCollection", "features": [polygon(TUMOUR, "tumour"), polygon(INNER, "inner")]}
HALVES = {
    "type": "FeatureCollection",
    "features": [
        polygon([(0, 0), (700, 0), (811.5, SIDE_PX), (0, SIDE_PX)], "left"),
        polygon([(700, 0), (SIDE_PX, 0), (SIDE_PX, SIDE_PX), (811.5, SIDE_PX)], "right"),
    ],
}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "phantom.tiff"
    write_phantom(PhantomSpec(seed=11, width_px=SIDE_PX, height_px=SIDE_PX, mpp=0.5, tissue=0.7), {"he": path})
    return path


@pytest.fixture(scope="module")
def dark_cells(tmp_path_factory: pytest.TempPathFactory, made_package) -> str:
    """A package without a receptive field: what is dark is a cell, whatever the tile."""
    made: Package = made_package("thresholds")
    folder = tmp_path_factory.mktemp("counting") / "thresholds"
    folder.mkdir()
    for path in made.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / "model.json").read_text())
    manifest["measures"] = [{"kind": "cells", "output": "out", "interior": "class-0", "min_area_um2": 2}]
    (folder / "model.json").write_text(json.dumps(manifest))
    return str(folder)


def run(slide: Path, package: str, out: Path, **asked) -> Result:
    return run_slide(RunRequest(slide, package, out, **asked), say_nothing, threading.Event())


def centroids(out: Path) -> np.ndarray:
    table = pq.read_table(out / "cells.parquet", columns=["x_px", "y_px", "area_um2"])
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def shapes_of(slide: Path, document: dict) -> tuple[Shape, ...]:
    opened = open_slide(slide)
    try:
        return region_shapes(read_regions(document), opened.info)
    finally:
        opened.close()


def well_inside(shape: Shape, cells: np.ndarray) -> set[tuple[float, ...]]:
    x0, y0, x1, y1 = shape.edges.T
    dx, dy = x1 - x0, y1 - y0
    x, y = cells[:, 0, None], cells[:, 1, None]
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx**2 + dy**2), 0, 1)
    away = np.hypot(x - x0 - along * dx, y - y0 - along * dy).min(axis=1)
    return {tuple(cell) for cell in cells[in_region(shape, cells[:, 0], cells[:, 1]) & (away > MARGIN_PX)].round(6)}


def test_the_cells_of_a_region_are_those_of_the_whole_run(slide: Path, tmp_path: Path) -> None:
    whole = run(slide, "nuclei", tmp_path / "whole")
    part = run(slide, "nuclei", tmp_path / "part", regions=read_regions(REGIONS))
    everywhere, here = centroids(tmp_path / "whole"), centroids(tmp_path / "part")
    assert part.plan.tissue_mm2 < whole.plan.tissue_mm2
    assert len(here) < len(everywhere)
    for shape, told in zip(shapes_of(slide, REGIONS), part.regions, strict=True):
        expected = well_inside(shape, everywhere)
        assert len(expected) > 20
        assert well_inside(shape, here) == expected
        assert told.findings == {"cells": int(in_region(shape, here[:, 0], here[:, 1]).sum())}
        assert 0 < told.tissue_mm2 <= told.area_mm2 < part.plan.tissue_mm2
        assert told.per_mm2["cells"] == pytest.approx(told.findings["cells"] / told.tissue_mm2)
    assert part.configuration["regions"] == json.loads(read_regions(REGIONS).model_dump_json())
    assert whole.regions == ()


def test_regions_that_divide_the_slide_divide_its_findings_and_its_tissue(
    slide: Path, dark_cells: str, tmp_path: Path
) -> None:
    whole = run(slide, dark_cells, tmp_path / "whole", tile_px=512)
    halves = run(slide, dark_cells, tmp_path / "halves", tile_px=512, regions=read_regions(HALVES))
    assert digests(halves.model_dump(mode="json")) == digests(whole.model_dump(mode="json"))
    counts = [part.findings["cells"] for part in halves.regions]
    assert min(counts) > 20
    assert sum(counts) == whole.scores["cells"]["count"]
    assert sum(part.area_mm2 for part in halves.regions) == pytest.approx((SIDE_PX * 0.0005) ** 2)
    assert sum(part.tissue_mm2 for part in halves.regions) == pytest.approx(whole.plan.tissue_mm2)


def test_tiles_do_not_show_in_a_region(slide: Path, dark_cells: str, tmp_path: Path) -> None:
    results = [
        run(slide, dark_cells, tmp_path / str(tile), tile_px=tile, regions=read_regions(REGIONS)) for tile in (256, 640)
    ]
    assert results[0].regions == results[1].regions
    assert results[0].regions[0].findings["cells"] > 20
    np.testing.assert_array_equal(centroids(tmp_path / "256"), centroids(tmp_path / "640"))


def test_parameters_change_what_is_counted_and_are_told(slide: Path, dark_cells: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plain = run(slide, dark_cells, tmp_path / "plain", tile_px=512)
    spelled = run(slide, dark_cells, tmp_path / "plain", tile_px=512, parameters={"min_area_um2": 2, "force": False})
    assert spelled.resumed, "defaults spelled out are the same run"
    larger = run(slide, dark_cells, out, tile_px=512, parameters={"min_area_um2": 20})
    areas = centroids(tmp_path / "plain")[:, 2]
    assert larger.scores["cells"]["count"] == (areas >= 20).sum() < len(areas) == plain.scores["cells"]["count"]
    assert larger.configuration["parameters"]["min_area_um2"] == 20
    assert plain.configuration["parameters"]["min_area_um2"] == 2
    with pytest.raises(OutputConflictError, match="parameters"):
        run(slide, dark_cells, out, tile_px=512)
    with pytest.raises(OutputConflictError, match="regions"):
        run(slide, dark_cells, tmp_path / "plain", tile_px=512, regions=read_regions(REGIONS))


def test_what_cannot_be_run_is_refused_before_a_tile(slide: Path, dark_cells: str, tmp_path: Path) -> None:
    corner, beyond = polygon([(0, 0), (9, 0), (9, 9)], "glass"), polygon([(0, 0), (9, 0), (9, 1601)], "beyond")
    for refused, asked in (
        (ParametersInvalidError, {"parameters": {"threshold": 1}}),
        (RegionsInvalidError, {"regions": read_regions(beyond)}),
        (NoTissueError, {"regions": read_regions(corner)}),
    ):
        with pytest.raises(refused):
            run(slide, dark_cells, tmp_path / "out", **asked)
    assert not (tmp_path / "out" / "run" / "identity.json").exists()


def test_the_command_takes_both(slide: Path, dark_cells: str, tmp_path: Path) -> None:
    (tmp_path / "regions.geojson").write_text(json.dumps(REGIONS))
    asked = ("run", slide, "--package", dark_cells, "--tile", 640, "--json", "--out", tmp_path / "out")
    done = histoserve(*asked, "--regions", tmp_path / "regions.geojson", "--set", "min_area_um2=20", "--force")
    assert done.returncode == 0, done.stderr
    result = Result.model_validate_json(done.stdout)
    assert [part.name for part in result.regions] == ["tumour", "inner"]
    assert result.configuration["parameters"]["force"] is True
    assert result.configuration["parameters"]["min_area_um2"] == 20
    for extra, said in (
        (("--set", "min_area_um2"), "has no value"),
        (("--set", "min_area_um2=many"), "'many'"),
        (("--regions", slide), "cannot be read as GeoJSON"),
    ):
        refused = histoserve(*asked, *extra)
        assert refused.returncode == 2
        assert said in json.loads(refused.stdout)["detail"]
