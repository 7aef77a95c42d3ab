"""`histoserve plan` beside the run it foretells: the same work counted, the result's size, nothing left behind."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from service.cli import run_command
from tests import making
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
from workers.capacity.forecast import Forecast
from workers.capacity.planning import Wanted, plan_slide
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest

SIDE_PX = 2560


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "phantom.tiff"
    write_phantom(PhantomSpec(seed=4, width_px=SIDE_PX, height_px=SIDE_PX, mpp=0.5, tissue=0.5), {"he": path})
    return path


def plan(slide: Path, *arguments: str) -> int:
    return run_command(["plan", str(slide), "--package", "nuclei", "--force", "--json", *arguments])


def test_a_plan_counts_what_a_run_does_and_leaves_nothing(slide, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    request = RunRequest(slide=slide, package="nuclei", out=tmp_path / "out", parameters={"force": True})
    forecast = plan_slide(request, Wanted(workers=2, seconds=0.1), say_nothing, threading.Event())
    assert not (tmp_path / "out").exists()
    assert list(scratch.iterdir()) == []

    result = run_slide(request, say_nothing, threading.Event())
    assert forecast.work.tiles == result.plan.tiles_done
    assert forecast.work.bands == result.plan.bands
    assert forecast.work.tissue_mm2 == pytest.approx(result.plan.tissue_mm2)
    assert 0 < forecast.basis.sampled_tiles < forecast.work.tiles
    # Every stage that a run tells of was foreseen; the network's own lie inside of the stream.
    inside = {"read", "prepare", "wait for reader", "infer", "keep", "wait for keeper", "total"}
    assert result.seconds.keys() - inside <= forecast.stages_s.keys()
    assert forecast.total_s == pytest.approx(sum(forecast.stages_s.values()))
    size = sum(part.size_bytes for part in (*result.files, *result.folders))
    assert forecast.result_bytes == pytest.approx(size, rel=0.35)
    assert forecast.memory_bytes > 100e6
    # So little tissue is one band: a second worker has nothing to do.
    assert (forecast.work.bands, forecast.workers.workers) == (1, 2)
    assert forecast.workers.speed_up == pytest.approx(1)


def test_what_was_measured_once_is_used_again(slide, tmp_path, capsys):
    profile = tmp_path / "profile.json"
    told = []
    for arguments in ([], ["--measure"], [], ["--threads", "1"]):
        assert plan(slide, "--profile", str(profile), "--seconds", "0.1", *arguments) == 0
        told.append(Forecast.model_validate_json(capsys.readouterr().out))
        if not arguments and len(told) == 1:
            assert not profile.exists()
    assert [forecast.basis.source for forecast in told] == ["calibration", "calibration", "profile", "calibration"]
    measured, again = told[1], told[2]
    assert again.basis.measured == measured.basis.measured
    assert again.stages_cpu_s["stream"] == measured.stages_cpu_s["stream"]
    assert len(json.loads(profile.read_bytes())["entries"]) == 1


def test_a_slide_that_cannot_be_scored_is_refused_as_a_run_refuses_it(tmp_path, capsys):
    path = making.write_pyramid(tmp_path / "blank.tiff", np.full((1024, 1024, 3), 245, np.uint8), mpp=0.5)
    assert run_command(["plan", str(path), "--package", "nuclei", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["type"] == "urn:histoserve:no-tissue"


def test_neither_package_nor_analysis_is_refused(slide, capsys):
    assert run_command(["plan", str(slide), "--json"]) == 2
    assert "--package or --analysis" in json.loads(capsys.readouterr().out)["detail"]
