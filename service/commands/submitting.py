"""`histoserve submit`: slides become jobs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from models.errors import HistoserveError, RefusedInputError
from models.parameters import read_settings
from service.client.client import Client
from service.commands.following import follow_jobs
from service.commands.options import Analysis, Json, Model, Mpp, Option, Priority, Regions, Settings, Stain, Url
from service.commands.placing import Placed, place_rows, worst_code
from service.commands.rows import Row, rows_of_slides, rows_of_table
from service.commands.showing import Progressing, print_json, print_placed, progressing, reporter
from service.wire import JobTold


def submit(
    slides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SLIDE]...", help="Files, patterns, folders, file: and s3: URIs the service may read."),
    ] = None,
    table: Annotated[Path | None, Option("--csv", help="CSV or JSON: a row for each job; see below.")] = None,
    model: Model = None,
    analysis: Analysis = None,
    mpp: Mpp = None,
    stain: Stain = None,
    settings: Settings = None,
    regions: Regions = None,
    priority: Priority = "routine",
    wait: Annotated[bool, Option("--wait", help="Wait until all jobs are over.")] = False,
    out: Annotated[Path | None, Option("--out", help="Wait, and bring each result to a folder OUT/JOB.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Hand slides in to a service: upload them, and ask for an analysis of each.

    Examples:

        histoserve submit slide.svs --analysis nuclei

        histoserve submit 'slides/*.svs' more/ --model nuclei@1.0.0 --wait --out results

        histoserve submit png.png --model nuclei --mpp 0.5 --set min_area_um2=12 --regions tumour.geojson

        histoserve submit --csv slides.csv --model nuclei --priority stat --json

    Columns of the table are path or uri, model or analysis, mpp, stain, priority, parameters (JSON), regions (a file),
    accession, external_id and the other identifiers; what a row leaves empty is taken from the command line.

    An upload that was interrupted goes on where it was with the same command. A slide that is refused does not end the
    rest. Exit codes: 0 done, 3 something cannot be scored, 2 something was refused, 1 anything else; the worst counts.
    """
    common: dict[str, Any] = {"model": model, "analysis": analysis, "mpp": mpp, "stain": stain, "regions": regions}
    common |= {"priority": priority, "parameters": read_settings(settings or [])}
    rows = gather_rows(slides or [], table, common)
    with Client(url) as client, progressing() as show:
        placed = list(place_rows(client, rows, reporter(show, "uploading")))
        if wait or out is not None:
            see_through(client, placed, out, show)
    tell_placed(placed, as_json=as_json)


def gather_rows(slides: list[str], table: Path | None, common: dict[str, Any]) -> list[Row]:
    """All rows that the command line names."""
    rows = rows_of_slides(slides, common)
    if table is not None:
        rows += rows_of_table(table, common)
    if not rows:
        raise RefusedInputError("No slide was named.", "Name files, or give --csv.")
    return rows


def see_through(client: Client, placed: list[Placed], out: Path | None, show: Progressing) -> None:
    """Wait until the jobs of `placed` are over, and bring each result to `out` as soon as it is there.

    Ctrl-C ends the waiting, not the jobs.
    """
    by_job: dict[str, list[Placed]] = {}
    for item in placed:
        if item.job is not None:
            by_job.setdefault(item.job.id, []).append(item)

    def tell(job: JobTold) -> None:
        show.job(job)
        for item in by_job[job.id]:
            item.job = job
            if job.state == "succeeded" and out is not None:
                bring(client, item, out, show)

    try:
        follow_jobs(client, list(by_job), tell)
    except KeyboardInterrupt:
        typer.echo(f"Not waiting any more; the jobs go on: histoserve watch {' '.join(by_job)}", err=True)
        raise typer.Exit(1) from None


def bring(client: Client, item: Placed, out: Path, show: Progressing) -> None:
    """Bring a result to its folder below `out`; where that fails, the item says why."""
    if item.job is None:
        return
    job_id, folder = item.job.id, out / item.job.id
    try:
        client.download(job_id, folder, lambda done, total: show.transfer(job_id, "downloading", done, total))
    except HistoserveError as error:
        item.error = error
    else:
        item.folder = folder


def tell_placed(placed: list[Placed], *, as_json: bool) -> None:
    """Tell what became of everything, and exit with the worst of it."""
    code = worst_code([item.failure for item in placed])
    if as_json:
        print_json({"jobs": [item.as_dict() for item in placed], "exit_code": code})
    else:
        print_placed(placed)
    if code:
        raise typer.Exit(code)
