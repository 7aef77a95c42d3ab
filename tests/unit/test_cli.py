"""The command line: exit codes, problem documents, commands whose extra is missing."""

import inspect
import json
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest
import typer

from models.errors import HistoserveError, MppMissingError, NoTissueError, OutputConflictError, WrongStainError
from service import cli
from service.command_help import read_help


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MppMissingError("none"), 2),
        (OutputConflictError("another"), 2),
        (NoTissueError("blank"), 3),
        (WrongStainError("brown"), 3),
        (HistoserveError("broken"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: HistoserveError, code: int) -> None:
    assert cli.exit_code(error) == code


def app_that_raises(error: Exception) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail(as_json: bool = typer.Option(False, "--json")) -> None:
        raise error

    return app


def test_an_error_is_a_problem_document_where_json_is_asked_for(monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        cli, "build_app", lambda _: app_that_raises(MppMissingError("The file states none.", "Give --mpp."))
    )
    assert cli.run_command(["--json"]) == 2
    problem = json.loads(capsys.readouterr().out)
    assert problem == {
        "type": "urn:histoserve:mpp-missing",
        "title": "The slide does not state its resolution",
        "detail": "The file states none.",
        "blame": "user_error",
        "remedy": "Give --mpp.",
    }


def test_an_error_is_words_on_stderr_otherwise(monkeypatch, capsys) -> None:
    monkeypatch.setattr(cli, "build_app", lambda _: app_that_raises(NoTissueError("Nothing [found] here.")))
    assert cli.run_command([]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "no-tissue" in told.err
    assert "Nothing [found] here." in told.err


def test_an_unknown_command_is_refused_with_two(capsys) -> None:
    assert cli.run_command(["analyse"]) == 2
    assert "analyse" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "meant"), [("rescor", "rescore"), ("model", "models")])
def test_a_mistyped_command_is_told_what_it_may_have_meant(typed: str, meant: str, capsys) -> None:
    assert cli.run_command([typed]) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


def installed() -> list[EntryPoint]:
    return [entry for kind in ("commands", "groups") for entry in entry_points(group=f"histoserve.{kind}")]


@pytest.mark.parametrize("entry", installed(), ids=lambda entry: entry.name)
def test_the_list_says_of_a_command_what_its_own_help_says(entry: EntryPoint) -> None:
    loaded = entry.load()
    told = loaded.info.help if isinstance(loaded, typer.Typer) else inspect.getdoc(loaded)
    assert told
    assert read_help(entry) == told


def test_a_command_without_a_source_here_is_listed_with_its_extra(monkeypatch, capsys) -> None:
    entry = EntryPoint("quantise", "training.no_such_module:quantise", "histoserve.commands")
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry] if group == entry.group else [])
    assert cli.run_command(["--help"]) == 0
    assert "needs the extra train" in " ".join(capsys.readouterr().out.replace("`", "").split())


@pytest.mark.parametrize("arguments", [["--help"], ["--help", "run"], ["--version"], ["analyse"]])
def test_to_list_the_commands_imports_none_of_them(arguments: list[str]) -> None:
    assert modules_of_commands_after(arguments) == set()


@pytest.mark.parametrize("name", ["run", "keys", "submit", "worker"])
def test_a_command_imports_its_own_module_only(name: str) -> None:
    own = {entry.module for entry in installed() if entry.name == name}
    assert modules_of_commands_after([name, "--help"]) == own


def modules_of_commands_after(arguments: list[str]) -> set[str]:
    """Which modules of commands a process has imported that ran one command line."""
    code = "import sys; from service.cli import run_command; run_command(sys.argv[1:]); print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return {entry.module for entry in installed()} & set(done.stdout.split())


def test_what_is_installed_is_there() -> None:
    assert cli.run_command(["--help"]) == 0
    names = {command.name for command in cli.build_app([]).registered_commands}
    service = "acceptance batch cancel download gc keys retry serve status submit up watch worker rescore"
    engine = "diff models paired phantom plan quantise register run verify"
    assert names == set(f"{service} {engine}".split())


def test_a_command_whose_extra_is_missing_says_which(monkeypatch) -> None:
    entry = EntryPoint("run", "workers.no_such_module:run", "histoserve.commands")
    with pytest.raises(HistoserveError, match=r"pip install 'histoserve\[worker-cpu\]'"):
        cli._load(entry)()


def test_a_module_that_is_ours_and_broken_is_not_called_missing() -> None:
    entry = EntryPoint("run", "workers.commands:no_such_name", "histoserve.commands")
    with pytest.raises(AttributeError):
        cli._load(entry)


def test_the_version_is_told(capsys) -> None:
    assert cli.run_command(["--version"]) == 0
    assert capsys.readouterr().out.strip().count(".") == 2
