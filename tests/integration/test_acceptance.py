"""A site's acceptance test through a service that really works, and on this machine with a card that promises more."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.registry import resolve
from tests.e2e.command import HISTOSERVE, histoserve
from tests.serving import Served, served
from workers.contract.settings import Settings
from workers.ledger.jobs import list_jobs
from workers.wake.answer import answer

SIDE_PX = 1024
ASKED = ("acceptance", "--analysis", "nuclei", "--side", str(SIDE_PX))


@pytest.fixture
def service(tmp_path, monkeypatch) -> Iterator[Served]:
    """A service without Redis, whose jobs are answered in this process; signals are given back."""
    for name, value in {"HOME": tmp_path / "home", "REDIS_URL": "redis://127.0.0.1:1/0", "RESERVE_BYTES": 0}.items():
        monkeypatch.setenv(f"HISTOSERVE_{name}", str(value))
    before = signal.getsignal(signal.SIGTERM)
    with served(Settings()) as service:
        yield service
    signal.signal(signal.SIGTERM, before)


def answer_all(service: Served, child: subprocess.Popen[str]) -> None:
    """Work for the service until the child is done."""
    while True:
        try:
            child.wait(0.2)
            return
        except subprocess.TimeoutExpired:
            with service.ledger.read() as connection:
                waiting = list_jobs(connection, "lab", filters={"state": "queued"}).items
            for job in waiting:
                answer(f"job:{job.id}")


def test_a_service_is_accepted_by_the_results_it_gives(service, tmp_path):
    out = tmp_path / "out"
    command = [HISTOSERVE, *ASKED, "--url", service.url, "--key", service.key(), "--json", "--out", out, "--keep"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        answer_all(service, child)
        told, errors = child.stdout.read(), child.stderr.read()
    assert child.returncode == 0, told + errors
    report = json.loads(told)
    assert report == json.loads((out / "acceptance.json").read_text())
    assert (report["passed"], report["deployment"]) == (True, service.url)
    (nuclei,) = report["analyses"]
    (check,) = nuclei["checks"]
    assert (nuclei["package"], check["name"], check["verdict"]) == ("nuclei@1.0.0", "F1", "pass")
    assert 0.5 < check["value"] < 1
    assert check["true"] == report["phantom"]["truth"]["nuclei"]
    result = json.loads((out / "nuclei" / "result.json").read_text())
    assert check["found"] == result["scores"]["cells"]["count"]
    assert (out / "nuclei" / "overview.png").is_file()
    with service.ledger.read() as connection:
        (job,) = list_jobs(connection, "lab").items
    assert job.result == result, "the numbers are of what was downloaded"


def test_a_package_that_stays_below_its_card_is_not_accepted(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "nuclei" / "9.0.0"
    shutil.copytree(resolve("nuclei@1.0.0").folder, folder)
    manifest = json.loads((folder / "model.json").read_text())
    manifest["version"] = "9.0.0"
    metric = {"name": "detection F1 at IoU > 0.5", "value": 0.999, "low": 0.998, "high": 1.0, "n": 3}
    manifest["metrics"] = [metric | {"data": "dreams", "synthetic": False}]
    (folder / "model.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("HISTOSERVE_MODEL_DIR", str(folder.parents[1]))
    done = histoserve(*ASKED, "--local", "--out", tmp_path / "out")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT accepted" in done.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["acceptance.json"], "nothing else was to be kept"
    report = json.loads((tmp_path / "out" / "acceptance.json").read_text())
    (check,) = report["analyses"][0]["checks"]
    assert (check["verdict"], check["limit"]["metric"]["data"]) == ("fail", "dreams")


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (("--analysis", "palmistry", "--local"), "refused-input"),
        (("--analysis", "nuclei", "--url", "ftp://nowhere", "--key", "k"), "no-service"),
    ],
)
def test_what_cannot_be_tested_is_refused(arguments, slug):
    done = histoserve("acceptance", *arguments, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["type"] == f"urn:histoserve:{slug}"


def test_a_folder_that_is_in_use_is_left_alone(tmp_path):
    Path(tmp_path, "mine.txt").write_text("mine")
    done = histoserve(*ASKED, "--local", "--out", tmp_path, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["type"] == "urn:histoserve:output-conflict"
    assert os.listdir(tmp_path) == ["mine.txt"]
