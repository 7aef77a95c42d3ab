"""Where a run stands, told as events: a bar on a terminal, JSON lines for a program."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

EVENT_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Event:
    """One step of a run: a stage, and how much of it is done."""

    stage: str
    done: int
    total: int


Report = Callable[[Event], None]
"""Told of every step; called from one thread at a time."""


def say_nothing(_event: Event) -> None:
    """Ignore progress."""


@contextmanager
def console_report(stream: TextIO | None = None) -> Iterator[Report]:
    """A report for people on a terminal, JSON lines (at most one a second per stage) for everything else."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield json_lines_report(stream)
        return
    columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream)) as bars:
        yield _bar_report(bars)


def json_lines_report(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Report:
    """A report that writes one JSON object per line."""
    last: dict[str, float] = {}

    def report(event: Event) -> None:
        now = clock()
        if event.done < event.total and now - last.get(event.stage, -EVENT_INTERVAL_S) < EVENT_INTERVAL_S:
            return
        last[event.stage] = now
        stream.write(json.dumps(asdict(event)) + "\n")
        stream.flush()

    return report


def _bar_report(bars: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def report(event: Event) -> None:
        if event.stage not in tasks:
            tasks[event.stage] = bars.add_task(event.stage, total=event.total)
        bars.update(tasks[event.stage], completed=event.done, total=event.total)

    return report
