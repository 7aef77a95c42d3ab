"""The limited child that opens a slide first: begun early, waited for late, light to start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import MppMissingError, PackageUnknownError, SlideUnreadableError
from service.cli import run_command
from tests import making, packages_made
from workers.slides import open_slide, probe_slide, started_probe

HEAVY = ("scipy", "skimage", "pyarrow", "pydantic", "onnxruntime", "rich", "httpx")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return making.write_svs(tmp_path / "a.svs", making.tissue(512, 512))


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_probe_that_has_begun_answers_as_one_that_is_waited_for(slide: Path) -> None:
    before = children()
    with started_probe(slide, 0.3) as probe:
        assert children() > before
        assert probe() == probe_slide(slide, 0.3) == open_slide(slide, 0.3).info
    assert children() == before


def test_a_refusal_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    bare = making.write_svs(tmp_path / "bare.svs", making.tissue(300, 300), mpp=None)
    with started_probe(bare) as probe, pytest.raises(MppMissingError, match="no micrometres"):
        probe()


def test_a_child_that_nobody_waits_for_ends_with_the_block(slide: Path) -> None:
    before = children()
    with pytest.raises(ZeroDivisionError), started_probe(slide):
        raise ZeroDivisionError
    assert children() == before


def test_the_child_loads_no_more_than_it_needs(slide: Path) -> None:
    request = {"path": str(slide), "mpp_override": None, "limits": {"memory_bytes": 1 << 30, "cpu_s": 20, "wall_s": 60}}
    code = (
        "import sys; from workers.slides.probe import main; main();"
        "print(*(m for m in sys.argv[1:] if m in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *HEAVY], input=json.dumps(request), capture_output=True, text=True, check=True
    )
    assert "info" in json.loads(done.stdout)
    assert done.stderr.strip() == ""


def test_the_package_is_refused_before_the_slide_and_both_before_anything_is_written(tmp_path: Path, capsys) -> None:
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide")
    package = packages_made.identity_package(tmp_path / "package")
    (tmp_path / "none").mkdir()

    def refusal(folder: Path) -> str:
        command = ["run", str(broken), "--package", str(folder), "--out", str(tmp_path / "out"), "--json"]
        assert run_command(command) == 2
        return json.loads(capsys.readouterr().out)["type"].rsplit(":", 1)[-1]

    assert refusal(tmp_path / "none") == PackageUnknownError.slug
    assert refusal(package.folder) == SlideUnreadableError.slug
    assert not (tmp_path / "out").exists()
