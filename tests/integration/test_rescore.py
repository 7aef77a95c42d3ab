"""New scores of a result: those that a fresh run with the same parameters has, to the last digit and byte."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.errors import HistoserveError, IntegrityError, OutputConflictError, ParametersInvalidError
from tests.e2e.command import histoserve
from tests.spots_made import SIDE_PX, spots_package, spots_slide
from workers.contract.errors import NotRescorableError
from workers.contract.regions import read_regions
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.rescore.again import RescoreRequest, rescore
from workers.rescore.source import open_source
from workers.result import ANALYSED_NAME, Result
from workers.review.differences import compare_results
from workers.review.read import read_result
from workers.review.verify import verify_result

BEFORE: dict[str, Any] = {"hotspots": 2, "theta1": 0.25}
CHANGES: dict[str, Any] = {
    "min_area_um2": 9,
    "max_area_um2": 20.5,
    "grow_px": 1,
    "component_threshold": 0.6,
    "detection_threshold": 0.95,
    "min_distance_um": 60,
    "theta2": 2,
}
LEFT = [[0, 0], [451.5, 0], [400, SIDE_PX], [0, SIDE_PX], [0, 0]]
REGIONS = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [LEFT]}, "properties": {"name": "left"}}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spots_package(tmp_path_factory.mktemp("packages")).folder


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spots_slide(tmp_path_factory.mktemp("slides") / "spots.ome.tif")


def run(slide: Path, package: Path, out: Path, **asked: Any) -> Result:
    return run_slide(RunRequest(slide, str(package), out, **asked), say_nothing, threading.Event())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, slide: Path, package: Path) -> Path:
    """The folder of a result that was itself made with some parameters, of a region."""
    out = tmp_path_factory.mktemp("made") / "out"
    run(slide, package, out, parameters=BEFORE, regions=read_regions(REGIONS))
    return out


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copied"))


def again(source: Path, package: Path, out: Path | None = None, **parameters: Any) -> Result:
    return rescore(RescoreRequest(source, parameters, out, str(package)), say_nothing)


def test_scores_and_files_are_those_of_a_fresh_run_and_what_is_not_set_stays(slide, package, made, tmp_path) -> None:
    fresh = run(slide, package, tmp_path / "fresh", parameters=BEFORE | CHANGES, regions=read_regions(REGIONS))
    scored, plain = again(made, package, tmp_path / "scored", **CHANGES), read_result(made)
    for name in ("cells", "points"):
        assert 0 < fresh.scores[name]["count"] < plain.scores[name]["count"]
    assert fresh.scores["points"]["grade"] != plain.scores["points"]["grade"]
    assert scored.scores == fresh.scores
    assert scored.regions == fresh.regions != plain.regions
    assert scored.configuration["parameters"] == fresh.configuration["parameters"]
    digests = {part.path: part.sha256 for part in fresh.files}
    assert {part.path: digests[part.path] for part in scored.files} == {p.path: p.sha256 for p in scored.files}
    assert {"cells.parquet", "points.parquet", "hotspots-points.geojson"} <= {part.path for part in scored.files}
    assert compare_results(read_result(tmp_path / "scored"), read_result(tmp_path / "fresh")).verdict == "same"
    assert verify_result(tmp_path / "scored", slide, str(package)).passed


def test_the_scores_alone_are_the_same_from_tables_as_from_maps(made, package, tmp_path) -> None:
    whole = again(made, package, tmp_path / "whole", min_area_um2=9.1)
    assert again(made, package, min_area_um2=9.1).scores == whole.scores
    assert again(made, package, min_area_um2=9.1).regions == whole.regions
    assert 0 < whole.scores["cells"]["count"] < read_result(made).scores["cells"]["count"]
    source = open_source(made, {"min_area_um2": 9.1}, str(package), is_brief=True)
    assert source.narrowed == {"cells"}
    assert not open_source(made, {"max_area_um2": 40}, str(package), is_brief=True).narrowed
    assert not open_source(made, {"min_area_um2": 3}, str(package), is_brief=True).narrowed


def test_two_rescored_results_differ_by_their_parameters(made, package) -> None:
    one, other = again(made, package, min_area_um2=9), again(made, package, min_area_um2=12)
    found = compare_results(one, other)
    assert [item.name for item in found.of("configuration")] == ["parameters.min_area_um2"]
    assert not found.unexplained
    assert "cells.count" in {item.name for item in found.of("scores")}


def test_without_a_folder_nothing_is_kept(made, package, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(made.rglob("*"))
    assert again(made, package, min_area_um2=9).files == ()
    assert sorted(made.rglob("*")) == before


def test_the_same_again_in_one_folder_is_fine_and_another_is_refused(made, package, copied, tmp_path) -> None:
    first = again(made, package, tmp_path / "out", min_area_um2=9)
    assert again(made, package, tmp_path / "out", min_area_um2=9).files == first.files
    for folder, parameters in ((tmp_path / "out", {"min_area_um2": 10}), (made, {}), (copied, {"min_area_um2": 9})):
        with pytest.raises(OutputConflictError, match="--out"):
            again(made, package, folder, **parameters)
    shutil.rmtree(copied / "run")
    with pytest.raises(OutputConflictError, match="holds a result"):
        again(made, package, copied)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"threshold": 1}, "no parameter 'threshold'"),
        ({"force": True}, "takes a run"),
        ({"theta1": 10}, "above theta2"),
    ],
)
def test_what_is_no_threshold_is_refused(made, package, parameters, said) -> None:
    with pytest.raises(ParametersInvalidError, match=said):
        again(made, package, **parameters)


def told(folder: Path, change: Any) -> None:
    document = json.loads((folder / "result.json").read_text())
    change(document)
    (folder / "result.json").write_text(json.dumps(document))


def of_an_older_version(folder: Path) -> None:
    told(folder, lambda d: d.update(files=[part for part in d["files"] if part["path"] != ANALYSED_NAME]))


def of_another_package(folder: Path) -> None:
    told(folder, lambda d: d["package"].update(manifest_sha256="0" * 64))


def with_an_altered_map(folder: Path) -> None:
    shard = next(path for path in (folder / "maps" / "heat.ome.zarr" / "0" / "c").rglob("*") if path.is_file())
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")


def without_a_map(folder: Path) -> None:
    shutil.rmtree(folder / "maps" / "classes.ome.zarr")


def with_other_cells(folder: Path) -> None:
    path = folder / ANALYSED_NAME
    cells = np.asarray(Image.open(path)).copy()
    cells[0, 0] ^= 255
    Image.fromarray(cells).save(path)


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (of_an_older_version, NotRescorableError, "older version"),
        (of_another_package, NotRescorableError, "not the package that was run"),
        (with_an_altered_map, IntegrityError, "heat.ome.zarr was altered"),
        (without_a_map, IntegrityError, "classes.ome.zarr is missing"),
        (with_other_cells, IntegrityError, "analysed-cells.png"),
        (lambda folder: (folder / ANALYSED_NAME).write_bytes(b"?"), IntegrityError, "no picture"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused(copied, package, tmp_path, spoil, kind, said) -> None:
    spoil(copied)
    with pytest.raises(HistoserveError, match=said) as caught:
        again(copied, package, tmp_path / "out", min_area_um2=9)
    assert type(caught.value) is kind
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_rescored_result_leads_to_the_one_with_the_maps(made, package, tmp_path) -> None:
    again(made, package, tmp_path / "out", min_area_um2=9)
    with pytest.raises(NotRescorableError, match="it was made from"):
        again(tmp_path / "out", package, min_area_um2=10)


def test_the_command_tells_scores_and_refusals(made, package, tmp_path) -> None:
    asked = ("rescore", made, "--package", package, "--set", "min_area_um2=9")
    done = histoserve(*asked, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    result = Result.model_validate_json(done.stdout)
    assert (
        result.model_dump() == Result.model_validate_json((tmp_path / "out" / "result.json").read_text()).model_dump()
    )
    assert result.rescored is not None
    words = histoserve(*asked)
    assert f"cells count {result.scores['cells']['count']}" in words.stdout
    refused = histoserve(*asked, "--set", "radius=3", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["type"] == "urn:histoserve:parameters-invalid"
    both = histoserve(*asked, "--job", "job_x")
    assert (both.returncode, "either" in both.stderr) == (2, True)
