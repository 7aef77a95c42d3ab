"""The reconciler: what the ledger says is to be done and nobody does is rung again. Any number may run at once."""

import shutil
from pathlib import Path

import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError

from workers.contract.doorbell import Doorbell, missing
from workers.contract.settings import Settings
from workers.ledger import Ledger
from workers.ledger.idempotency import drop_expired
from workers.ledger.leases import fail_job, reap_attempts
from workers.ledger.queue import jobs_without_worker
from workers.ledger.schema import attempts
from workers.ledger.slides import slides_to_validate
from workers.wake.answer import lost_problem


def reconcile_once(ledger: Ledger, doorbell: Doorbell, settings: Settings) -> int:
    """How many rings were given; leases that ran out are reaped first, and jobs that only kill workers end.

    Raises
    ------
    LedgerAwayError
        The database is away. A Redis that is away rings nothing and is no error.
    """
    _reap(ledger, settings)
    with ledger.read() as connection:
        wanted = {f"job:{job}": priority for job, priority in jobs_without_worker(connection, settings.reconcile_s)}
        checks = [f"slide:{slide}" for slide in slides_to_validate(connection, settings.lease_s)]
    try:
        unheard = missing([*checks, *wanted], doorbell)
    except RedisError:
        return 0
    return sum(doorbell.ring(subject, wanted.get(subject, "stat")) for subject in unheard)


def sweep_scratch(ledger: Ledger, settings: Settings) -> list[Path]:
    """The scratch folders that were removed: those of attempts that are over."""
    folders = [path for path in settings.scratch_folder.glob("att_*") if path.is_dir()]
    if not folders:
        return []
    with ledger.read() as connection:
        running = sa.select(attempts.c.id).where(attempts.c.outcome == "running")
        alive = set(connection.execute(running).scalars())
    over = [path for path in folders if path.name not in alive]
    for path in over:
        shutil.rmtree(path, ignore_errors=True)
    return over


def _reap(ledger: Ledger, settings: Settings) -> None:
    with ledger.write() as connection:
        drop_expired(connection)
        for job_id, lost in reap_attempts(connection).items():
            structlog.get_logger().warning("attempt lost", job=job_id, lost=lost)
            if lost >= settings.max_lost:
                fail_job(connection, job_id, lost_problem(lost))
