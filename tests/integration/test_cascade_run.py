"""A cascade through whole runs: the same detections from a part of the tissue, and a result that says so."""

import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from models.errors import OutputConflictError, ParametersInvalidError
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from models.parameters import parameters_schema
from models.registry import resolve
from models.stain_spec import SeenRange, StainSeen
from tests import making
from tests.integration.test_points_run import ALONE, CROWD, MPP, Figures, fields, paint
from workers.contract.regions import read_regions
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.result import Result
from workers.review.verify import verify_result

SEEN = StainSeen(images=5, mpp=MPP, ranges={"density_green": SeenRange(low=0.0, high=9.0)})
RIGHT = {"type": "Polygon", "coordinates": [[[1024, 0], [2000, 0], [2000, 1600], [1024, 1600], [1024, 0]]]}


def made(folder: Path, measures: int) -> str:
    """A package of dark spots with the first of its measures, its points, or with both."""
    network = export_onnx(Figures().eval(), [torch.rand(2, 3, 64, 96)], ["classes", "heat"])
    asked = fields(SEEN)
    asked["measures"] = asked["measures"][:measures]
    files = {"network.onnx": ("network", network)}
    return str(write_package(folder, asked, files, GoldenTile(making.tissue(128, 128, seed=5))).folder)


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> str:
    return made(tmp_path_factory.mktemp("points") / "figures" / "1.0.0", 1)


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> Path:
    return making.write_ome(tmp_path_factory.mktemp("slide") / "slide.ome.tif", paint(CROWD + ALONE), mpp=MPP / 2)


def run(slide: Path, package: str, out: Path, regions=None, **parameters) -> Result:
    request = RunRequest(slide, package, out, threads=1, parameters=parameters, regions=regions)
    return run_slide(request, say_nothing, threading.Event())


def places(out: Path) -> list[tuple[float, ...]]:
    table = pq.read_table(out / "points.parquet", columns=["x_px", "y_px", "probability"])
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.fixture(scope="module")
def dense(slide, package, tmp_path_factory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("dense") / "out"
    return out, run(slide, package, out)


def test_the_same_detections_over_the_same_tissue_from_a_part_of_it(slide, package, dense, tmp_path) -> None:
    out, whole = dense
    found = run(slide, package, tmp_path / "out", cascade=True)
    assert places(tmp_path / "out") == places(out)
    assert found.scores == whole.scores, "counts, per mm2, percentile and hotspots are over all of the tissue"
    assert found.plan.tissue_mm2 == whole.plan.tissue_mm2
    assert 0 < found.plan.computed_mm2 < 0.3 * found.plan.tissue_mm2
    assert found.plan.tiles_done < whole.plan.tiles_done
    assert whole.plan.computed_mm2 is None
    (text,) = [warning.text for warning in found.warnings if warning.slug == "cascade"]
    assert f"{found.plan.computed_mm2:.4g} mm2" in text
    assert found.configuration["parameters"]["cascade"] is True
    assert whole.configuration["parameters"]["cascade"] is False
    assert found.seconds["cascade"] >= 0
    assert verify_result(tmp_path / "out").passed


def test_a_threshold_too_low_misses_what_is_there(slide, package, dense, tmp_path) -> None:
    found = run(slide, package, tmp_path / "out", cascade=True, cascade_threshold=0.1)
    assert found.plan.computed_mm2 == 0
    assert (found.plan.bands, found.scores["points"]["count"]) == (0, 0)
    assert found.plan.tissue_mm2 == dense[1].plan.tissue_mm2
    assert verify_result(tmp_path / "out").passed


def test_a_region_has_the_cells_that_the_whole_cascade_has_there(slide, package, tmp_path) -> None:
    whole = run(slide, package, tmp_path / "whole", cascade=True)
    part = run(slide, package, tmp_path / "part", regions=read_regions(RIGHT), cascade=True)
    inside = [place for place in places(tmp_path / "whole") if place[0] >= 1024]
    assert len(inside) > 0
    assert places(tmp_path / "part") == inside
    assert 0 < part.plan.computed_mm2 < whole.plan.computed_mm2
    (region,) = part.regions
    assert region.tissue_mm2 == pytest.approx(part.plan.tissue_mm2, rel=0.2)
    assert region.tissue_mm2 > 3 * part.plan.computed_mm2


def test_a_cascade_is_another_run(slide, package, dense) -> None:
    with pytest.raises(OutputConflictError, match="parameters"):
        run(slide, package, dense[0], cascade=True)


def test_it_is_refused_where_areas_are_measured_too(slide, tmp_path) -> None:
    package = made(tmp_path / "figures" / "1.0.0", 2)
    for name in ("cascade", "cascade_threshold"):
        with pytest.raises(ParametersInvalidError, match=name):
            run(slide, package, tmp_path / "out", **{name: 1})


def test_the_shipped_package_offers_it() -> None:
    offered = parameters_schema(resolve("mitosis").manifest)["properties"]
    assert offered["cascade"]["default"] is False
    assert offered["cascade_threshold"]["default"] == 0.6
    assert "cascade" not in parameters_schema(resolve("nuclei").manifest)["properties"]
