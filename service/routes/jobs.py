"""Jobs: handed in once, waited for, cancelled, repeated."""

import time
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from service.access import Caller, Reader, Writer, entry_of
from service.deployment import Deployed, Deployment
from service.jobs import place_job, repeat_job, tell_job
from service.once import KEY_NEEDED, IdempotencyKey, NeededKey, answer_once, require_key, respond
from service.problems import tells
from service.wire import JobPage, JobSent, JobState, JobTold, Moment
from workers.ledger.audit import add_entries
from workers.ledger.idempotency import Answer
from workers.ledger.jobs import JobRow, cancel_job, delete_job, get_job, list_jobs

router = APIRouter(prefix="/v1", tags=["jobs"])

RETRY_AFTER_S = "2"
POLL_S = 0.25
LONGEST_WAIT_S = 60
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": JobTold}}


@router.post(
    "/jobs",
    status_code=202,
    summary="Hand in a job",
    responses=ACCEPTED | tells(400, 404, 409, 410, 429),
    openapi_extra=KEY_NEEDED,
)
def submit_job(caller: Writer, deployed: Deployed, sent: JobSent, key: NeededKey = None) -> JSONResponse:
    """Accept a job for a slide. The answer is 202 when the job is on the disk; ask its `Location` how it goes.

    The slide may still be validating: the job waits for it, and fails with the slide's problem where it is refused.
    """
    require_key(key)
    rung: list[JobRow] = []
    with deployed.ledger.write() as connection:

        def make() -> Answer:
            job = place_job(connection, deployed, caller, sent)
            rung.append(job)
            add_entries(connection, [entry_of(caller, "job.create", job.id, 202)])
            headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": RETRY_AFTER_S}
            return Answer(202, tell_job(connection, job).model_dump(mode="json"), headers)

        answer = answer_once(connection, caller, "jobs", key, sent.model_dump(mode="json"), make)
    for job in rung:
        deployed.doorbell.ring(f"job:{job.id}", job.priority)
    return respond(answer)


@router.get("/jobs", summary="List jobs", responses=tells(400))
def find_jobs(
    caller: Reader,
    deployed: Deployed,
    request: Request,
    response: Response,
    status: JobState | None = None,
    slide: Annotated[str | None, Query(max_length=40)] = None,
    batch: Annotated[str | None, Query(max_length=40)] = None,
    accession: Annotated[str | None, Query(max_length=128)] = None,
    external_id: Annotated[str | None, Query(max_length=128)] = None,
    since: Annotated[Moment | None, Query(description="Only jobs that changed at or after this time.")] = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> JobPage:
    """The caller's jobs, newest first; `Link: <…>; rel="next"` leads to what follows."""
    filters = {
        "state": status,
        "slide_id": slide,
        "batch_id": batch,
        "accession": accession,
        "external_id": external_id,
    }
    with deployed.ledger.read() as connection:
        page = list_jobs(
            connection,
            caller.tenant,
            filters=filters,
            since=None if since is None else since.timestamp(),
            cursor=cursor,
            limit=limit,
        )
        items = tuple(tell_job(connection, job) for job in page.items)
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return JobPage(items=items, next=page.cursor)


@router.get(
    "/jobs/{job_id}",
    summary="Ask how a job goes",
    response_model=JobTold,
    responses={**tells(404, 410), 304: {"description": "Not Modified"}},
)
async def show_job(
    caller: Reader,
    deployed: Deployed,
    job_id: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a change or the end.")] = 0,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The job. With `wait`, the answer comes when the job is over, when it changed from `If-None-Match`, or in time."""
    until = time.monotonic() + wait
    while True:
        told, tag = await run_in_threadpool(_look, deployed, caller, job_id)
        is_new = if_none_match is not None and if_none_match != tag
        if is_new or told.ended_at is not None or time.monotonic() >= until:
            break
        await anyio.sleep(min(POLL_S, max(0.0, until - time.monotonic())))
    headers = {"ETag": tag}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    if told.ended_at is None:
        headers["Retry-After"] = RETRY_AFTER_S
    return JSONResponse(told.model_dump(mode="json"), headers=headers)


@router.post(
    "/jobs/{job_id}/cancel", status_code=202, summary="Cancel a job", responses=ACCEPTED | tells(404, 409, 410)
)
def stop_job(caller: Writer, deployed: Deployed, job_id: str) -> JobTold:
    """Cancel what is not over. Workers notice within seconds; nothing is published any more from now on."""
    with deployed.ledger.write() as connection:
        job = cancel_job(connection, caller.tenant, job_id)
        add_entries(connection, [entry_of(caller, "job.cancel", job.id, 202)])
        return tell_job(connection, job)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    summary="Do a failed job again",
    responses=ACCEPTED | tells(404, 409, 410, 429),
)
def retry_job(caller: Writer, deployed: Deployed, job_id: str, key: IdempotencyKey = None) -> JSONResponse:
    """Hand in the same again as a new job; the old one stays as it ended. With a key it is done once."""
    rung: list[JobRow] = []
    with deployed.ledger.write() as connection:

        def make() -> Answer:
            job = repeat_job(connection, deployed, caller, get_job(connection, caller.tenant, job_id))
            rung.append(job)
            add_entries(connection, [entry_of(caller, "job.retry", job.id, 202, retry_of=job_id)])
            headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": RETRY_AFTER_S}
            return Answer(202, tell_job(connection, job).model_dump(mode="json"), headers)

        answer = answer_once(connection, caller, "retry", key, {"job": job_id}, make)
    for job in rung:
        deployed.doorbell.ring(f"job:{job.id}", job.priority)
    return respond(answer)


@router.delete("/jobs/{job_id}", status_code=204, summary="Delete a job and its result", responses=tells(404, 409, 410))
def remove_job(caller: Writer, deployed: Deployed, job_id: str) -> Response:
    """Delete a job that is over, with its result; asked for again it is 410."""
    with deployed.ledger.write() as connection:
        job = delete_job(connection, caller.tenant, job_id)
        add_entries(connection, [entry_of(caller, "job.delete", job.id, 204)])
    deployed.store.remove(f"jobs/{job.id}")
    return Response(status_code=204)


def _look(deployed: Deployment, caller: Caller, job_id: str) -> tuple[JobTold, str]:
    with deployed.ledger.read() as connection:
        job = get_job(connection, caller.tenant, job_id)
        told = tell_job(connection, job)
    progress = told.progress
    tag = f'"{job.event_seq}-{progress.tiles_done}-{progress.stage or ""}-{told.queue_position or 0}"'
    return told, tag
