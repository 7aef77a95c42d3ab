"""The examples do what they say, against a real `histoserve up`."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.test_cli_service import SMALL
from tests.e2e.test_up import key_of, up
from training.phantom.write import write_phantom

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of an integration: where the service is, and a key."""
    home = tmp_path_factory.mktemp("examples") / "home"
    with up(home) as running:
        kept = key_of(home)
        assert running.told.get("url") == kept["url"], running.told
        own = {"HISTOSERVE_URL": kept["url"], "HISTOSERVE_KEY": kept["key"], "XDG_CACHE_HOME": str(home.parent / "c")}
        yield os.environ | own | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@pytest.fixture(scope="module")
def slides(tmp_path_factory) -> Path:
    """A folder with a slide, its copy under another name, and a file that is none."""
    folder = tmp_path_factory.mktemp("slides")
    write_phantom(SMALL, {"he": folder / "first slide.tiff"})
    shutil.copy(folder / "first slide.tiff", folder / "second.tiff")
    (folder / "torn.svs").write_bytes(b"no slide at all, but sixteen bytes long")
    return folder


def run(env: dict[str, str], tmp_path: Path, *command: object) -> subprocess.CompletedProcess[str]:
    own = env | {"LIS_FOLDER": str(tmp_path)}
    return subprocess.run(
        [str(part) for part in command], env=own, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )


def test_a_folder_becomes_a_table_of_scores(env, slides, tmp_path) -> None:
    done = run(env, tmp_path, sys.executable, EXAMPLES / "batch.py", slides, "--out", "scores.csv")
    assert done.returncode == 1, done.stderr
    assert "2 of 3 slides scored" in done.stdout
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = {row["slide"]: row for row in csv.DictReader(file)}
    assert int(rows["first slide.tiff"]["cells.count"]) > 100
    assert rows["first slide.tiff"]["cells.count"] == rows["second.tiff"]["cells.count"]
    assert (rows["torn.svs"]["state"], rows["torn.svs"]["problem"]) == ("failed", "slide-unreadable")


LIS: list[tuple[list[str], list[str]]] = [
    ([sys.executable, str(EXAMPLES / "lis_httpx.py")], ["ids", "accession"]),
    (["sh", str(EXAMPLES / "lis.sh")], ["job_id"]),
]


@pytest.mark.parametrize("command", [command for command, _ in LIS], ids=["httpx", "curl"])
def test_an_order_of_a_laboratory_system_is_done_once(env, slides, tmp_path, command) -> None:
    if command[0] == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    accession = f"A-{len(command[-1])}"
    order = [*command, slides / "first slide.tiff", accession]
    first, second = (run(env, tmp_path, *order) for _ in range(2))
    assert first.returncode == 0, first.stderr
    told, again = (json.loads(done.stdout) for done in (first, second))
    assert told["job_id"] == again["job_id"]
    assert told["scores"]["cells"]["count"] > 100
    assert told["notice"].startswith("Research use only")
    assert (tmp_path / f"{accession}.png").read_bytes().startswith(b"\x89PNG")
    assert ids_of(env, tmp_path, told["job_id"])["accession"] == accession


@pytest.mark.parametrize("command", [command for command, _ in LIS], ids=["httpx", "curl"])
def test_an_order_that_cannot_be_done_is_told_in_words(env, slides, tmp_path, command) -> None:
    if command[0] == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    done = run(env, tmp_path, *command, slides / "torn.svs", "B-1")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("The slide cannot be read. The file is no slide")
    unknown = run(env | {"HISTOSERVE_MODEL": "nuclai"}, tmp_path, *command, slides / "second.tiff", "B-2")
    assert unknown.returncode == 1
    assert "nuclai" in unknown.stderr


def ids_of(env: dict[str, str], tmp_path: Path, job_id: str) -> dict[str, Any]:
    told = run(env, tmp_path, Path(sys.executable).with_name("histoserve"), "status", job_id, "--json")
    found: dict[str, Any] = json.loads(told.stdout)["jobs"][0]["ids"]
    return found


def test_examples_are_short_enough_to_be_read() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} >= {"batch.py", "lis_httpx.py", "lis.sh"}
    for name in ("batch.py", "lis_httpx.py", "lis.sh"):
        text = (EXAMPLES / name).read_text()
        assert len(text.splitlines()) < 150
        assert "Research use only" in text
