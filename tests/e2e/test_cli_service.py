"""The command line against `histoserve up`: slides go in, results come out, with the bytes of `histoserve run`."""

import csv
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import HISTOSERVE, digests, histoserve, run_json
from tests.e2e.test_up import Running, up
from tests.servers import wait_for
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
from workers.review.differences import compare_results
from workers.review.read import read_result
from workers.review.verify import verify_result

SMALL = PhantomSpec(seed=3, width_px=1200, height_px=900, mpp=0.5, tissue=0.6)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("cli") / "home"
    with up(home) as started, pytest.MonkeyPatch.context() as patch:
        for name in ("HISTOSERVE_URL", "HISTOSERVE_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("HISTOSERVE_HOME", str(home))
        patch.setenv("XDG_CACHE_HOME", str(home.parent / "cache"))
        yield started


@pytest.fixture(scope="module")
def slide(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "small.tiff"
    write_phantom(SMALL, {"he": path})
    return path


def told(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    assert done.returncode == code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_submitted_slide_comes_back_with_the_bytes_of_a_run(running, slide, tmp_path) -> None:
    done = histoserve("submit", slide, "--model", "nuclei", "--wait", "--out", tmp_path / "out", "--json")
    (job,) = told(done)["jobs"]
    assert (job["state"], job["problem"]) == ("succeeded", None)
    folder = Path(job["folder"])
    assert folder == tmp_path / "out" / job["job_id"]
    undisturbed = digests(run_json(slide, "--package", "nuclei", "--out", tmp_path / "run"))
    result = json.loads((folder / "result.json").read_text())
    assert digests(result) == undisturbed
    for part in result["files"]:
        assert hashlib.sha256((folder / part["path"]).read_bytes()).hexdigest() == undisturbed[part["path"]]
    assert job["scores"] == result["scores"]
    review = verify_result(folder, slide)
    assert review.passed and "unknown" not in {check.status for check in review.checks}, review
    found = compare_results(read_result(folder), read_result(tmp_path / "run"))
    assert found.verdict == "same", found.differences
    assert "uploading" in done.stderr

    detail = histoserve("status", job["job_id"])
    assert "100%" in detail.stdout
    assert "Research use only" in detail.stdout
    assert told(histoserve("watch", job["job_id"], "--json"))["jobs"][0]["state"] == "succeeded"
    again = told(histoserve("download", job["job_id"], "job_none", "--out", tmp_path / "two", "--json"), 2)
    assert [item["folder"] is not None for item in again["jobs"]] == [True, False]
    assert again["jobs"][1]["problem"]["type"] == "urn:histoserve:not-found"


def test_what_is_refused_does_not_end_the_rest_and_the_worst_is_the_code(running, slide, tmp_path) -> None:
    from PIL import Image

    Image.new("RGB", (2000, 1500), (244, 244, 244)).save(tmp_path / "blank.png")
    (tmp_path / "torn.svs").write_bytes(b"II*\0" + b"\0" * 60)
    blank = [tmp_path / "blank.png", "--model", "nuclei", "--mpp", "0.5", "--wait", "--json"]
    (job,) = told(histoserve("submit", *blank), 3)["jobs"]
    assert job["problem"]["type"] == "urn:histoserve:no-tissue"
    named = [tmp_path / "*.svs", tmp_path / "none.svs", slide]
    jobs = told(histoserve("submit", *named, "--model", "nuclei", "--wait", "--json"), 2)["jobs"]
    assert [job["state"] for job in jobs] == ["failed", "refused", "succeeded"]
    problems = [job["problem"] and job["problem"]["type"].rsplit(":", 1)[1] for job in jobs]
    assert problems == ["slide-unreadable", "file-unreadable", None]
    words = histoserve("submit", slide, "--model", "nuclai")
    assert words.returncode == 2
    assert "model-unknown" in words.stderr


def test_jobs_are_cancelled_and_done_again(running, slide) -> None:
    submitted = told(histoserve("submit", slide, "--model", "nuclei", "--json"))["jobs"]
    job_id = submitted[0]["job_id"]
    cancelled = histoserve("cancel", job_id, "--json")
    if cancelled.returncode:
        pytest.skip("the job was faster than the command")
    assert told(cancelled)["jobs"][0]["state"] == "cancelled"
    assert histoserve("watch", job_id).returncode == 1
    again = told(histoserve("retry", job_id, "--json"))["jobs"][0]
    assert again["retry_of"] == job_id
    assert told(histoserve("watch", again["job_id"], "--json"))["jobs"][0]["state"] == "succeeded"


def test_ctrl_c_ends_the_watching_and_not_the_job(running, phantom) -> None:
    job_id = told(histoserve("submit", phantom, "--model", "nuclei", "--json"))["jobs"][0]["job_id"]
    watching = subprocess.Popen(
        [HISTOSERVE, "watch", job_id], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watching.stderr is not None
    watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, words = watching.communicate(timeout=60)
    assert watching.returncode == 1
    assert f"the jobs go on: histoserve watch {job_id}" in words
    assert told(histoserve("watch", job_id, "--json"))["jobs"][0]["state"] == "succeeded"


def test_a_batch_that_is_killed_goes_on_and_hands_in_nothing_twice(running, slide, tmp_path) -> None:
    before = len(told(histoserve("status", "--limit", 1000, "--json"))["jobs"])
    table, out = tmp_path / "slides.csv", tmp_path / "out"
    rows = [(slide, "E-1"), (slide, "E-2"), (tmp_path / "none.svs", "E-3")]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "external_id"), *rows])
    command = [HISTOSERVE, "batch", str(table), "--model", "nuclei", "--out", str(out)]
    state = tmp_path / "slides.csv.state.json"
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(state.exists, 60)
    killed.kill()
    killed.wait()
    jobs = told(histoserve(*command[1:], "--json"), 2)["jobs"]
    assert [job["state"] for job in jobs] == ["succeeded", "succeeded", "refused"]
    assert jobs[0]["slide_id"] == jobs[1]["slide_id"]
    assert [job["job_id"] for job in told(histoserve(*command[1:], "--json"), 2)["jobs"]] == [j["job_id"] for j in jobs]
    assert len(told(histoserve("status", "--limit", 1000, "--json"))["jobs"]) == before + 2
    with (out / "batch.csv").open(newline="") as file:
        summary = list(csv.DictReader(file))
    assert [line["external_id"] for line in summary] == ["E-1", "E-2", "E-3"]
    assert (Path(summary[0]["folder"]) / "result.json").exists()
    assert summary[2]["problem"] == "file-unreadable"


def test_keys_are_made_shown_once_turned_over_and_revoked(running, slide) -> None:
    made = told(histoserve("keys", "create", "--tenant", "lab", "--name", "lis", "--expires", "90d", "--json"))
    assert made["scopes"] == ["read", "write"]
    assert made["expires_at"] is not None
    assert asks(running, made["key"]) == 0
    turned = told(histoserve("keys", "rotate", made["id"], "--json"))
    assert (turned["tenant"], turned["name"], turned["scopes"]) == ("lab", "lis", ["read", "write"])
    assert (asks(running, made["key"]), asks(running, turned["key"])) == (2, 0)
    listed = histoserve("keys", "list", "--tenant", "lab", "--json")
    assert [key["id"] for key in told(listed)["keys"]] == [made["id"], turned["id"]]
    assert made["key"].rsplit(".", 1)[1] not in listed.stdout
    assert told(histoserve("keys", "revoke", turned["id"], "--json"))["revoked_at"] is not None
    assert asks(running, turned["key"]) == 2
    reader = histoserve("keys", "create", "--tenant", "lab", "--name", "r", "--scope", "read")
    assert reader.stdout.startswith("hs.key_")
    refused = with_key(running, reader.stdout.strip(), "submit", str(slide), "--model", "nuclei")
    assert refused.returncode == 2
    assert "forbidden" in refused.stderr
    for wrong in (["revoke", "key_none"], ["rotate", turned["id"]], ["rotate", "key_none"]):
        assert histoserve("keys", *wrong, "--json").returncode == 2
    for wrong in (["--scope", "root"], ["--expires", "soon"]):
        assert histoserve("keys", "create", "--tenant", "lab", "--name", "x", *wrong).returncode == 2


def test_what_keys_do_is_in_the_audit(running) -> None:
    from workers.contract.settings import Settings
    from workers.ledger import open_ledger
    from workers.ledger.audit import find_break, list_entries

    made = told(histoserve("keys", "create", "--tenant", "audited", "--name", "a", "--json"))
    histoserve("keys", "rotate", made["id"])
    ledger = open_ledger(Settings(home=running.home).database)
    with ledger.read() as connection:
        entries = list_entries(connection, tenant="audited")
        assert find_break(connection) is None
    ledger.close()
    assert [(entry.action, entry.outcome) for entry in entries] == [
        ("key.create", 0),
        ("key.create", 0),
        ("key.revoke", 0),
    ]


def test_without_a_service_it_is_told_what_to_do(tmp_path) -> None:
    done = subprocess.run(
        [HISTOSERVE, "status", "--json"],
        env=os.environ | {"HISTOSERVE_HOME": str(tmp_path), "HISTOSERVE_URL": "", "HISTOSERVE_KEY": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["type"] == "urn:histoserve:no-service"


def with_key(running: Running, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished command with a key of its own."""
    env = os.environ | {"HISTOSERVE_URL": running.told["url"], "HISTOSERVE_KEY": key}
    return subprocess.run([HISTOSERVE, *arguments], env=env, capture_output=True, text=True, check=False)


def asks(running: Running, key: str) -> int:
    """The exit code of a question with a key."""
    return with_key(running, key, "status").returncode
