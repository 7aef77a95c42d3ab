"""Jobs as their callers see them: made, listed, cancelled, deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from workers.contract.doorbell import Priority
from workers.contract.errors import GoneError, QueueFullError, StateConflictError, UnknownError
from workers.ledger.database import now
from workers.ledger.events import add_event
from workers.ledger.ids import new_id
from workers.ledger.pages import Page, fetch_page
from workers.ledger.schema import artifacts, attempts, jobs
from workers.ledger.states import JOB_TERMINAL, JobState, move_job


@dataclass(frozen=True)
class JobRow:
    """A job."""

    id: str
    tenant: str
    slide_id: str
    batch_id: str | None
    retry_of: str | None
    state: JobState
    priority: Priority
    package: str
    analysis: str | None
    order: dict[str, Any]
    ids: dict[str, str]
    accession: str | None
    external_id: str | None
    due_at: float | None
    identity: dict[str, Any] | None
    bands_planned: int | None
    bands_done: int
    tiles_planned: int | None
    tiles_done: int
    lost: int
    """Attempts lost since the last band was done."""
    failures: int
    event_seq: int
    problem: dict[str, Any] | None
    result: dict[str, Any] | None
    result_prefix: str | None
    created_at: float
    changed_at: float
    started_at: float | None
    ended_at: float | None
    deleted_at: float | None


@dataclass(frozen=True)
class NewJob:
    """What a caller asks for."""

    slide_id: str
    package: str
    order: Mapping[str, Any]
    analysis: str | None = None
    priority: Priority = "routine"
    ids: Mapping[str, str] | None = None
    due_at: float | None = None
    batch_id: str | None = None
    retry_of: str | None = None


@dataclass(frozen=True)
class AttemptRow:
    """A worker's stay on a job."""

    id: str
    job_id: str
    number: int
    worker: str
    outcome: str
    provider: str | None
    stage: str | None
    tiles: int
    """Tiles done that are in no finished band yet."""
    seconds: dict[str, float]
    problem: dict[str, Any] | None
    started_at: float
    lease_until: float
    ended_at: float | None


@dataclass(frozen=True)
class Artifact:
    """A file of a result, by its path within it."""

    job_id: str
    path: str
    sha256: str
    size_bytes: int
    media_type: str


def create_job(connection: sa.Connection, tenant: str, new: NewJob, max_queued: int) -> JobRow:
    """A new job, queued, with its first event.

    Raises
    ------
    QueueFullError
        The tenant has `max_queued` jobs waiting.
    """
    waiting = connection.execute(
        sa.select(sa.func.count()).where(jobs.c.tenant == tenant, jobs.c.state == "queued")
    ).scalar_one()
    if waiting >= max_queued:
        raise QueueFullError(f"{waiting} jobs are waiting already.", "Send more when some are done.")
    ids = dict(new.ids or {})
    values = {
        "id": new_id("job"),
        "tenant": tenant,
        "slide_id": new.slide_id,
        "batch_id": new.batch_id,
        "retry_of": new.retry_of,
        "state": "queued",
        "priority": new.priority,
        "package": new.package,
        "analysis": new.analysis,
        "order": dict(new.order),
        "ids": ids,
        "accession": ids.get("accession"),
        "external_id": ids.get("external_id"),
        "due_at": new.due_at,
        "bands_done": 0,
        "tiles_done": 0,
        "lost": 0,
        "failures": 0,
        "event_seq": 0,
        "created_at": now(),
        "changed_at": now(),
    }
    job_id = connection.execute(sa.insert(jobs).values(values).returning(jobs.c.id)).scalar_one()
    add_event(connection, job_id, "queued", priority=new.priority, package=new.package)
    return _get(connection, jobs.c.id == job_id)


def get_job(connection: sa.Connection, tenant: str, job_id: str) -> JobRow:
    """The job. Raises `UnknownError` where the tenant has none of that name, `GoneError` where it was deleted."""
    job = _find(connection, sa.and_(jobs.c.id == job_id, jobs.c.tenant == tenant))
    if job is None:
        raise UnknownError(f"There is no job {job_id}.")
    if job.deleted_at is not None:
        raise GoneError(f"The job {job_id} was deleted.")
    return job


def job_of_any_tenant(connection: sa.Connection, job_id: str) -> JobRow | None:
    """The job, for a worker."""
    return _find(connection, jobs.c.id == job_id)


def list_jobs(
    connection: sa.Connection,
    tenant: str,
    *,
    filters: Mapping[str, str | None] | None = None,
    since: float | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[JobRow]:
    """A page of the tenant's jobs, newest first.

    Parameters
    ----------
    filters
        Wanted values of `state`, `slide_id`, `batch_id`, `accession`, `external_id`.
    since
        Only jobs that changed at or after this time.
    """
    query = sa.select(jobs).where(jobs.c.tenant == tenant, jobs.c.deleted_at.is_(None))
    for name, value in (filters or {}).items():
        if value is not None:
            query = query.where(jobs.c[name] == value)
    if since is not None:
        query = query.where(jobs.c.changed_at >= since)
    return fetch_page(connection, query, jobs, _job, cursor=cursor, limit=limit)


def cancel_job(connection: sa.Connection, tenant: str, job_id: str) -> JobRow:
    """The job, cancelled now or before. Raises as `get_job`, and `StateConflictError` where it ended otherwise."""
    get_job(connection, tenant, job_id)
    if move_job(connection, job_id, "cancelled"):
        add_event(connection, job_id, "cancelled")
    job = get_job(connection, tenant, job_id)
    if job.state != "cancelled":
        raise StateConflictError(f"The job {job_id} has {job.state}.", "It cannot be cancelled any more.")
    return job


def delete_job(connection: sa.Connection, tenant: str, job_id: str) -> JobRow:
    """The job as it was. Raises as `get_job`, and `StateConflictError` while it is not over."""
    job = get_job(connection, tenant, job_id)
    if job.state not in JOB_TERMINAL:
        raise StateConflictError(f"The job {job_id} is {job.state}.", "Cancel it first.")
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(deleted_at=now(), changed_at=now()))
    return job


def queue_position(connection: sa.Connection, job: JobRow) -> int | None:
    """How many jobs are answered before this one, plus one; None where it does not wait."""
    if job.state != "queued":
        return None
    earlier = sa.or_(
        jobs.c.created_at < job.created_at, sa.and_(jobs.c.created_at == job.created_at, jobs.c.id < job.id)
    )
    before = sa.and_(jobs.c.priority == job.priority, earlier)
    if job.priority == "routine":
        before = sa.or_(jobs.c.priority == "stat", before)
    query = sa.select(sa.func.count()).where(jobs.c.state == "queued", before)
    return int(connection.execute(query).scalar_one()) + 1


def list_attempts(connection: sa.Connection, job_id: str) -> Sequence[AttemptRow]:
    """The job's attempts in order."""
    query = sa.select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
    return [AttemptRow(**row._mapping) for row in connection.execute(query)]


def list_artifacts(connection: sa.Connection, job_id: str) -> Sequence[Artifact]:
    """The files of the job's result by path."""
    query = sa.select(artifacts).where(artifacts.c.job_id == job_id).order_by(artifacts.c.path)
    return [Artifact(**row._mapping) for row in connection.execute(query)]


def find_artifact(connection: sa.Connection, job_id: str, path: str) -> Artifact:
    """The file of that very path. Raises `UnknownError`: what is in no result cannot be asked for."""
    row = connection.execute(
        sa.select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.path == path)
    ).one_or_none()
    if row is None:
        raise UnknownError(f"The result of {job_id} holds no such file.", "Its manifest lists what it holds.")
    return Artifact(**row._mapping)


def states_of_batch(connection: sa.Connection, batch_id: str) -> dict[str, JobState]:
    """The state of each job of a batch."""
    query = sa.select(jobs.c.id, jobs.c.state).where(jobs.c.batch_id == batch_id)
    return {row.id: row.state for row in connection.execute(query)}


def count_states(connection: sa.Connection, tenant: str | None = None) -> dict[str, int]:
    """How many jobs are in each state, of one tenant where given."""
    query = sa.select(jobs.c.state, sa.func.count()).where(jobs.c.deleted_at.is_(None)).group_by(jobs.c.state)
    if tenant is not None:
        query = query.where(jobs.c.tenant == tenant)
    return {row[0]: row[1] for row in connection.execute(query)}


def _get(connection: sa.Connection, condition: Any) -> JobRow:
    return _job(connection.execute(sa.select(jobs).where(condition)).one())


def _find(connection: sa.Connection, condition: Any) -> JobRow | None:
    row = connection.execute(sa.select(jobs).where(condition)).one_or_none()
    return None if row is None else _job(row)


def _job(row: sa.Row[Any]) -> JobRow:
    return JobRow(**row._mapping)


def count_queued(connection: sa.Connection, tenant: str | None = None) -> dict[Priority, int]:
    """How many jobs of each priority wait, of one tenant where given."""
    query = sa.select(jobs.c.priority, sa.func.count()).where(jobs.c.state == "queued", jobs.c.deleted_at.is_(None))
    if tenant is not None:
        query = query.where(jobs.c.tenant == tenant)
    return {row[0]: row[1] for row in connection.execute(query.group_by(jobs.c.priority))}
