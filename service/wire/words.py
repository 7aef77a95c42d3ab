"""The words the wire's documents are made of: identifiers, times, problems, what all documents have in common."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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


class ReasonTold(Told):
    """One of the things that speak against working on a slide."""

    model_config = ConfigDict(extra="allow", frozen=True)

    slug: str
    text: str
    value: Annotated[float | str | None, Field(description="What was measured.")] = None
    limit: Annotated[float | str | None, Field(description="What it was held against.")] = None
    forcible: Annotated[bool, Field(description="The parameter `force` overrules it.")] = False


class Problem(Told):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    title: str
    status: int | None = None
    detail: str
    blame: Literal["user_error", "system_error"] | None = None
    remedy: str | None = None
    reasons: Annotated[
        tuple[ReasonTold, ...] | None,
        Field(description="Everything that spoke against it, where there was more to say."),
    ] = None


def when(seconds: float) -> datetime:
    """A time of the ledger as a time of the wire."""
    return datetime.fromtimestamp(seconds, UTC)


def when_or_none(seconds: float | None) -> datetime | None:
    """As `when`; None stays None."""
    return None if seconds is None else when(seconds)
