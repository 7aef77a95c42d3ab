"""`histoserve`, one command made of what is installed.

The packages bring their commands through entry points, so this file imports none of them: a service image without the
engine still has a working command line that says which extra is missing. Only the command that is called is loaded;
the list of all takes their help from their sources, for to import them all takes seconds.
"""

import gc
import json
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from models.errors import HistoserveError, NotScorableError, RefusedInputError
from service.command_help import read_help

EXIT_DONE, EXIT_OTHER, EXIT_REFUSED, EXIT_NOT_SCORABLE = 0, 1, 2, 3
EXTRAS = {"service": "service", "workers": "worker-cpu", "models": "worker-cpu", "training": "train"}


def build_app(arguments: list[str]) -> typer.Typer:
    """The command line of what is installed here: the command that `arguments` call, or the list of all.

    The list is there to be shown or to be searched for what a mistyped name may have meant; nothing in it can be run.
    """
    app = typer.Typer(
        name="histoserve",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback(help="Whole-slide inference for pathology. Research use only; not for diagnosis.")(_root)
    entries = {entry.name: entry for kind in ("commands", "groups") for entry in _installed(kind)}
    # The options that may stand before a command (--help, --version) end the command line: then none is called.
    called = next((word for word in arguments if word != "--"), "")
    if called in entries:
        _add(app, entries[called])
    else:
        for entry in entries.values():
            app.command(entry.name, help=read_help(entry) or _not_installed(entry))(_only_listed)
    return app


def _installed(kind: str) -> list[EntryPoint]:
    return sorted(entry_points(group=f"histoserve.{kind}"), key=lambda entry: entry.name)


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    loaded = _load(entry)
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=entry.name)
    else:
        app.command(entry.name)(loaded)


def _only_listed() -> None:
    """What stands in the list for a command that was not called."""


def main() -> None:
    """Run the command line; exit 0 done, 2 refused input, 3 not scorable, 1 anything else."""
    code = run_command(sys.argv[1:])
    # What is left goes with the process: to search all of it for cycles first would take a fifth of a second.
    gc.freeze()
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """The exit code of one command line; errors go to stderr, or to stdout as a problem document with `--json`."""
    try:
        build_app(arguments)(arguments)
    except HistoserveError as error:
        _tell(error, as_json="--json" in arguments)
        return exit_code(error)
    except SystemExit as ended:
        # How typer ends a command line, a mistaken one too.
        return ended.code if isinstance(ended.code, int) else EXIT_DONE
    return EXIT_DONE


def exit_code(error: HistoserveError) -> int:
    """The exit code that tells a script what kind of failure this is."""
    if isinstance(error, RefusedInputError):
        return EXIT_REFUSED
    return EXIT_NOT_SCORABLE if isinstance(error, NotScorableError) else EXIT_OTHER


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("histoserve"))
        raise typer.Exit


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What stands before a command."""


def _load(entry: EntryPoint) -> Callable[..., object] | typer.Typer:
    try:
        loaded: Callable[..., object] | typer.Typer = entry.load()
    except ModuleNotFoundError as error:
        return _missing(entry, str(error.name))
    return loaded


def _missing(entry: EntryPoint, module: str) -> Callable[[], None]:
    def unavailable() -> None:
        raise HistoserveError(
            f"`histoserve {entry.name}` needs {module}, which is not installed here.",
            f"Install it with: pip install 'histoserve[{_extra_of(entry)}]'.",
        )

    unavailable.__doc__ = _not_installed(entry)
    return unavailable


def _not_installed(entry: EntryPoint) -> str:
    return f"Not installed here: needs the extra `{_extra_of(entry)}`."


def _extra_of(entry: EntryPoint) -> str:
    return EXTRAS.get(entry.module.split(".")[0], "dev")


def _tell(error: HistoserveError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(error.as_problem()))
        return
    # Only a failed command needs it, and it takes longer to load than this file.
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{error.title}[/] ({error.slug})", style=None)
    for text in [reason.text for reason in error.reasons] or [error.detail]:
        console.print(text, markup=False)
    if error.remedy:
        console.print(error.remedy, markup=False, style="green")
