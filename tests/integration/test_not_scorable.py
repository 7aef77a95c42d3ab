"""Slides that no number can be defended for: refused with every reason, by the command line and by the service."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from models.errors import LittleTissueError, OutOfFocusError
from tests import making
from tests.e2e.command import digests, histoserve
from tests.serving import Served, served
from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec, Stain
from workers.contract.settings import Settings
from workers.contract.store import open_store
from workers.engine.prepare import opened_slide, prepare
from workers.engine.progress import say_nothing
from workers.engine.stopwatch import Stopwatch
from workers.engine.work import RunRequest
from workers.geometry import Box
from workers.ledger.audit import list_entries
from workers.ledger.jobs import job_of_any_tenant
from workers.ledger.slides import NewSlide, create_slide
from workers.wake.answer import answer

SIDE_PX, MPP = 640, 0.5
BLUR_PX = 3.0
NUCLEI = "nuclei@1.0.0"


def phantom(folder: Path, stain: Stain = "he", blur_px: float = 0.0, seed: int = 3) -> Path:
    spec = PhantomSpec(seed=seed, width_px=SIDE_PX, height_px=SIDE_PX, mpp=MPP, tissue=0.8)
    pixels = render_region(spec, stain, Box(0, 0, SIDE_PX, SIDE_PX))
    if blur_px:
        pixels = np.rint(ndimage.gaussian_filter(pixels.astype(np.float32), (blur_px, blur_px, 0))).astype(np.uint8)
    path = folder / f"{stain}-{blur_px:g}-{seed}.tiff"
    return making.write_pyramid(path, pixels, MPP, options=making.lossless_options())


@pytest.fixture(scope="module")
def brown_blur(tmp_path_factory) -> Path:
    """Of the wrong stain, and blurred."""
    return phantom(tmp_path_factory.mktemp("slides"), "ki67", BLUR_PX)


def refusal(path: Path, out: Path, **fields) -> None:
    """Prepare a run, which does not load a network where it is refused."""
    import threading

    request, watch = RunRequest(path, "nuclei", out, **fields), Stopwatch()
    with opened_slide(request, watch) as (slide, package):
        prepare(request, slide, package, say_nothing, watch, threading.Event())


@pytest.mark.parametrize("seed", [3, 4])
def test_a_phantom_blurred_by_three_px_is_out_of_focus(tmp_path, seed):
    with pytest.raises(OutOfFocusError, match=r"100% of the sampled tissue is blurred"):
        refusal(phantom(tmp_path, blur_px=BLUR_PX, seed=seed), tmp_path / "out")


def test_a_speck_of_tissue_is_too_little(tmp_path):
    pixels = np.full((SIDE_PX, SIDE_PX, 3), 245, np.uint8)
    # 80 px of 0.5 um: 0.0016 mm2
    pixels[280:360, 280:360] = making.tissue(80, 80)
    slide = making.write_pyramid(tmp_path / "speck.tiff", pixels, MPP, options=making.lossless_options())
    with pytest.raises(LittleTissueError, match=r"needs 0\.002 mm2") as caught:
        refusal(slide, tmp_path / "out")
    (reason,) = caught.value.reasons
    assert reason.value == pytest.approx(0.0016, rel=0.2)


def test_the_command_line_tells_all_reasons_and_writes_no_result(brown_blur, tmp_path):
    done = histoserve("run", brown_blur, "--package", "nuclei", "--out", tmp_path / "out", "--json")
    assert done.returncode == 3
    problem = json.loads(done.stdout)
    assert problem["type"] == "urn:histoserve:not-scorable"
    assert [reason["slug"] for reason in problem["reasons"]] == ["wrong-stain", "out-of-focus"]
    assert not (tmp_path / "out" / "result.json").exists()


def test_who_forces_a_run_is_told_and_changes_no_other_byte(brown_blur, tmp_path):
    told = {}
    for name, by in (("a", ["--forced-by", "Dr Who"]), ("b", [])):
        arguments = ("run", brown_blur, "--package", "nuclei", "--out", tmp_path / name, "--force", *by)
        done = histoserve(*arguments)
        assert done.returncode == 0, done.stderr
        told[name] = json.loads((tmp_path / name / "result.json").read_text())
        assert "in spite of wrong-stain, out-of-focus" in done.stdout
    assert told["a"]["forced"]["by"] == "Dr Who"
    assert told["b"]["forced"]["by"]
    assert told["a"]["forced"]["reasons"] == told["b"]["forced"]["reasons"]
    assert [reason["slug"] for reason in told["a"]["forced"]["reasons"]] == ["wrong-stain", "out-of-focus"]
    assert "forced" in {warning["slug"] for warning in told["a"]["warnings"]}
    assert digests(told["a"]) == digests(told["b"])
    names = {"forced", "seconds"}
    others = [{name: value for name, value in told[run].items() if name not in names} for run in ("a", "b")]
    assert others[0] == others[1]


@pytest.fixture
def service(tmp_path, monkeypatch) -> Iterator[Served]:
    """A service without Redis, whose jobs are answered in this process; signals are given back."""
    for name, value in {"HOME": tmp_path / "home", "REDIS_URL": "redis://127.0.0.1:1/0", "RESERVE_BYTES": 0}.items():
        monkeypatch.setenv(f"HISTOSERVE_{name}", str(value))
    before = signal.getsignal(signal.SIGTERM)
    with served(Settings()) as service:
        yield service
    signal.signal(signal.SIGTERM, before)


def hand_in(service: Served, path: Path, **fields) -> str:
    open_store(service.settings).put(path, "slides/upl_1")
    with service.ledger.write() as connection:
        return create_slide(connection, "lab", NewSlide(origin="upload", uri="store:slides/upl_1", **fields)).id


def submit(service: Served, slide_id: str, key: str, **fields) -> dict:
    body = {"slide_id": slide_id, "model": NUCLEI} | fields
    with service.client() as client:
        answered = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
        assert answered.status_code == 202, answered.text
        job_id = answered.json()["id"]
        answer(f"job:{job_id}")
        return client.get(f"/v1/jobs/{job_id}").json()


def test_a_job_of_the_service_fails_with_all_reasons_or_says_whose_key_forced_it(service, brown_blur):
    slide_id = hand_in(service, brown_blur)
    refused = submit(service, slide_id, "k1")
    assert (refused["state"], refused["scores"]) == ("failed", None)
    problem = refused["problem"]
    assert (problem["type"], problem["blame"]) == ("urn:histoserve:not-scorable", "user_error")
    assert [(reason["slug"], reason["forcible"]) for reason in problem["reasons"]] == [
        ("wrong-stain", True),
        ("out-of-focus", True),
    ]
    assert refused["attempts"][0]["problem"]["reasons"] == problem["reasons"]

    forced = submit(service, slide_id, "k2", parameters={"force": True})
    assert forced["state"] == "succeeded"
    with service.ledger.read() as connection:
        result = job_of_any_tenant(connection, forced["id"]).result
        rows = [row for row in list_entries(connection, tenant="lab") if row.action == "job.force"]
    (row,) = rows
    assert row.subject == forced["id"]
    assert result["forced"]["by"] == f"test ({row.key_id})"
    assert [reason["slug"] for reason in result["forced"]["reasons"]] == ["wrong-stain", "out-of-focus"]
