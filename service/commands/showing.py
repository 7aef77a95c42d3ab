"""How commands tell of jobs: bars or JSON lines on stderr, tables or one JSON document on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from models.errors import HistoserveError
from service.commands.placing import Placed
from service.wire import JobTold
from workers.result_scores import flat_scores

MOST_BARS = 20
WIDE = 200
STYLES = {"succeeded": "green", "failed": "red", "refused": "red", "cancelled": "yellow", "running": "cyan"}


class Progressing:
    """What is under way, shown on stderr: a bar each on a terminal, else a JSON line whenever something changed."""

    def __init__(self, bars: Progress | None) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, tuple[str, int]] = {}

    def say(self, text: str) -> None:
        """One line for people; programs are spared."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False)

    def job(self, job: JobTold) -> None:
        """Show how a job is."""
        waiting = f"queued, place {job.queue_position}" if job.queue_position else "queued"
        stage = job.progress.stage or "" if job.state == "running" else waiting if job.state == "queued" else job.state
        self._show(job.id, job.state, stage, job.progress.fraction or 0.0, ended=job.ended_at is not None)

    def transfer(self, name: str, stage: str, done: int, total: int) -> None:
        """Show how much of something is sent or fetched."""
        fraction = done / total if total else 1.0
        self._show(name, stage, stage, fraction, ended=done >= total)

    def _show(self, name: str, state: str, stage: str, fraction: float, *, ended: bool) -> None:
        if self._bars is None:
            tenths = int(fraction * 10)
            if self._told.get(name) != (state, tenths):
                self._told[name] = (state, tenths)
                sys.stderr.write(json.dumps({"what": name, "stage": state, "fraction": round(fraction, 3)}) + "\n")
                sys.stderr.flush()
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=1.0, stage=stage)
        self._bars.update(self._tasks[name], completed=fraction, stage=stage)
        if ended and len(self._tasks) > MOST_BARS:
            self._bars.remove_task(self._tasks.pop(name))


@contextmanager
def progressing() -> Iterator[Progressing]:
    """Progress on stderr for as long as the block lasts."""
    if not sys.stderr.isatty():
        yield Progressing(None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False)) as bars:
        yield Progressing(bars)


def print_json(document: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(document, indent=2))


def print_placed(placed: Sequence[Placed]) -> None:
    """A table of what became of slides, and their problems below it."""
    table = Table(show_edge=False)
    for name in ("slide", "job", "state", "scores"):
        table.add_column(name, overflow="fold", no_wrap=name == "job")
    for item in placed:
        job_id = "-" if item.job is None else item.job.id
        table.add_row(item.row.source, job_id, _coloured(item.state), _scores(item.job))
    console = console_for_tables()
    console.print(table)
    for item in placed:
        print_problem(item.row.source, item.failure)
    for item in placed:
        if item.folder is not None:
            typer.echo(f"{item.row.source}: {item.folder}")


def print_jobs(jobs: Sequence[JobTold]) -> None:
    """A table of jobs."""
    table = Table(show_edge=False)
    for name in ("job", "state", "done", "left", "model", "accession", "external id"):
        table.add_column(name, overflow="fold", no_wrap=name == "job")
    for job in jobs:
        done = "" if job.progress.fraction is None else f"{job.progress.fraction:.0%}"
        if job.state == "queued" and job.queue_position:
            done = f"place {job.queue_position}"
        ids = (job.ids.accession or "", job.ids.external_id or "")
        table.add_row(job.id, _coloured(job.state), done, span(job.progress.eta_s), job.model, *ids)
    console_for_tables().print(table)


def print_problem(what: str, error: HistoserveError | None) -> None:
    """Why something failed, on stderr; nothing where it did not."""
    if error is not None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"{what}: {error.title} ({error.slug}). {error.detail} {error.remedy}".strip(), markup=False)


def span(seconds: float | None) -> str:
    """Seconds as people say them; nothing for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def bar(fraction: float, width: int = 30) -> str:
    """A bar of text."""
    full = round(fraction * width)
    return "█" * full + "░" * (width - full)


def reporter(show: Progressing, stage: str) -> Callable[[str, int, int], None]:
    """A report of transfers that shows them under one stage."""
    return lambda name, done, total: show.transfer(name, stage, done, total)


def _scores(job: JobTold | None) -> str:
    if job is None or job.scores is None:
        return ""
    # Of lists (hotspots, fields) there is no room in a line.
    told = ((n, v) for n, v in flat_scores(job.scores) if not any(part.isdigit() for part in n.split()))
    return ", ".join(f"{name} {value}" for name, value in told if value[:1] in "+-0123456789")


def _coloured(state: str) -> str:
    style = STYLES.get(state)
    return f"[{style}]{state}[/]" if style else state


def console_for_tables() -> Console:
    """stdout, wide enough for tables where it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
