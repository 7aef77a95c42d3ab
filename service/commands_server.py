"""`histoserve up` and `histoserve serve`."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.errors import HistoserveError

if TYPE_CHECKING:
    from service.up import Up

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; loopback unless given.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 is any free one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout when requests are answered.")]


def serve(
    host: Host = None,
    port: Port = None,
    fd: Annotated[int | None, typer.Option("--fd", hidden=True, help="A socket that listens already.")] = None,
    as_json: Json = False,
) -> None:
    """Run the API; the database is brought to this version first. Workers run apart: `histoserve worker`.

    Where things are comes from HISTOSERVE_DATABASE_URL, HISTOSERVE_REDIS_URL, HISTOSERVE_STORE_URL; see docs/deploy.md.

    Examples:

        histoserve serve

        histoserve serve --host 0.0.0.0 --port 8000

        histoserve serve --port 0 --json
    """
    with _needs("serve", "service"):
        from service.serve import listen_on, run_service
    from workers.contract.logs import set_up_logs
    from workers.contract.settings import Settings
    from workers.ledger import migrate

    settings = Settings(**_given(host=host, port=port))
    set_up_logs(settings.log_format)
    listening = listen_on(settings.host, settings.port) if fd is None else socket.socket(fileno=fd)
    migrate(settings.database)

    def tell(url: str) -> None:
        if fd is None:
            typer.echo(json.dumps({"url": url}) if as_json else f"histoserve listens on {url}")

    with listening:
        run_service(settings, listening, tell)


def up(
    home: Annotated[Path | None, typer.Option("--home", help="Folder for everything; ~/.histoserve.")] = None,
    port: Port = None,
    slots: Annotated[int, typer.Option("--slots", min=1, max=64, help="Jobs worked on at the same time.")] = 1,
    as_json: Json = False,
) -> None:
    """Run everything on this machine: database, queue, worker and API, on loopback, in one folder.

    Examples:

        histoserve up

        histoserve up --home /data/histoserve --port 8100 --slots 2

        histoserve up --port 0 --json

    The key that the command line picks up is in the folder, readable by you alone. Ctrl-C ends it; started again on
    the same folder, it goes on with all work that was not finished.
    """
    with _needs("up", "up"):
        from service.up import run_up
    from workers.contract.logs import set_up_logs
    from workers.contract.settings import Settings
    from workers.contract.signals import stop_on_signals

    settings = Settings(**_given(home=home, port=port))
    settings = settings.model_copy(update={"home": settings.home.absolute()})
    set_up_logs(settings.log_format)
    with stop_on_signals() as stop:
        run_up(settings, slots, stop, _tell_json if as_json else _tell_panel)


@contextmanager
def _needs(command: str, extra: str) -> Iterator[None]:
    """Tell which extra is missing where an import in the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise HistoserveError(
            f"`histoserve {command}` needs {error.name}, which is not installed here.",
            f"Install it with: pip install 'histoserve[{extra}]'.",
        ) from error


def _given(**values: object) -> dict[str, Any]:
    """What was said on the command line; the rest comes from the environment."""
    return {name: value for name, value in values.items() if value is not None}


def _tell_json(told: "Up") -> None:
    document = asdict(told) | {"home": str(told.home), "key_file": str(told.key_file)}
    typer.echo(json.dumps(document))


def _tell_panel(told: "Up") -> None:
    from rich.console import Console
    from rich.panel import Panel

    text = (
        f"[bold]{told.url}[/]\n"
        f"key file  {told.key_file} (only you can read it)\n"
        f"home      {told.home}\n"
        f"workers   {told.slots}\n\n"
        "In another terminal:  histoserve submit SLIDE --analysis NAME\n"
        "Ctrl-C ends it; started again, it goes on with what was not finished.\n"
        "[dim]Research use only. Not for diagnosis.[/]"
    )
    Console(highlight=False).print(Panel(text, title="histoserve is up", expand=False))
