"""`histoserve run` on real slides and on slides that must be refused."""

import json
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.e2e.command import digests, histoserve, run_json
from workers.engine.finish import describe_file, describe_folder
from workers.result import Result

LEAST_NUCLEI = {
    "slides/CMU-1-Small-Region.svs": 1000,
    "slides/small_dicom.dcm": 50,
    "ki67_ihc_openslide/OS-1-detail.ome.tif": 50,
}
STATED = {"slides/small_dicom.dcm": ("--mpp", "0.5")}
"""The DICOM file states pixels of 4.6 x 5.7 um, which is refused."""


@pytest.mark.parametrize("name", LEAST_NUCLEI)
def test_a_real_slide_gives_nuclei_and_a_result_that_is_what_it_says(data_dir: Path, tmp_path: Path, name: str) -> None:
    result = run_json(data_dir / name, "--package", "nuclei", "--out", tmp_path, *STATED.get(name, ()))
    Result.model_validate(result)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert result["scores"]["cells"]["count"] > LEAST_NUCLEI[name]
    assert pq.read_metadata(tmp_path / "cells.parquet").num_rows == result["scores"]["cells"]["count"]
    assert result["plan"]["tiles_planned"] == result["plan"]["tiles_done"] > 0
    for part in result["files"]:
        assert describe_file(tmp_path, tmp_path / part["path"]).sha256 == part["sha256"]
    for part in result["folders"]:
        assert describe_folder(tmp_path, tmp_path / part["path"]).sha256 == part["sha256"]
    with Image.open(tmp_path / "overview.png") as picture:
        assert max(picture.size) > 500


def test_a_reduced_pyramid_is_refused_or_run_by_its_own_resolution(data_dir: Path, tmp_path: Path) -> None:
    slide = data_dir / "slides/rationai-CMU-1-small.tiff"
    done = histoserve("run", slide, "--package", "nuclei", "--out", tmp_path, "--json")
    document = json.loads(done.stdout)
    if done.returncode == 0:
        assert document["plan"]["tiles_done"] > 0
    else:
        assert (done.returncode, document["type"]) == (2, "urn:histoserve:mpp-out-of-range")


def test_a_slide_without_mpp_is_refused_and_runs_with_one_given(data_dir: Path, tmp_path: Path) -> None:
    slide = data_dir / "slides/tcga-cr-7395-01a-01-ts1.svs"
    refused = histoserve("run", slide, "--package", "nuclei", "--out", tmp_path / "a", "--json")
    assert refused.returncode == 2
    problem = json.loads(refused.stdout)
    assert problem["type"] == "urn:histoserve:mpp-missing"
    assert "--mpp" in problem["remedy"]
    assert not (tmp_path / "a" / "result.json").exists()
    result = run_json(slide, "--package", "nuclei", "--out", tmp_path / "b", "--mpp", "0.5")
    assert result["slide"]["mpp"] == 0.5
    assert result["slide"]["mpp_source"] == "override"
    assert result["slide"]["mpp_stated"] is None
    assert result["configuration"]["mpp"] == 0.5


@pytest.mark.parametrize(
    "name", ["histolab_broken.svs", "openslide-python_unopenable.tiff", "openslide-python_unreadable.svs"]
)
def test_a_broken_slide_is_refused_quickly_and_leaves_no_result(data_dir: Path, tmp_path: Path, name: str) -> None:
    start = time.monotonic()
    done = histoserve("run", data_dir / "broken_slides" / name, "--package", "nuclei", "--out", tmp_path, "--json")
    assert time.monotonic() - start < 15
    assert done.returncode == 2, done.stdout + done.stderr
    problem = json.loads(done.stdout)
    assert problem["type"].startswith("urn:histoserve:slide-")
    assert problem["detail"]
    assert not (tmp_path / "result.json").exists()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 8_000_000


def test_a_blank_slide_is_not_scorable(tmp_path: Path) -> None:
    Image.fromarray(np.full((1000, 1000, 3), 243, np.uint8)).save(tmp_path / "blank.png")
    arguments = ("--package", "nuclei", "--mpp", "0.5", "--out", tmp_path / "out", "--json")
    done = histoserve("run", tmp_path / "blank.png", *arguments)
    assert done.returncode == 3, done.stdout + done.stderr
    assert json.loads(done.stdout)["type"] == "urn:histoserve:no-tissue"


def test_a_package_that_is_not_there_is_refused_with_what_there_is(tmp_path: Path) -> None:
    done = histoserve("run", "x.svs", "--package", "nucleus", "--out", tmp_path, "--json")
    assert done.returncode == 2
    assert "nuclei@1.0.0" in json.loads(done.stdout)["detail"]


def test_a_folder_of_another_run_is_refused_and_overwritten_when_told(phantom: Path, tmp_path: Path) -> None:
    first = run_json(phantom, "--package", "nuclei", "--out", tmp_path)
    refused = histoserve("run", phantom, "--package", "nuclei", "--out", tmp_path, "--mpp", "0.45", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["type"] == "urn:histoserve:output-conflict"
    again = run_json(phantom, "--package", "nuclei", "--out", tmp_path)
    assert again["resumed"] is True
    assert digests(again) == digests(first)
    # A result that came from elsewhere may name files that are not its own.
    foreign = tmp_path.parent / f"{tmp_path.name}-foreign.txt"
    foreign.write_text("kept")
    named = json.loads((tmp_path / "result.json").read_text())
    named["files"].append(named["files"][0] | {"path": f"../{foreign.name}"})
    (tmp_path / "result.json").write_text(json.dumps(named))
    other = run_json(phantom, "--package", "nuclei", "--out", tmp_path, "--mpp", "0.45", "--overwrite")
    assert other["resumed"] is False
    assert (other["slide"]["mpp"], first["slide"]["mpp"]) == (0.45, 0.5)
    assert foreign.read_text() == "kept"


def test_progress_is_json_lines_where_there_is_no_terminal(phantom: Path, tmp_path: Path) -> None:
    done = histoserve("run", phantom, "--package", "nuclei", "--out", tmp_path, "--json")
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {"quality", "tiles", "finish"} <= {event["stage"] for event in events}
    last = [event for event in events if event["stage"] == "tiles"][-1]
    assert last["done"] == last["total"] > 0


def test_readers_and_threads_do_not_show_and_another_tile_is_another_run(phantom: Path, tmp_path: Path) -> None:
    one = run_json(phantom, "--package", "nuclei", "--out", tmp_path / "a", "--readers", 1, "--threads", 1)
    more = run_json(phantom, "--package", "nuclei", "--out", tmp_path / "b", "--readers", 4, "--threads", 2)
    assert digests(one) == digests(more)
    refused = histoserve("run", phantom, "--package", "nuclei", "--out", tmp_path / "a", "--tile", 256, "--json")
    assert refused.returncode == 2
    assert "tile_px" in json.loads(refused.stdout)["detail"]


def test_a_tile_the_network_cannot_take_is_refused(phantom: Path, tmp_path: Path) -> None:
    done = histoserve("run", phantom, "--package", "nuclei", "--out", tmp_path, "--tile", 500, "--json")
    assert done.returncode == 2
    assert "stride grid" in json.loads(done.stdout)["detail"]
