"""Slides become jobs, one after the other; one that is refused does not end the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import HistoserveError
from service.cli import EXIT_DONE, EXIT_NOT_SCORABLE, EXIT_OTHER, EXIT_REFUSED, exit_code
from service.client.client import Client, problem_of
from service.client.errors import ServiceAwayError, error_of
from service.commands.rows import Row
from service.wire import JobTold, SlideTold
from workers.contract.errors import StateConflictError
from workers.contract.regions import read_geojson

SEVERITY = (EXIT_DONE, EXIT_NOT_SCORABLE, EXIT_REFUSED, EXIT_OTHER)
"""From the best to the worst."""
ENDS_ALL = frozenset({"unauthorized", "forbidden", "no-service"})
"""What is refused for one slide with these is refused for all."""

Report = Callable[[str, int, int], None]
"""Told, of a source, of the bytes that are sent, and of how many there are."""


@dataclass
class Placed:
    """What became of a row."""

    row: Row
    slide_id: str | None = None
    job: JobTold | None = None
    error: HistoserveError | None = None
    folder: Path | None = None

    @property
    def failure(self) -> HistoserveError | None:
        """Why there is no result, where that is settled."""
        return self.error or (None if self.job is None else problem_of(self.job))

    @property
    def state(self) -> str:
        """In one word."""
        return self.job.state if self.job is not None else "refused" if self.error else "waiting"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        problem = self.failure
        return {
            "source": self.row.source,
            "slide_id": self.slide_id,
            "job_id": None if self.job is None else self.job.id,
            "state": self.state,
            "ids": self.row.ids.model_dump(exclude_none=True),
            "scores": None if self.job is None else self.job.scores,
            "folder": None if self.folder is None else str(self.folder),
            "problem": None if problem is None else problem.as_problem(),
        }


@dataclass(frozen=True)
class Added:
    """A slide that the service has."""

    id: str
    sha256: str | None


@dataclass
class Slides:
    """The slides that were added, now or in an earlier call: a file with two analyses is sent once."""

    client: Client
    report: Report
    added: dict[tuple[str, float | None, str | None], Added] = field(default_factory=dict)

    def add(self, row: Row) -> Added:
        """The slide of a row, sent where it is not known."""
        if _file_of(row) not in self.added:
            told = self._send(row)
            self.know(row, Added(told.id, told.sha256))
        return self.added[_file_of(row)]

    def know(self, row: Row, slide: Added) -> None:
        """Rows of the same file take this slide."""
        self.added[_file_of(row)] = slide

    def _send(self, row: Row) -> SlideTold:
        if row.path is None:
            return self.client.register(str(row.uri), mpp=row.mpp, stain=row.stain, ids=row.ids, sha256=row.sha256)
        source = row.source

        def tell(done: int, total: int) -> None:
            self.report(source, done, total)

        return self.client.add_slide(row.path, mpp=row.mpp, stain=row.stain, ids=row.ids, progress=tell)


def _file_of(row: Row) -> tuple[str, float | None, str | None]:
    return row.source, row.mpp, row.stain


def place_rows(client: Client, rows: Sequence[Row], report: Report) -> Iterator[Placed]:
    """What becomes of each row, as it does. When the service is away, or the key no good, the rest is not tried."""
    slides = Slides(client, report)
    ended: HistoserveError | None = None
    for row in rows:
        placed = Placed(row, error=ended)
        if ended is None:
            try:
                place_row(slides, placed)
            except HistoserveError as error:
                placed.error = error
                ended = error if ends_all(error) else None
        yield placed


def place_row(slides: Slides, placed: Placed, key: str | None = None) -> None:
    """Make slide and job of a row; `placed` is told of each as soon as it is there."""
    row = placed.row
    placed.slide_id = placed.slide_id or slides.add(row).id
    try:
        placed.job = _submit(slides.client, row, placed.slide_id, key)
    except StateConflictError:
        problem = slides.client.slide(placed.slide_id).problem
        if problem is None:
            raise
        raise error_of(problem.model_dump()) from None


def _submit(client: Client, row: Row, slide_id: str, key: str | None) -> JobTold:
    return client.submit(
        slide_id,
        model=row.model,
        analysis=row.analysis,
        parameters=row.parameters,
        regions=None if row.regions is None else read_geojson(row.regions),
        priority=row.priority,
        due_at=row.due_at,
        ids=row.ids,
        key=key,
    )


def ends_all(error: HistoserveError) -> bool:
    """True for what would be the same for every other row."""
    return isinstance(error, ServiceAwayError) or error.slug in ENDS_ALL


def worst_code(errors: Sequence[HistoserveError | None]) -> int:
    """The exit code that tells of the worst of all outcomes."""
    codes = [EXIT_DONE if error is None else exit_code(error) for error in errors]
    return max(codes, key=SEVERITY.index, default=EXIT_DONE)
