"""The command line: exit codes, problem documents, commands whose extra is missing."""

import json
from importlib.metadata import EntryPoint

import pytest
import typer

from models.errors import HistoserveError, MppMissingError, NoTissueError, OutputConflictError, WrongStainError
from service import cli


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
        cli, "build_app", lambda: app_that_raises(MppMissingError("The file states none.", "Give --mpp."))
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
    monkeypatch.setattr(cli, "build_app", lambda: app_that_raises(NoTissueError("Nothing [found] here.")))
    assert cli.run_command([]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "no-tissue" in told.err
    assert "Nothing [found] here." in told.err


def test_an_unknown_command_is_refused_with_two(capsys) -> None:
    assert cli.run_command(["analyse"]) == 2
    assert "analyse" in capsys.readouterr().err


def test_what_is_installed_is_there() -> None:
    assert cli.run_command(["--help"]) == 0
    names = {group.name for group in cli.build_app().registered_groups}
    names |= {command.name for command in cli.build_app().registered_commands}
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
