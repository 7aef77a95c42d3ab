"""What happened to a job, told in the transaction in which it happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workers.ledger.database import now
from workers.ledger.schema import events, jobs


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
