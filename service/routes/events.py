"""What happened to a job: as a list, or as a stream that goes on until the job is over (server-sent events)."""

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from models.errors import RefusedInputError
from service.access import Caller, Reader
from service.deployment import Deployed, Deployment
from service.problems import tells
from service.wire import EventList, EventTold, when
from workers.ledger.events import JobEvent, list_events
from workers.ledger.jobs import get_job
from workers.ledger.states import JOB_TERMINAL

router = APIRouter(prefix="/v1", tags=["jobs"])

STREAM = "text/event-stream"
POLL_S = 0.5
QUIET_S = 15.0
MOST_STREAMS = 200


class TooManyStreamsError(RefusedInputError):
    """As many streams are open as the service keeps."""

    slug = "too-many-streams"
    title = "Too many event streams are open"


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_model=EventList,
    responses={
        **tells(404, 410, 429),
        200: {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "Events in order"},
    },
)
async def follow(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    job_id: str,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Only events behind this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 500,
    accept: Annotated[str, Header()] = "application/json",
    last_event_id: Annotated[int | None, Header(ge=0, le=2**31 - 1)] = None,
) -> Response:
    """The job's events; with `Accept: text/event-stream` as they happen, and `Last-Event-ID` goes on from there."""
    begin = after if last_event_id is None else last_event_id
    told, is_over = await run_in_threadpool(_look, deployed, caller, job_id, begin, limit)
    if STREAM not in accept:
        items = tuple(_tell(event) for event in told)
        return JSONResponse(EventList(items=items).model_dump(mode="json"))
    streams: anyio.CapacityLimiter = request.app.state.streams
    try:
        streams.acquire_on_behalf_of_nowait(request)
    except anyio.WouldBlock as error:
        raise TooManyStreamsError(f"{MOST_STREAMS} streams are open.", "Ask with `?after=` instead.") from error
    stream = _stream(deployed, caller, request, (job_id, told, is_over), begin)
    return StreamingResponse(stream, media_type=STREAM, headers={"X-Accel-Buffering": "no"})


async def _stream(
    deployed: Deployment,
    caller: Caller,
    request: Request,
    first: tuple[str, list[JobEvent], bool],
    begin: int,
) -> AsyncIterator[str]:
    job_id, told, is_over = first
    try:
        seen, spoken_at = begin, time.monotonic()
        yield ": research use only\n\n"
        while True:
            for event in told:
                seen, spoken_at = event.seq, time.monotonic()
                data = _tell(event).model_dump(mode="json")
                yield f"id: {event.seq}\nevent: {event.kind}\ndata: {json.dumps(data)}\n\n"
            if is_over and not told:
                return
            if time.monotonic() - spoken_at >= QUIET_S:
                spoken_at = time.monotonic()
                yield ": still here\n\n"
            if not is_over:
                await anyio.sleep(POLL_S)
            told, is_over = await run_in_threadpool(_look, deployed, caller, job_id, seen, 500)
    finally:
        request.app.state.streams.release_on_behalf_of(request)


def _look(deployed: Deployment, caller: Caller, job_id: str, after: int, limit: int) -> tuple[list[JobEvent], bool]:
    with deployed.ledger.read() as connection:
        job = get_job(connection, caller.tenant, job_id)
        return list(list_events(connection, job_id, after, limit)), job.state in JOB_TERMINAL


def _tell(event: JobEvent) -> EventTold:
    return EventTold(seq=event.seq, kind=event.kind, at=when(event.at), data=event.data)
