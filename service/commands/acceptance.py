"""`histoserve acceptance`: is this deployment what was shipped? A phantom with known truth says so."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.table import Table

from models.errors import OutputConflictError
from service.acceptance.deployments import Deployment, LocalDeployment, ServiceDeployment, choose_packages
from service.acceptance.phantom import Phantom, make_phantom
from service.acceptance.testing import Check, Outcome, run_analyses
from service.cli import EXIT_OTHER
from service.client.client import Client
from service.commands.options import Json, Option, Url
from service.commands.showing import Progressing, console_for_tables, print_json, print_problem, progressing, span
from workers.result import NOTICE

SEED = 90_210
"""No package was trained on a phantom of this seed."""
REPORT = "acceptance.json"
VERDICTS = {"pass": "[green]pass[/]", "fail": "[bold red]FAIL[/]", "not judged": "[yellow]not judged[/]"}


def acceptance(
    analyses: Annotated[
        list[str] | None,
        Option("--analysis", help="Only this one; may be repeated. All there are packages for if none."),
    ] = None,
    local: Annotated[
        bool, Option("--local", help="Through `histoserve run` on this machine, without a service.")
    ] = False,
    side: Annotated[int, Option("--side", min=1024, max=32768, help="Side of the phantom in px of 0.25 um.")] = 4096,
    seed: Annotated[int, Option("--seed", min=0, help="Which phantom.")] = SEED,
    out: Annotated[Path | None, Option("--out", help=f"A new folder for {REPORT}, and for what --keep keeps.")] = None,
    keep: Annotated[bool, Option("--keep", help="Keep slides, truth and results with their pictures.")] = False,
    url: Url = None,
    key: Annotated[str | None, Option("--key", help="An API key; HISTOSERVE_KEY, or that of `histoserve up`.")] = None,
    as_json: Json = False,
) -> None:
    """Test a deployment: send a phantom through it and hold what comes back against the truth.

    Examples:

        histoserve acceptance

        histoserve acceptance --url https://histoserve.example.org --key hs.… --out acceptance --keep

        histoserve acceptance --local --analysis ki67-he --side 2048 --json

    The limits are taken from the cards of the deployment's own packages, widened for one phantom of this size: see
    docs/acceptance.md. A pass says that the deployment does what was shipped; it says nothing about patients. Exit
    codes: 0 all within their limits, 1 not all, or the deployment failed, 2 refused input.
    """
    with (
        _folder(out, keep=keep) as folder,
        progressing() as show,
        _deployment(url, key, show, local=local) as deployment,
    ):
        chosen = choose_packages(deployment.packages(), tuple(analyses or ()))
        show.say(f"making a phantom of {side} x {side} px")
        phantom = make_phantom(folder, side, seed)
        tested = list(run_analyses(deployment, chosen, phantom, folder, show.say))
        report = _report(deployment, phantom, tested)
        if out is not None or keep:
            (folder if out is None else out).joinpath(REPORT).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if as_json:
        print_json(report)
    else:
        _print(deployment, phantom, tested)
        if keep:
            typer.echo(f"kept in {folder}")
    if not report["passed"]:
        raise typer.Exit(EXIT_OTHER)


@contextmanager
def _folder(out: Path | None, *, keep: bool) -> Iterator[Path]:
    """Where phantom and results lie: in a new folder where they are kept, else where they are gone afterwards."""
    if out is not None or keep:
        out = out or Path("acceptance")
        if out.exists() and any(out.iterdir()):
            raise OutputConflictError(f"The folder {out} is not empty.", "Give another one with --out.")
        out.mkdir(parents=True, exist_ok=True)
    if keep and out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="histoserve-acceptance-") as folder:
        yield Path(folder)


@contextmanager
def _deployment(url: str | None, key: str | None, show: Progressing, *, local: bool) -> Iterator[Deployment]:
    if local:
        yield LocalDeployment()
        return
    with Client(url, key) as client:
        yield ServiceDeployment(client, show.job)


def _report(deployment: Deployment, phantom: Phantom, tested: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "passed": all(item.passed for item in tested),
        "deployment": deployment.name,
        "phantom": {name: phantom.made[name] for name in ("spec", "spec_sha256", "truth", "files")},
        "analyses": [item.as_dict() for item in tested],
        "notice": NOTICE,
    }


def _print(deployment: Deployment, phantom: Phantom, tested: Sequence[Outcome]) -> None:
    truth, spec = phantom.made["truth"], phantom.made["spec"]
    title = f"{deployment.name}: a phantom of {spec['width_px']} x {spec['height_px']} px, {truth['nuclei']} nuclei"
    table = Table(title=title, show_edge=False)
    for name in ("analysis", "number", "found", "truth", "value", "limit", ""):
        table.add_column(name, overflow="fold", no_wrap=True)
    for item in tested:
        for index, check in enumerate(item.checks):
            first = f"{item.package}\n{span(item.seconds)}" if index == 0 else ""
            table.add_row(first, *_cells(check))
        if item.error is not None:
            table.add_row(item.package, *[""] * 5, VERDICTS["fail"])
        table.add_section()
    console = console_for_tables()
    console.print(table)
    for item in tested:
        for check in item.checks:
            console.print(f"{item.analysis} {check.number.name}: {_source(check)}", markup=False, style="dim")
        print_problem(item.package, item.error)
    passed = all(item.passed for item in tested)
    console.print(f"[bold {'green' if passed else 'red'}]{'accepted' if passed else 'NOT accepted'}[/]  {NOTICE}")


def _cells(check: Check) -> tuple[str, ...]:
    number, limit = check.number, check.limit
    found, true = (_text(value) for value in (number.found, number.true))
    told = "" if limit is None else f"{limit.sense} {_text(limit.value)}"
    return number.name, found, true, _text(number.value), told, VERDICTS[check.verdict]


def _source(check: Check) -> str:
    """What a limit was taken from."""
    if check.limit is None:
        return "the card has no number to hold it against, or none that would exclude anything"
    metric = check.limit.metric
    interval = f"{_text(metric.value)} ({_text(metric.low)} to {_text(metric.high)})"
    return f"limit from the card: {metric.name} {interval}, n {metric.n}, {metric.data}"


def _text(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"
