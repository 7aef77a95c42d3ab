"""Results as their callers read them: the job that has one, and a file of it, each in one look."""

from dataclasses import dataclass

import sqlalchemy as sa

from workers.contract.errors import GoneError, NoResultError, ResultNotReadyError, UnknownError
from workers.ledger.jobs import Artifact, JobRow, get_job
from workers.ledger.schema import artifacts, jobs
from workers.ledger.states import JOB_OPEN


@dataclass(frozen=True)
class StoredFile:
    """A file of a result, and its key in the store."""

    key: str
    artifact: Artifact


def get_finished(connection: sa.Connection, tenant: str, job_id: str) -> JobRow:
    """The job, which has succeeded.

    Raises
    ------
    UnknownError, GoneError
        As `get_job`.
    ResultNotReadyError
        It is not over.
    NoResultError
        It has failed or was cancelled.
    """
    job = get_job(connection, tenant, job_id)
    _check_state(job.id, job.state)
    return job


def find_file(connection: sa.Connection, tenant: str, job_id: str, path: str) -> StoredFile | None:
    """The file of that very path; None where the result holds no such file. Raises as `get_finished`."""
    file = sa.and_(artifacts.c.job_id == jobs.c.id, artifacts.c.path == path)
    row = connection.execute(
        sa.select(jobs.c.state, jobs.c.deleted_at, jobs.c.result_prefix, artifacts)
        .select_from(jobs.outerjoin(artifacts, file))
        .where(jobs.c.id == job_id, jobs.c.tenant == tenant)
    ).one_or_none()
    if row is None:
        raise UnknownError(f"There is no job {job_id}.")
    if row.deleted_at is not None:
        raise GoneError(f"The job {job_id} was deleted.")
    _check_state(job_id, row.state)
    if row.path is None:
        return None
    artifact = Artifact(job_id, row.path, row.sha256, row.size_bytes, row.media_type)
    return StoredFile(f"{row.result_prefix}/{row.path}", artifact)


def _check_state(job_id: str, state: str) -> None:
    if state in JOB_OPEN:
        raise ResultNotReadyError(f"The job {job_id} is {state}.", "Ask for the job with `?wait=30`.")
    if state != "succeeded":
        raise NoResultError(f"The job {job_id} has {state}; it has no result.", "Its `problem` says why.")
