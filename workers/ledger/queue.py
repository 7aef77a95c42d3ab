"""What the reconciler asks: which jobs want a worker, and whether somebody urgent waits."""

import sqlalchemy as sa

from workers.contract.doorbell import Priority
from workers.ledger.database import now
from workers.ledger.schema import attempts, bands, jobs
from workers.ledger.states import JOB_OPEN


def jobs_without_worker(connection: sa.Connection, older_than_s: float) -> list[tuple[str, Priority]]:
    """(job, priority) of open jobs that nobody works on, and that did not change for `older_than_s`; urgent first."""
    alive = sa.exists().where(attempts.c.job_id == jobs.c.id, attempts.c.outcome == "running")
    query = (
        sa.select(jobs.c.id, jobs.c.priority)
        .where(
            jobs.c.state.in_(JOB_OPEN), jobs.c.deleted_at.is_(None), ~alive, jobs.c.changed_at < now() - older_than_s
        )
        .order_by(jobs.c.priority.desc(), jobs.c.created_at)
    )
    return [(row.id, row.priority) for row in connection.execute(query)]


def is_stat_waiting(connection: sa.Connection) -> bool:
    """True where an urgent job waits that nobody works on."""
    query = sa.select(sa.exists().where(jobs.c.state == "queued", jobs.c.priority == "stat"))
    return bool(connection.execute(query).scalar_one())


def free_bands(connection: sa.Connection, job_id: str) -> int:
    """How many bands of a job could be claimed now."""
    query = sa.select(sa.func.count()).where(bands.c.job_id == job_id, bands.c.number >= 0, bands.c.state == "free")
    return int(connection.execute(query).scalar_one())
