"""What happened to a job: as a list, or as a stream that goes on until the job is over (server-sent events)."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from models.errors import HistoserveError, RefusedInputError
from service.access import Reader
from service.deployment import Deployed, Deployment
from service.problems import tells
from service.wire import EventList, EventTold, when
from workers.ledger.events import JobEvent, follow_events

router = APIRouter(prefix="/v1", tags=["jobs"])

STREAM = "text/event-stream"
POLL_S = 0.5
QUIET_S = 15.0
LONGEST_S = 900.0
"""Then the caller comes again, with a key that is looked at again."""
AGAIN_MS = 2000
MOST_STREAMS = 200
MOST_EVENTS = 500


class TooManyStreamsError(RefusedInputError):
    """As many streams are open as the service keeps."""

    slug = "too-many-streams"
    title = "Too many event streams are open"


@dataclass
class OpenStreams:
    """How many streams an app has open, all on its one event loop."""

    most: int = MOST_STREAMS
    count: int = 0


@dataclass(frozen=True)
class Followed:
    """Whose job it is that is followed, and from where."""

    tenant: str
    job_id: str
    after: int


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_model=EventList,
    responses={
        **tells(404, 410, 429),
        200: {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "Events in order"},
    },
)
async def follow_job(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    job_id: Annotated[str, Path(max_length=64)],
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only events behind this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = MOST_EVENTS,
    accept: Annotated[str, Header(include_in_schema=False)] = "application/json",
    last_event_id: Annotated[int, Header(ge=0, le=2**31 - 1, description="As `after`; the larger one counts.")] = 0,
) -> Response:
    """The job's events; with `Accept: text/event-stream` as they happen, until the job is over.

    A stream ends after the last event of a job that is over, and after 15 minutes: come again with `Last-Event-ID`.
    """
    followed = Followed(caller.tenant, job_id, max(after, last_event_id))
    told, _ = await run_in_threadpool(_look, deployed, followed, followed.after, limit)
    if STREAM not in accept:
        return JSONResponse(EventList(items=tuple(_tell(event) for event in told)).model_dump(mode="json"))
    streams: OpenStreams = request.app.state.streams
    if streams.count >= streams.most:
        raise TooManyStreamsError(f"{streams.count} streams are open.", "Ask with `?after=` instead.")
    pieces = _counted(streams, _stream(deployed, followed))
    return StreamingResponse(pieces, media_type=STREAM, headers={"X-Accel-Buffering": "no"})


async def _counted(streams: OpenStreams, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """The pieces, counted while they come: an answer that never begins was never counted."""
    streams.count += 1
    try:
        yield f"retry: {AGAIN_MS}\n\n"
        async for piece in pieces:
            yield piece
    finally:
        streams.count -= 1


async def _stream(deployed: Deployment, followed: Followed) -> AsyncIterator[str]:
    seen, started_at = followed.after, time.monotonic()
    spoken_at = started_at
    while time.monotonic() - started_at < LONGEST_S:
        try:
            told, is_over = await run_in_threadpool(_look, deployed, followed, seen, MOST_EVENTS)
        except HistoserveError:
            # The job was deleted, or the database is away: the caller comes again and is told.
            return
        for event in told:
            seen = event.seq
            yield f"id: {seen}\nevent: {event.kind}\ndata: {_tell(event).model_dump_json()}\n\n"
        if is_over:
            return
        if told:
            spoken_at = time.monotonic()
        elif time.monotonic() - spoken_at >= QUIET_S:
            spoken_at = time.monotonic()
            yield ": keep-alive\n\n"
        await anyio.sleep(POLL_S)


def _look(deployed: Deployment, followed: Followed, after: int, limit: int) -> tuple[Sequence[JobEvent], bool]:
    with deployed.ledger.read() as connection:
        return follow_events(connection, followed.tenant, followed.job_id, after, limit)


def _tell(event: JobEvent) -> EventTold:
    return EventTold(seq=event.seq, kind=event.kind, at=when(event.at), data=event.data)
