"""New scores of a result with other thresholds: a job of its own, without inference."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse

from service.access import Writer, entry_of
from service.deployment import Deployed
from service.jobs import tell_job
from service.once import KEY_NEEDED, NeededKey, answer_once, require_key, respond
from service.problems import tells
from service.rescoring import place_rescoring
from service.wire import JobTold, RescoreSent
from workers.ledger.audit import add_entries
from workers.ledger.idempotency import Answer
from workers.ledger.jobs import JobRow
from workers.ledger.results import get_finished

router = APIRouter(prefix="/v1/jobs/{job_id}/results", tags=["results"])

RETRY_AFTER_S = "1"
ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": JobTold}}


@router.post(
    "/rescore",
    status_code=202,
    summary="Score a result anew",
    responses=ACCEPTED | tells(400, 404, 409, 410, 429),
    openapi_extra=KEY_NEEDED,
)
def rescore_result(
    caller: Writer,
    deployed: Deployed,
    job_id: Annotated[str, Path(max_length=64)],
    sent: RescoreSent,
    key: NeededKey = None,
) -> JSONResponse:
    """Accept a job that measures the maps of a finished one with other thresholds: seconds, no inference.

    What the job was asked for stays where it is not set anew. The new job has its own result, without maps and
    pictures; the old one stays as it is.
    """
    require_key(key)
    rung: list[JobRow] = []
    with deployed.ledger.write() as connection:

        def make() -> Answer:
            parent = get_finished(connection, caller.tenant, job_id)
            job = place_rescoring(connection, deployed, parent, sent)
            rung.append(job)
            add_entries(connection, [entry_of(caller, "job.rescore", job.id, 202, rescore_of=parent.id)])
            headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": RETRY_AFTER_S}
            return Answer(202, tell_job(connection, job).model_dump(mode="json"), headers)

        body = {"job": job_id, **sent.model_dump(mode="json")}
        answer = answer_once(connection, caller, "rescore", key, body, make)
    for job in rung:
        deployed.doorbell.ring(f"job:{job.id}", job.priority)
    return respond(answer)
