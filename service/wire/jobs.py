"""Jobs, what happens to them, and batches of them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.wire.words import JobState, Moment, OrderIds, Priority, Problem, Sent, Told
from workers.result import NOTICE


class JobSent(Sent):
    """A job to be done: which slide, what with, and where on it."""

    slide_id: str
    model: Annotated[str | None, Field(max_length=160, description="`name` or `name@version`.")] = None
    analysis: Annotated[str | None, Field(max_length=64, description="The newest package that serves it.")] = None
    parameters: dict[str, Any] = Field({})
    regions: Annotated[dict[str, Any] | None, Field(description="GeoJSON polygons in level-0 px.")] = None
    priority: Priority = "routine"
    due_at: Annotated[Moment | None, Field(description="Told back; it does not change the order of work.")] = None
    ids: OrderIds = OrderIds()


class RescoreSent(Sent):
    """What is set anew of a result's parameters."""

    parameters: dict[str, Any] = Field({}, description="Thresholds of the package's measures; others stay.")
    priority: Priority = "routine"


class Progress(Told):
    """How far a job is."""

    tiles_done: int
    tiles_planned: int | None
    bands_done: int
    bands_planned: int | None
    fraction: float | None
    stage: Annotated[str | None, Field(description="What the newest worker is at.")]
    seconds: Annotated[dict[str, float], Field(description="Seconds per stage, over all workers that are at it.")]
    workers: Annotated[int, Field(description="Workers that are at it now.")]
    eta_s: Annotated[float | None, Field(description="Seconds that are left at the pace so far.")]


class AttemptTold(Told):
    """A worker's stay on a job."""

    number: int
    worker: str
    provider: str | None
    outcome: str
    started_at: datetime
    ended_at: datetime | None
    problem: Problem | None


class JobTold(Told):
    """A job."""

    id: str
    state: JobState
    slide_id: str
    batch_id: str | None
    retry_of: str | None
    rescore_of: Annotated[str | None, Field(description="The job whose result this one scores anew.")] = None
    model: str
    analysis: str | None
    parameters: dict[str, Any]
    regions: dict[str, Any] | None
    priority: Priority
    due_at: datetime | None
    ids: OrderIds
    queue_position: int | None
    progress: Progress
    attempts: tuple[AttemptTold, ...]
    problem: Annotated[Problem | None, Field(description="Why a failed job failed.")]
    scores: Annotated[dict[str, Any] | None, Field(description="The scores of a job that succeeded.")]
    created_at: datetime
    changed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    notice: str = NOTICE


class JobPage(Told):
    """Some of the jobs, newest first; `next` is the cursor of what follows."""

    items: tuple[JobTold, ...]
    next: str | None


class EventTold(Told):
    """Something that happened to a job."""

    seq: int
    kind: str
    at: datetime
    data: dict[str, Any]


class EventList(Told):
    """Events in order; ask for what follows with `after` of the last one's `seq`."""

    items: tuple[EventTold, ...]


class BatchSent(Sent):
    """Many jobs at once; each item succeeds or fails alone."""

    name: Annotated[str | None, Field(max_length=128)] = None
    items: Annotated[tuple[JobSent, ...], Field(min_length=1, max_length=1000)]


class BatchItem(Told):
    """What became of an item: a job, or the problem it was refused with."""

    index: int
    external_id: str | None
    job_id: str | None
    state: JobState | None
    problem: Problem | None


class BatchTold(Told):
    """A batch and its items."""

    id: str
    name: str | None
    created_at: datetime
    states: Annotated[dict[str, int], Field(description="How many items are in each state; `refused` is one.")]
    items: tuple[BatchItem, ...]
