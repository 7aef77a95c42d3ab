"""`histoserve`, one command made of what is installed.

The packages bring their commands through entry points, so this file imports none of them: a service image without the
engine still has a working command line that says which extra is missing.
"""

import json
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer
from rich.console import Console

from models.errors import HistoserveError, NotScorableError, RefusedInputError

EXIT_DONE, EXIT_OTHER, EXIT_REFUSED, EXIT_NOT_SCORABLE = 0, 1, 2, 3
EXTRAS = {"service": "service", "workers": "worker-cpu", "models": "worker-cpu", "training": "train"}


def build_app() -> typer.Typer:
    """The command line of everything that is installed here."""
    app = typer.Typer(
        name="histoserve",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback(help="Whole-slide inference for pathology. Research use only; not for diagnosis.")(_root)
    for entry in sorted(entry_points(group="histoserve.commands"), key=lambda e: e.name):
        app.command(entry.name)(_load(entry))
    for entry in sorted(entry_points(group="histoserve.groups"), key=lambda e: e.name):
        group = _load(entry)
        if isinstance(group, typer.Typer):
            app.add_typer(group, name=entry.name)
        else:
            app.command(entry.name)(group)
    return app


def main() -> None:
    """Run the command line; exit 0 done, 2 refused input, 3 not scorable, 1 anything else."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """The exit code of one command line; errors go to stderr, or to stdout as a problem document with `--json`."""
    try:
        build_app()(arguments)
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
    extra = EXTRAS.get(entry.module.split(".")[0], "dev")

    def unavailable() -> None:
        raise HistoserveError(
            f"`histoserve {entry.name}` needs {module}, which is not installed here.",
            f"Install it with: pip install 'histoserve[{extra}]'.",
        )

    unavailable.__doc__ = f"Not installed here: needs the extra `{extra}`."
    return unavailable


def _tell(error: HistoserveError, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(error.as_problem()))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{error.title}[/] ({error.slug})", style=None)
    for text in [reason.text for reason in error.reasons] or [error.detail]:
        console.print(text, markup=False)
    if error.remedy:
        console.print(error.remedy, markup=False, style="green")
