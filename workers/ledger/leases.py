"""Who works on what: attempts hold a lease on the database's clock, bands are claimed under it and fenced by a token.

An attempt is one worker's stay on one job. While it lives it renews its lease; a lease that ran out is reaped by
anybody, its bands are free again and its handing-in is refused. Each claim of a band raises the band's token, and only
the holder of the newest token of a live attempt can commit it: a worker that slept through its lease writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from workers.contract.errors import LeaseLostError
from workers.ledger.database import now
from workers.ledger.events import add_event
from workers.ledger.ids import new_id
from workers.ledger.jobs import Artifact
from workers.ledger.schema import artifacts, attempts, bands, jobs
from workers.ledger.states import JOB_OPEN, move_job

FINISH = -1
"""The number of the piece of work that comes after all bands: measures, pictures, publication."""

Outcome = Literal["running", "done", "released", "declined", "failed", "lost", "ended"]


@dataclass(frozen=True)
class Attempt:
    """A worker's stay on a job."""

    id: str
    job_id: str
    number: int


@dataclass(frozen=True)
class Claim:
    """A band in the hands of an attempt."""

    number: int
    token: int


@dataclass(frozen=True)
class Progress:
    """What a worker says of itself with each renewal."""

    stage: str = "starting"
    tiles: int = 0
    """Tiles done that are in no committed band."""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A finished result: where it lies, what it says, and its files."""

    prefix: str
    result: dict[str, Any]
    artifacts: Sequence[Artifact]


def start_attempt(connection: sa.Connection, job_id: str, worker: str, lease_s: float) -> Attempt | None:
    """A new attempt on an open job; None where the job is over. A queued job starts to run."""
    # Locking the job's row first makes attempts of one job count one after the other.
    job = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(JOB_OPEN), jobs.c.deleted_at.is_(None))
        .values(event_seq=jobs.c.event_seq)
        .returning(jobs.c.state)
    ).one_or_none()
    if job is None:
        return None
    count = sa.select(sa.func.count()).where(attempts.c.job_id == job_id)
    attempt = Attempt(new_id("att"), job_id, int(connection.execute(count).scalar_one()) + 1)
    connection.execute(
        sa.insert(attempts).values(
            id=attempt.id,
            job_id=job_id,
            number=attempt.number,
            worker=worker[:128],
            outcome="running",
            tiles=0,
            seconds={},
            started_at=now(),
            lease_until=now() + lease_s,
        )
    )
    if job.state == "queued":
        move_job(connection, job_id, "running")
    add_event(connection, job_id, "attempt-started", attempt=attempt.number, worker=worker)
    return attempt


def renew(connection: sa.Connection, attempt: Attempt, lease_s: float, progress: Progress) -> bool:
    """True where the attempt goes on; False where its job is over or somebody took its work."""
    open_job = sa.exists().where(jobs.c.id == attempts.c.job_id, jobs.c.state == "running")
    update = (
        sa.update(attempts)
        .where(attempts.c.id == attempt.id, attempts.c.ended_at.is_(None), open_job)
        .values(
            lease_until=now() + lease_s,
            stage=progress.stage,
            tiles=progress.tiles,
            seconds=progress.seconds,
        )
    )
    return connection.execute(update).rowcount == 1


def agree_plan(
    connection: sa.Connection,
    attempt: Attempt,
    identity: dict[str, Any],
    tiles_per_band: Sequence[int],
    patience_s: float,
) -> dict[str, Any]:
    """The identity the job's bands are computed with: the first worker's, which plans the bands for all.

    A job whose workers are all gone for `patience_s`, and whose next worker would compute other bytes (another code
    version, another provider), is planned anew by that worker: nobody else would ever finish it.

    Raises
    ------
    LeaseLostError
        The attempt does not own the job any more.
    """
    _lock(connection, attempt)
    ours = sa.update(attempts).where(attempts.c.id == attempt.id)
    connection.execute(ours.values(provider=identity.get("provider")))
    known: dict[str, Any] | None = connection.execute(
        sa.select(jobs.c.identity).where(jobs.c.id == attempt.job_id)
    ).scalar_one()
    if known is not None and (known == identity or not _is_deserted(connection, attempt, patience_s)):
        return known
    if known is not None:
        connection.execute(sa.delete(bands).where(bands.c.job_id == attempt.job_id))
    rows = [_new_band(attempt.job_id, number, tiles) for number, tiles in enumerate(tiles_per_band)]
    connection.execute(sa.insert(bands), [*rows, _new_band(attempt.job_id, FINISH, 0)])
    total = sum(tiles_per_band)
    planned = {"bands_planned": len(tiles_per_band), "tiles_planned": total, "bands_done": 0, "tiles_done": 0}
    connection.execute(sa.update(jobs).where(jobs.c.id == attempt.job_id).values(identity=identity, **planned))
    add_event(connection, attempt.job_id, "planned", bands=len(tiles_per_band), tiles=total, anew=known is not None)
    return identity


def claim_band(connection: sa.Connection, attempt: Attempt) -> Claim | None:
    """The next free band, in order; the finish when all are done; None where nothing is free now.

    Raises
    ------
    LeaseLostError
        The attempt does not own the job any more.
    """
    _lock(connection, attempt)
    ours = bands.c.job_id == attempt.job_id
    left = sa.select(sa.func.count()).where(ours, bands.c.number >= 0, bands.c.state != "done")
    wanted = bands.c.number >= 0 if connection.execute(left).scalar_one() else bands.c.number == FINISH
    number = connection.execute(
        sa.select(sa.func.min(bands.c.number)).where(ours, wanted, bands.c.state == "free")
    ).scalar_one()
    if number is None:
        return None
    token = connection.execute(
        sa.update(bands)
        .where(ours, bands.c.number == number)
        .values(state="leased", token=bands.c.token + 1, attempt_id=attempt.id)
        .returning(bands.c.token)
    ).scalar_one()
    return Claim(int(number), int(token))


def commit_band(connection: sa.Connection, attempt: Attempt, claim: Claim, record: dict[str, Any]) -> None:
    """Hand in a band. What it wrote counts from now on.

    Raises
    ------
    LeaseLostError
        The band, or the job, belongs to somebody else now: nothing is handed in.
    """
    _lock(connection, attempt)
    tiles = _settle(connection, attempt, claim, record)
    connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == attempt.job_id)
        .values(bands_done=jobs.c.bands_done + 1, tiles_done=jobs.c.tiles_done + tiles, lost=0)
    )
    add_event(connection, attempt.job_id, "band-done", band=claim.number, attempt=attempt.number, tiles=tiles)


def publish(connection: sa.Connection, attempt: Attempt, claim: Claim, published: Published) -> None:
    """Hand in the finish: the job has succeeded, and this is its result.

    Raises
    ------
    LeaseLostError
        As `commit_band`; also where the job was cancelled in the meantime.
    """
    _lock(connection, attempt)
    _settle(connection, attempt, claim, {})
    values = {"result": published.result, "result_prefix": published.prefix}
    if not move_job(connection, attempt.job_id, "succeeded", **values):
        raise LeaseLostError(f"The job {attempt.job_id} is over.")
    if published.artifacts:
        connection.execute(sa.insert(artifacts), [vars(artifact) for artifact in published.artifacts])
    add_event(connection, attempt.job_id, "succeeded", files=len(published.artifacts))
    _end(connection, attempt, "done")


def read_records(connection: sa.Connection, job_id: str) -> dict[int, dict[str, Any]]:
    """What was handed in for each finished band, by its number."""
    query = sa.select(bands.c.number, bands.c.record).where(
        bands.c.job_id == job_id, bands.c.number >= 0, bands.c.state == "done"
    )
    return {row.number: row.record for row in connection.execute(query)}


def reopen_band(connection: sa.Connection, attempt: Attempt, number: int, claim: Claim) -> None:
    """Ask for a band again whose shards are not what was handed in; the finish is given back until it is done."""
    _lock(connection, attempt)
    row = connection.execute(
        sa.update(bands)
        .where(bands.c.job_id == attempt.job_id, bands.c.number == number, bands.c.state == "done")
        .values(state="free", record=None, attempt_id=None)
        .returning(bands.c.tiles)
    ).one_or_none()
    connection.execute(
        sa.update(bands)
        .where(bands.c.job_id == attempt.job_id, bands.c.number == FINISH, bands.c.token == claim.token)
        .values(state="free", attempt_id=None)
    )
    if row is not None:
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == attempt.job_id)
            .values(bands_done=jobs.c.bands_done - 1, tiles_done=jobs.c.tiles_done - row.tiles)
        )
        add_event(connection, attempt.job_id, "band-reopened", band=number)


def end_attempt(
    connection: sa.Connection, attempt: Attempt, outcome: Outcome, problem: dict[str, Any] | None = None
) -> bool:
    """True where the attempt ended now; its bands that were not handed in are free again."""
    return _end(connection, attempt, outcome, problem)


def fail_job(connection: sa.Connection, job_id: str, problem: dict[str, Any]) -> bool:
    """True where the job failed now, with this problem."""
    if not move_job(connection, job_id, "failed", problem=problem):
        return False
    add_event(connection, job_id, "failed", slug=problem.get("type", ""))
    return True


def count_failure(connection: sa.Connection, attempt: Attempt) -> int:
    """How often the job has failed by our own fault, this time included."""
    update = sa.update(jobs).where(jobs.c.id == attempt.job_id).values(failures=jobs.c.failures + 1)
    return int(connection.execute(update.returning(jobs.c.failures)).scalar_one())


def reap_attempts(connection: sa.Connection) -> dict[str, int]:
    """End the attempts whose lease ran out; how many each of their jobs has lost since its last finished band."""
    late = sa.select(attempts.c.id, attempts.c.job_id, attempts.c.number).where(
        attempts.c.outcome == "running", attempts.c.lease_until < now()
    )
    lost: dict[str, int] = {}
    for row in connection.execute(late).all():
        attempt = Attempt(row.id, row.job_id, row.number)
        if not _end(connection, attempt, "lost", only_late=True):
            continue
        count = connection.execute(
            sa.update(jobs).where(jobs.c.id == row.job_id).values(lost=jobs.c.lost + 1).returning(jobs.c.lost)
        ).scalar_one()
        lost[row.job_id] = int(count)
    return lost


def _lock(connection: sa.Connection, attempt: Attempt) -> None:
    """Hold the job's row until the transaction ends; raise where the attempt may not go on."""
    alive = sa.exists().where(attempts.c.id == attempt.id, attempts.c.ended_at.is_(None))
    held = connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == attempt.job_id, jobs.c.state == "running", alive)
        .values(event_seq=jobs.c.event_seq)
    )
    if held.rowcount != 1:
        raise LeaseLostError(f"Attempt {attempt.number} does not own the job {attempt.job_id} any more.")


def _is_deserted(connection: sa.Connection, attempt: Attempt, patience_s: float) -> bool:
    """True where nobody but this attempt has been on the job for `patience_s`; those who declined do not count."""
    others = sa.select(sa.func.count()).where(
        attempts.c.job_id == attempt.job_id,
        attempts.c.id != attempt.id,
        attempts.c.outcome != "declined",
        sa.or_(attempts.c.ended_at.is_(None), attempts.c.ended_at > now() - patience_s),
    )
    return not connection.execute(others).scalar_one()


def _settle(connection: sa.Connection, attempt: Attempt, claim: Claim, record: dict[str, Any]) -> int:
    row = connection.execute(
        sa.update(bands)
        .where(
            bands.c.job_id == attempt.job_id,
            bands.c.number == claim.number,
            bands.c.token == claim.token,
            bands.c.attempt_id == attempt.id,
            bands.c.state == "leased",
        )
        .values(state="done", record=record, done_at=now())
        .returning(bands.c.tiles)
    ).one_or_none()
    if row is None:
        raise LeaseLostError(f"Band {claim.number} of {attempt.job_id} belongs to somebody else now.")
    return int(row.tiles)


def _end(
    connection: sa.Connection,
    attempt: Attempt,
    outcome: Outcome,
    problem: dict[str, Any] | None = None,
    *,
    only_late: bool = False,
) -> bool:
    # The job's row first, as everywhere: two transactions that lock in one order cannot wait for each other.
    connection.execute(sa.update(jobs).where(jobs.c.id == attempt.job_id).values(event_seq=jobs.c.event_seq))
    update = sa.update(attempts).where(attempts.c.id == attempt.id, attempts.c.ended_at.is_(None))
    if only_late:
        update = update.where(attempts.c.lease_until < now())
    if connection.execute(update.values(outcome=outcome, problem=problem, ended_at=now())).rowcount != 1:
        return False
    connection.execute(
        sa.update(bands)
        .where(bands.c.attempt_id == attempt.id, bands.c.state == "leased")
        .values(state="free", attempt_id=None)
    )
    add_event(connection, attempt.job_id, "attempt-ended", attempt=attempt.number, outcome=outcome)
    return True


def _new_band(job_id: str, number: int, tiles: int) -> dict[str, Any]:
    return {"job_id": job_id, "number": number, "state": "free", "token": 0, "tiles": tiles}
