"""`histoserve verify`: whatever is changed, removed or added is told, and nothing else is."""

import hashlib
import json
import tomllib
from pathlib import Path

import pytest
import typer

from models.errors import PackageUnknownError
from models.registry import resolve
from service import cli
from service.client.download import MARK
from tests.conftest import REPOSITORY
from tests.unit.review.made import MAP, SHARD, file_part, result_fields, write_json, write_result
from workers.review.commands import diff, verify
from workers.review.errors import ResultUnreadableError
from workers.review.verify import OURS, verify_result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_result(tmp_path / "out")


def failures(folder: Path) -> list[tuple[str, str]]:
    return [(check.subject, check.name) for check in verify_result(folder).failures]


def test_a_result_as_it_was_written_passes_and_says_what_was_not_compared(folder):
    review = verify_result(folder)
    assert review.passed
    assert [c.subject for c in review.checks if c.status == "unknown"] == ["package", "slide"]
    assert [c.name for c in review.checks if c.subject in ("file", "folder")] == [
        "points.csv",
        "quality/tissue.png",
        MAP,
    ]
    assert verify_result(folder / "result.json") == review
    assert review.result_sha256 == hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "path", "told", "word"),
    [
        (change, "points.csv", ("file", "points.csv"), "altered"),
        (cut, "points.csv", ("file", "points.csv"), "13 bytes, not the 14"),
        (Path.unlink, "quality/tissue.png", ("file", "quality/tissue.png"), "missing"),
        (change, SHARD, ("folder", MAP), SHARD),
        (Path.unlink, SHARD, ("folder", MAP), "1 files, not 2"),
        (lambda path: path.write_bytes(b"x"), f"{MAP}/more", ("folder", MAP), "3 files, not 2"),
        (lambda path: path.write_bytes(b"x"), "notes.txt", ("undeclared", "notes.txt"), "not named"),
        (lambda path: path.write_bytes(b"x"), "run/more", ("undeclared", "run/more"), "not named"),
        (lambda path: path.symlink_to("/tmp"), "elsewhere", ("undeclared", "elsewhere"), "not named"),
    ],
)
def test_what_was_harmed_is_told_and_nothing_else(folder, harm, path, told, word):
    harm(folder / path)
    (check,) = verify_result(folder).failures
    assert (check.subject, check.name) == told
    assert word in check.detail
    assert check.remedy


def test_a_whole_map_that_is_gone_is_told(folder):
    for path in (SHARD, f"{MAP}/zarr.json"):
        (folder / path).unlink()
    for path in (f"{MAP}/0/c/0", f"{MAP}/0/c", f"{MAP}/0", MAP):
        (folder / path).rmdir()
    assert failures(folder) == [("folder", MAP)]


def test_without_the_runs_ledger_a_harmed_map_is_still_told(folder):
    (folder / "run/bands.jsonl").write_text("torn")
    assert failures(folder) == []
    change(folder / SHARD)
    assert failures(folder) == [("folder", MAP)]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", ".."])
def test_a_path_out_of_the_folder_is_told_and_not_read(folder, name):
    (folder.parent / "secret").write_bytes(b"x")
    write_result(folder, files=[file_part(name, b"x")], folders=[])
    found = verify_result(folder).failures
    assert ("file", name) in [(check.subject, check.name) for check in found]
    assert "no place inside" in found[0].detail


def test_a_hole_is_told(folder):
    plan = result_fields()["plan"] | {"tiles_done": 3, "tiles_failed": 1}
    write_result(folder, plan=plan)
    assert failures(folder) == [("tiles", "result.json")]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        (result_fields(schema_version=2), "schema_version"),
        (result_fields(more=1), "more"),
        (result_fields(plan=result_fields()["plan"] | {"bands": "1"}), "plan.bands"),
        ({}, "code_version"),
    ],
)
def test_another_schema_is_told_with_its_place(folder, fields, place):
    write_json(folder, fields)
    (check,) = verify_result(folder).failures
    assert check.subject == "schema"
    assert place in check.detail


def test_what_is_no_json_is_told(folder):
    (folder / "result.json").write_text('{"code_version": ')
    assert failures(folder) == [("schema", "result.json")]


def test_a_folder_without_a_result_is_refused_and_an_unfinished_run_says_how_to_go_on(tmp_path):
    with pytest.raises(ResultUnreadableError, match=r"holds no result\.json"):
        verify_result(tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(ResultUnreadableError, match="same arguments"):
        verify_result(tmp_path)


def test_the_installed_package_is_compared(folder):
    nuclei = resolve("nuclei")
    network = nuclei.manifest.file("network")
    package = result_fields()["package"] | {
        "reference": nuclei.manifest.reference,
        "manifest_sha256": nuclei.manifest_sha256,
        "network_sha256": network.sha256,
    }
    write_result(folder, package=package)
    (check,) = [c for c in verify_result(folder).checks if c.subject == "package"]
    assert check.status == "passed"
    write_result(folder, package=package | {"manifest_sha256": "c" * 64})
    (check,) = verify_result(folder).failures
    assert (check.subject, check.name) == ("package", nuclei.manifest.reference)
    assert "the manifest is" in check.detail and "the network is" not in check.detail


def test_a_package_that_was_named_must_be_there(folder):
    with pytest.raises(PackageUnknownError):
        verify_result(folder, package="none-such")
    (check,) = verify_result(folder, package="nuclei").failures
    assert check.subject == "package"


def test_the_slide_is_compared_where_it_is_given(folder, tmp_path):
    right, wrong = tmp_path / "right.png", tmp_path / "wrong.png"
    right.write_bytes(b"slide")
    wrong.write_bytes(b"other")
    assert [c.status for c in verify_result(folder, right).checks if c.subject == "slide"] == ["passed"]
    for path, word in ((wrong, "not the slide"), (tmp_path / "none.png", "cannot be read")):
        (check,) = verify_result(folder, path).failures
        assert check.subject == "slide"
        assert word in check.detail


def test_what_download_leaves_is_declared(folder):
    (folder / MARK).write_text("{}")
    assert MARK in OURS
    assert verify_result(folder).passed


@pytest.fixture
def run(monkeypatch):
    def build(_: list[str]) -> typer.Typer:
        app = typer.Typer()
        app.command()(verify)
        return app

    monkeypatch.setattr(cli, "build_app", build)
    return cli.run_command


def test_the_commands_are_those_that_are_installed():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    commands = project["entry-points"]["histoserve.commands"]
    assert (commands["verify"], commands["diff"]) == tuple(
        f"{command.__module__}:{command.__name__}" for command in (verify, diff)
    )


def test_exit_codes_and_json(folder, tmp_path, run, capsys):
    assert run([str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    (folder / "points.csv").write_bytes(b"")
    assert run([str(folder), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in document["checks"] if c["status"] == "failed"] == ["points.csv"]
    assert run([str(folder)]) == 1
    assert "not as written" in capsys.readouterr().out
    assert run([str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["type"] == "urn:histoserve:result-unreadable"


def test_the_digest_of_a_folder_is_of_its_sorted_lines(folder):
    digests = {
        path: hashlib.sha256((folder / MAP / path).read_bytes()).hexdigest() for path in ("0/c/0/0", "zarr.json")
    }
    lines = "".join(f"{path} {digest}\n" for path, digest in digests.items())
    told = json.loads((folder / "result.json").read_text())["folders"][0]["sha256"]
    assert told == hashlib.sha256(lines.encode()).hexdigest()
