"""`histoserve rescore`: a finished result with other thresholds, here or in the service."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.errors import HistoserveError, RefusedInputError
from models.parameters import read_settings
from service.client.client import Client, problem_of
from service.commands.following import follow_jobs
from service.commands.options import Json, Option, Settings, Url
from service.commands.showing import print_json, progressing
from service.wire import JobTold
from workers.result import Result
from workers.result_scores import flat_scores


def rescore(
    result: Annotated[
        Path | None, typer.Argument(metavar="[RESULT_DIR]", help="The folder of a finished result, with its maps.")
    ] = None,
    job: Annotated[str | None, Option("--job", help="Instead: a job of the service that succeeded.")] = None,
    settings: Settings = None,
    out: Annotated[Path | None, Option("--out", help="A new folder for the result; only scores where none.")] = None,
    package: Annotated[
        str | None, Option("--package", help="The package it was made with, where it is not installed by its name.")
    ] = None,
    slide: Annotated[
        Path | None, Option("--slide", help="Where cells of an IHC mask are found anew: how dark they are is in it.")
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Score a finished result anew with other thresholds, without inference.

    Examples:

        histoserve rescore out --set detection_threshold=0.7

        histoserve rescore out --set min_area_um2=20 --set max_area_um2=300 --out out-20 --json

        histoserve rescore --job job_abcdefgh --set theta1=6 --out rescored

    The numbers are those that `histoserve run` with the same --set gives. What the result was made with stays, where it
    is not set anew. Digests of what is read are checked first. Exit codes: 0 done, 2 refused input, 3 not scorable, 1
    anything else.
    """
    if (result is None) == (job is None):
        raise RefusedInputError("Give either a result's folder or --job.", "`histoserve rescore --help` has examples.")
    parameters = read_settings(settings or [])
    if result is not None:
        _tell_result(_engine()(result, parameters, out, package, slide), out, as_json=as_json)
    else:
        _tell_job(_rescore_there(str(job), parameters, out, url), out, as_json=as_json)


def _engine() -> Callable[..., Result]:
    """What scores a folder; not imported here, so that a client without the engine has the command too."""
    (entry,) = entry_points(group="histoserve.engine", name="rescore")
    try:
        found: Callable[..., Result] = entry.load()
    except ModuleNotFoundError as error:
        raise HistoserveError(
            f"Scoring a folder needs {error.name}, which is not installed here.",
            "Install it with: pip install 'histoserve[worker-cpu]', or let a service do it with --job.",
        ) from error
    return found


def _rescore_there(job_id: str, parameters: Mapping[str, object], out: Path | None, url: str | None) -> JobTold:
    """The job that has scored anew, over; its files are in `out` where that is given."""
    with Client(url) as client, progressing() as show:
        placed = client.rescore(job_id, parameters)
        done = follow_jobs(client, [placed.id], show.job)[placed.id]
        if error := problem_of(done):
            raise error
        if out is not None:
            client.download(done.id, out, lambda part, total: show.transfer(done.id, "downloading", part, total))
    return done


def _tell_result(result: Result, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in flat_scores(result.scores):
        console.print(f"{name} {value}", markup=False)
    console.print(f"{result.seconds['total']:.1f} s, without inference", markup=False)
    if out is not None:
        console.print(str(out / "result.json"), markup=False)
    console.print(result.notice, markup=False)


def _tell_job(job: JobTold, out: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json(job.model_dump(mode="json"))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{job.id}[/]  {job.state}  {job.model}")
    for name, value in flat_scores(job.scores or {}):
        console.print(f"{name} {value}", markup=False)
    if out is not None:
        console.print(str(out / "result.json"), markup=False)
    console.print(job.notice, markup=False)
