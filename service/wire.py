"""The documents that go over the wire, as pydantic models: what callers send and what they are answered."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from workers.result import NOTICE

Identifier = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
MOMENT = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Stain = Literal["he", "ihc"]
Priority = Literal["stat", "routine"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
SlideState = Literal["validating", "ready", "refused"]


def _check_written(value: Any) -> Any:
    if not isinstance(value, datetime) and not (isinstance(value, str) and MOMENT.match(value)):
        raise ValueError("a time is written as 2026-11-21T09:30:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Moment = Annotated[
    datetime,
    BeforeValidator(_check_written, json_schema_input_type=datetime),
    AfterValidator(_in_utc),
    Field(description="ISO 8601; UTC where no zone is said."),
]


class Sent(BaseModel):
    """Something a caller sends: a field we do not know is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Something a caller is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrderIds(Sent):
    """The caller's own identifiers; they come back in every answer."""

    accession: Identifier | None = None
    placer_order: Identifier | None = None
    filler_order: Identifier | None = None
    specimen: Identifier | None = None
    block: Identifier | None = None
    slide: Identifier | None = None
    external_id: Identifier | None = None


class Problem(Told):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int | None = None
    detail: str
    blame: Literal["user_error", "system_error"] | None = None
    remedy: str | None = None


class UploadTold(Told):
    """An upload."""

    id: str
    state: Literal["receiving", "complete", "used"]
    filename: str | None
    length_bytes: int | None
    offset_bytes: int
    sha256: str | None
    expires_at: datetime


class SlideSent(Sent):
    """A slide to be registered: the bytes of an upload, or a place the service may read."""

    upload_id: Identifier | None = None
    uri: Annotated[str | None, Field(max_length=2048, description="An allow-listed `file:` or `s3:` URI.")] = None
    filename: Annotated[str | None, Field(max_length=255)] = None
    sha256: Annotated[Sha256 | None, Field(description="The slide is refused where its bytes have another digest.")] = (
        None
    )
    mpp: Annotated[
        float | None, Field(gt=0, le=100, description="um per level-0 px; overrides what the slide says.")
    ] = None
    stain: Stain | None = None
    ids: OrderIds = OrderIds()


class SlideTold(Told):
    """A slide."""

    id: str
    state: SlideState
    filename: str | None
    size_bytes: int | None
    sha256: str | None
    mpp: Annotated[float | None, Field(description="um per level-0 px: the caller's where given, else the slide's.")]
    mpp_source: str | None
    stain: str | None
    format: str | None
    vendor: str | None
    width_px: int | None
    height_px: int | None
    levels: int | None
    problem: Problem | None
    ids: OrderIds
    created_at: datetime
    notice: str = NOTICE


class SlidePage(Told):
    """Some of the slides, newest first; `next` is the cursor of what follows."""

    items: tuple[SlideTold, ...]
    next: str | None


class ModelTold(Told):
    """A model package."""

    reference: str
    name: str
    version: str
    title: str
    analysis: str | None
    task: str
    stain: str
    mpp: float
    mpp_min: float
    mpp_max: float
    manifest_sha256: str
    licence: str
    intended_use: str
    not_for: str
    parameters: Annotated[dict[str, Any], Field(description="JSON Schema of what a job may set.")]
    notice: str = NOTICE


class ModelList(Told):
    """The packages that are installed."""

    items: tuple[ModelTold, ...]


class JobSent(Sent):
    """A job to be done: which slide, what with, and where on it."""

    slide_id: str
    model: Annotated[str | None, Field(max_length=160, description="`name` or `name@version`.")] = None
    analysis: Annotated[str | None, Field(max_length=64, description="The newest package that serves it.")] = None
    parameters: dict[str, Any] = {}
    regions: Annotated[dict[str, Any] | None, Field(description="GeoJSON polygons in level-0 px.")] = None
    priority: Priority = "routine"
    due_at: Moment | None = None
    ids: OrderIds = OrderIds()


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


class ArtifactTold(Told):
    """A file of a result."""

    path: str
    sha256: str
    size_bytes: int
    media_type: str
    url: str


class ResultTold(Told):
    """The manifest of a result: the engine's `result.json`, and where each file is."""

    job_id: str
    slide_id: str
    ids: OrderIds
    result: Annotated[dict[str, Any], Field(description="`result.json`, as `histoserve run` writes it.")]
    artifacts: tuple[ArtifactTold, ...]
    notice: str = NOTICE


class Live(Told):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ScoresTold(Told):
    """The scores of a result."""

    job_id: str
    ids: OrderIds
    scores: Annotated[dict[str, Any], Field(description="By measure, as in `result.json`.")]
    regions: Annotated[tuple[dict[str, Any], ...], Field(description="The scores of each region of interest.")]
    notice: str = NOTICE


class Reason(Told):
    """Something that is not as it should be; what `fails` must be mended before work is done."""

    part: Literal["ledger", "store", "redis", "workers", "disk", "models"]
    severity: Literal["fails", "degrades"]
    slug: str
    detail: str


class WorkerTold(Told):
    """A worker, with the runtime it really has."""

    name: str
    host: str
    slots: int
    provider: str
    code_version: str
    packages: dict[str, str]
    started_at: datetime
    seen_at: datetime


class Ready(Told):
    """Whether work can be taken and done."""

    status: Literal["ok", "degraded", "failing"]
    reasons: tuple[Reason, ...]
    slots: Annotated[dict[str, int], Field(description="Slots of the workers seen lately, by the runtime they have.")]


class KeySent(Sent):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    scopes: Annotated[tuple[Literal["read", "write", "admin"], ...], Field(min_length=1, max_length=3)]
    expires_s: Annotated[float | None, Field(gt=0, le=10 * 366 * 86400.0)] = None


class KeyTold(Told):
    """A key without its secret."""

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyShown(Told):
    """A new key, shown this once."""

    key: KeyTold
    secret: Annotated[str, Field(description="Send it as `Authorization: Bearer …`. It cannot be shown again.")]


class KeyList(Told):
    """The keys of a tenant."""

    items: tuple[KeyTold, ...]


class AuditRowTold(Told):
    """Something somebody did."""

    seq: int
    at: datetime
    tenant: str | None
    key_id: str | None
    action: str
    subject: str
    outcome: int
    detail: dict[str, Any]
    digest: str


class AuditPage(Told):
    """Rows in order; ask for what follows with `after` of the last one's `seq`."""

    items: tuple[AuditRowTold, ...]


class AuditCheck(Told):
    """Whether the chain of the audit is whole."""

    is_whole: bool
    first_broken_seq: int | None


class QueueTold(Told):
    """What waits and what runs."""

    states: Annotated[dict[str, int], Field(description="The tenant's jobs by state.")]
    waiting: Annotated[dict[Priority, int], Field(description="The tenant's queued jobs by priority.")]
    redis: Annotated[
        int | None, Field(description="Rings of all tenants that nobody answered; null where Redis is away.")
    ]


class KeyRotated(Told):
    """A new key in place of another, shown this once."""

    key: KeyTold
    secret: Annotated[str, Field(description="Send it as `Authorization: Bearer …`. It cannot be shown again.")]
    old: Annotated[KeyTold, Field(description="It opens nothing any more from its `expires_at` on.")]


class TenantTold(Told):
    """A tenant, and how much it has here."""

    name: str
    keys: Annotated[int, Field(description="Keys that were not revoked.")]
    slides: int
    slides_bytes: int
    jobs: Annotated[dict[str, int], Field(description="Jobs by state.")]


class TenantList(Told):
    """The tenants that the key may see: its own."""

    items: tuple[TenantTold, ...]


class WorkerList(Told):
    """The workers that were seen lately."""

    items: tuple[WorkerTold, ...]


def when(seconds: float) -> datetime:
    """A time of the ledger as a time of the wire."""
    return datetime.fromtimestamp(seconds, UTC)


def when_or_none(seconds: float | None) -> datetime | None:
    """As `when`; None stays None."""
    return None if seconds is None else when(seconds)
