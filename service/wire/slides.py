"""Uploads, slides and the packages that are run on them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from service.wire.words import Identifier, OrderIds, Problem, Sent, Sha256, SlideState, Stain, Told
from workers.result import NOTICE


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


class MetricTold(Told):
    """A number of a package's card; `low` and `high` hold 95 % of what drawing the `n` images again gives."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    data: str
    synthetic: Annotated[bool, Field(description="Measured on phantoms, not on slides of patients.")]


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
    metrics: Annotated[tuple[MetricTold, ...], Field(description="What it was measured to do, and on what.")] = ()
    notice: str = NOTICE


class ModelList(Told):
    """The packages that are installed."""

    items: tuple[ModelTold, ...]
