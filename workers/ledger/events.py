"""What happened to a job, told in the transaction in which it happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workers.contract.errors import GoneError, UnknownError
from workers.ledger.database import now
from workers.ledger.schema import events, jobs
from workers.ledger.states import JOB_TERMINAL


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened; `seq` counts from 1 without gaps within a job."""

    job_id: str
    seq: int
    kind: str
    data: dict[str, Any]
    at: float


def add_event(connection: sa.Connection, job_id: str, kind: str, **data: Any) -> int:
    """The number of the new event. The job's row is locked until the transaction ends: numbers appear in order."""
    seq = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id)
        .values(event_seq=jobs.c.event_seq + 1, changed_at=now())
        .returning(jobs.c.event_seq)
    ).scalar_one()
    connection.execute(sa.insert(events).values(job_id=job_id, seq=seq, kind=kind, data=data, at=now()))
    return int(seq)


def list_events(connection: sa.Connection, job_id: str, after: int = 0, limit: int = 500) -> Sequence[JobEvent]:
    """The events behind number `after`, in order."""
    query = sa.select(events).where(events.c.job_id == job_id, events.c.seq > after).order_by(events.c.seq).limit(limit)
    return [JobEvent(**row._mapping) for row in connection.execute(query)]


def follow_events(
    connection: sa.Connection, tenant: str, job_id: str, after: int, limit: int
) -> tuple[Sequence[JobEvent], bool]:
    """(the events behind number `after`, whether the job is over and no more will come behind these).

    Raises
    ------
    UnknownError
        The tenant has no job of that name.
    GoneError
        It was deleted.
    """
    columns = (jobs.c.state, jobs.c.event_seq, jobs.c.deleted_at)
    row = connection.execute(sa.select(*columns).where(jobs.c.id == job_id, jobs.c.tenant == tenant)).one_or_none()
    if row is None:
        raise UnknownError(f"There is no job {job_id}.")
    if row.deleted_at is not None:
        raise GoneError(f"The job {job_id} was deleted.")
    found = list_events(connection, job_id, after, limit) if row.event_seq > after else []
    last = found[-1].seq if found else after
    return found, row.state in JOB_TERMINAL and last >= row.event_seq
