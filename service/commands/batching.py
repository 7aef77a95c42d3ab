"""`histoserve batch`: a table of slides to a folder of results; called again, it goes on where it was."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from models.errors import HistoserveError, RefusedInputError
from models.parameters import read_settings
from service.client.client import Client, problem_of
from service.commands.options import Analysis, Json, Model, Mpp, Option, Priority, Regions, Settings, Stain, Url
from service.commands.placing import Added, Placed, Slides, ends_all, place_row
from service.commands.rows import Row, rows_of_table
from service.commands.showing import progressing, reporter
from service.commands.state import BatchState, Entry, open_state
from service.commands.submitting import see_through, tell_placed
from workers.contract.errors import GoneError, UnknownError

SUMMARY = "batch.csv"
COLUMNS = ("source", "external_id", "accession", "slide_id", "job_id", "state", "folder", "problem")


def batch(
    manifest: Annotated[Path, typer.Argument(help="CSV with a header, or a JSON list; columns as `submit --csv`.")],
    out: Annotated[Path, Option("--out", help="Results go to folders OUT/JOB, and what is where to OUT/batch.csv.")],
    model: Model = None,
    analysis: Analysis = None,
    mpp: Mpp = None,
    stain: Stain = None,
    settings: Settings = None,
    regions: Regions = None,
    priority: Priority = "routine",
    retry_failed: Annotated[bool, Option("--retry-failed", help="Hand in again what failed before.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Submit every slide of a table, wait, and bring all results.

    Beside the table a file MANIFEST.state.json keeps which job each row has become. The same command again goes on:
    nothing is submitted twice, uploads and downloads go on where they were. Ctrl-C is no harm. A file whose bytes
    changed becomes a new job.

    Examples:

        histoserve batch slides.csv --model nuclei --out results

        histoserve batch slides.json --out results --retry-failed --json
    """
    common: dict[str, Any] = {"model": model, "analysis": analysis, "mpp": mpp, "stain": stain, "regions": regions}
    common |= {"priority": priority, "parameters": read_settings(settings or [])}
    rows = rows_of_table(manifest, common)
    with (
        Client(url) as client,
        open_state(manifest.with_name(f"{manifest.name}.state.json"), client.url) as state,
        progressing() as show,
    ):
        slides = Slides(client, reporter(show, "uploading"))
        placed = _place_all(slides, rows, state, retry_failed=retry_failed)
        see_through(client, placed, out, show)
    write_summary(out, placed)
    tell_placed(placed, as_json=as_json)


def write_summary(out: Path, placed: Sequence[Placed]) -> None:
    """Write which folder is which slide's to `batch.csv`."""
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{SUMMARY}.part"
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for item in placed:
            told = item.as_dict()
            problem = told["problem"] or {}
            cells = {"problem": problem.get("type", "").rsplit(":", 1)[-1], **told["ids"]}
            writer.writerow({name: _cell(cells.get(name, told.get(name))) for name in COLUMNS})
    part.replace(out / SUMMARY)


def _place_all(slides: Slides, rows: Sequence[Row], state: BatchState, *, retry_failed: bool) -> list[Placed]:
    """What became of each row, now or in an earlier call."""
    done: list[Placed] = []
    ended: HistoserveError | None = None
    for row in rows:
        placed = Placed(row, error=ended)
        done.append(placed)
        if ended is not None:
            continue
        try:
            entry = state.entry(row)
            if entry.slide_id is not None:
                slides.know(row, Added(entry.slide_id, entry.sha256))
            _go_on(slides.client, entry, placed, retry_failed=retry_failed)
            if placed.job is None:
                _place(slides, state, entry, placed)
        except HistoserveError as error:
            placed.error = error
            ended = error if ends_all(error) else None
    return done


def _go_on(client: Client, entry: Entry, placed: Placed, *, retry_failed: bool) -> None:
    """Take up the job of an earlier call, where there is one that is still good."""
    if entry.job_id is None:
        return
    try:
        job = client.job(entry.job_id)
    except (UnknownError, GoneError):
        entry.begin_anew()
        return
    if retry_failed and problem_of(job) is not None:
        entry.begin_anew()
        return
    placed.job, placed.slide_id = job, job.slide_id


def _place(slides: Slides, state: BatchState, entry: Entry, placed: Placed) -> None:
    """Hand in a row. Its key is on the disk before it is sent, so that one sent twice is one job."""
    if entry.slide_id is None:
        slide = slides.add(placed.row)
        entry.slide_id, entry.sha256 = slide.id, slide.sha256
        state.save()
    placed.slide_id = entry.slide_id
    try:
        place_row(slides, placed, entry.key)
    except RefusedInputError:
        # Refused, or its slide is gone: the next call hands in the row anew.
        entry.begin_anew()
        state.save()
        raise
    if placed.job is not None:
        entry.job_id = placed.job.id
    state.save()


def _cell(value: object) -> str:
    """A cell that a table's program takes for text."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in "=+-@" and text[:1] else text
