"""Batches: many jobs at once, each with its own answer; one bad item does not end the rest."""

from collections import Counter

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from models.errors import HistoserveError
from service.access import Caller, Reader, Writer, entry_of
from service.deployment import Deployed, Deployment
from service.jobs import place_job, tell_problem
from service.once import KEY_NEEDED, NeededKey, answer_once, require_key, respond
from service.problems import status_of, tells
from service.wire import BatchItem, BatchSent, BatchTold, JobSent, when
from workers.ledger.audit import add_entries
from workers.ledger.batches import Batch, create_batch, get_batch, set_items
from workers.ledger.idempotency import Answer
from workers.ledger.jobs import JobRow, states_of_batch

router = APIRouter(prefix="/v1", tags=["batches"])


@router.post(
    "/batches",
    status_code=202,
    summary="Hand in many jobs",
    responses={**tells(400, 409), 202: {"model": BatchTold}},
    openapi_extra=KEY_NEEDED,
)
def submit_batch(caller: Writer, deployed: Deployed, sent: BatchSent, key: NeededKey = None) -> JSONResponse:
    """Accept up to 1,000 jobs in one transaction. An item that is refused carries its problem; the others go on."""
    require_key(key)
    rung: list[JobRow] = []
    with deployed.ledger.write() as connection:

        def make() -> Answer:
            batch = create_batch(connection, caller.tenant, sent.name)
            items = [_place(connection, deployed, caller, batch, item, rung) for item in sent.items]
            set_items(connection, batch, items)
            add_entries(connection, [entry_of(caller, "batch.create", batch.id, 202)])
            told = _tell(connection, get_batch(connection, caller.tenant, batch.id))
            return Answer(202, told.model_dump(mode="json"), {"Location": f"/v1/batches/{batch.id}"})

        answer = answer_once(connection, caller, "batches", key, sent.model_dump(mode="json"), make)
    for job in rung:
        deployed.doorbell.ring(f"job:{job.id}", job.priority)
    return respond(answer)


@router.get("/batches/{batch_id}", summary="Ask how a batch goes", responses=tells(404))
def show_batch(caller: Reader, deployed: Deployed, batch_id: str) -> BatchTold:
    """The batch, with the state of each item."""
    with deployed.ledger.read() as connection:
        return _tell(connection, get_batch(connection, caller.tenant, batch_id))


def _place(
    connection: sa.Connection, deployed: Deployment, caller: Caller, batch: Batch, sent: JobSent, rung: list[JobRow]
) -> dict[str, object]:
    """What is kept of an item: its job, or why there is none."""
    item: dict[str, object] = {"external_id": sent.ids.external_id, "job_id": None, "problem": None}
    try:
        with connection.begin_nested():
            job = place_job(connection, deployed, caller, sent, batch.id)
    except HistoserveError as error:
        return item | {"problem": error.as_problem() | {"status": status_of(error)}}
    rung.append(job)
    return item | {"job_id": job.id}


def _tell(connection: sa.Connection, batch: Batch) -> BatchTold:
    states = states_of_batch(connection, batch.id)
    items = tuple(
        BatchItem(
            index=index,
            external_id=item["external_id"],
            job_id=item["job_id"],
            state=states.get(item["job_id"]),
            problem=tell_problem(item["problem"]),
        )
        for index, item in enumerate(batch.items)
    )
    counts = Counter(str(item.state or "refused") for item in items)
    return BatchTold(id=batch.id, name=batch.name, created_at=when(batch.created_at), states=dict(counts), items=items)
