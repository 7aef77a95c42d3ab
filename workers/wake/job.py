"""A worker's stay on one job: take free bands, hand them in, and finish what nobody else has finished."""

import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from models.errors import HistoserveError
from workers.contract.errors import LeaseLostError
from workers.contract.orders import JobOrder
from workers.engine.bands import run_bands
from workers.engine.calibrate import Fitted, fit_slide
from workers.engine.checkpoint import BandRecord
from workers.engine.conclude import conclude
from workers.engine.prepare import opened_slide, prepare
from workers.engine.stopwatch import Stopwatch
from workers.engine.stream import StoppedError
from workers.engine.work import RunRequest, Work, run_identity
from workers.ledger.jobs import JobRow, job_of_any_tenant, list_attempts
from workers.ledger.leases import (
    FINISH,
    Attempt,
    Claim,
    Published,
    agree_plan,
    claim_band,
    commit_band,
    publish,
    read_records,
    reopen_band,
)
from workers.ledger.queue import free_bands, is_stat_waiting
from workers.ledger.seats import list_seats
from workers.ledger.slides import SlideRow
from workers.outputs.files import write_whole
from workers.outputs.maps import create_maps
from workers.plan import Band
from workers.result import RESULT_NAME, Result
from workers.wake.hand_in import bands_prefix, fetch_shards, read_record, store_band, store_result
from workers.wake.heartbeat import Heartbeat
from workers.wake.place import Place, local_slide, patiently

SEEN_WITHIN_S = 120.0


class YieldedError(HistoserveError):
    """The worker leaves the job to others, or to itself later: something urgent waits, or it is asked to go."""

    slug = "yielded"
    title = "The worker left the job"


class DeclinedError(HistoserveError):
    """This worker would compute other bytes than those before it; the job is for another."""

    slug = "declined"
    title = "The worker does not fit the job"


@dataclass(frozen=True, eq=False)
class Stay:
    """What a worker holds while it is on a job."""

    place: Place
    attempt: Attempt
    job: JobRow
    beat: Heartbeat
    watch: Stopwatch
    claims: dict[int, Claim] = field(default_factory=dict)
    """The bands in this worker's hands."""


def stay_on_job(place: Place, attempt: Attempt, job: JobRow, work: Callable[[Stay, Path], None]) -> None:
    """Work on a job until nothing of it is free, or it is published.

    Parameters
    ----------
    work
        Does it, given a scratch folder; the lease is renewed meanwhile.

    Raises
    ------
    HistoserveError
        What the engine says of the slide, the package or this machine.
    LeaseLostError
        The job is over, or others have it.
    YieldedError, DeclinedError
        The worker leaves; the job is not over.
    """
    watch, stop = Stopwatch(), threading.Event()
    scratch = place.settings.scratch_folder / attempt.id
    scratch.mkdir(parents=True)
    try:
        with Heartbeat(place, attempt, watch, stop) as beat:
            _stop_on_term(beat)
            try:
                work(Stay(place, attempt, job, beat, watch), scratch)
            except StoppedError as error:
                beat.check()
                raise YieldedError("The worker was asked to leave.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _stop_on_term(beat: Heartbeat) -> None:
    def leave(number: int, frame: object) -> None:
        beat.reason = beat.reason or "shutdown"
        beat.stop.set()

    signal.signal(signal.SIGTERM, leave)


def run_bands_of(stay: Stay, scratch: Path, find_slide: Callable[[], SlideRow]) -> None:
    """Compute bands of a job as long as there are free ones, and finish it where all are done.

    Parameters
    ----------
    find_slide
        Gives the job's slide, validated; it may take its time.
    """
    request = _request(stay, find_slide(), scratch)
    # Validation has had it opened by a limited child.
    with opened_slide(request, stay.watch, is_known=True) as (opened, package):
        work = prepare(request, opened, package, stay.beat.report, stay.watch, stay.beat.stop)
        try:
            agree(stay, run_identity(work), [sum(1 for _ in work.plan.band_tiles(band)) for band in work.plan.bands])
            _wake_others(stay)
            create_maps(work.maps, [target.spec for target in work.targets], work.plan.frame)
            with stay.watch.stage("calibrate"):
                fitted = fit_slide(work.slide, work.plan, work.predictor)
            _drain(stay, work, fitted)
        finally:
            work.predictor.close()


def _request(stay: Stay, slide: SlideRow, scratch: Path) -> RunRequest:
    order, settings = JobOrder.model_validate(stay.job.order), stay.place.settings
    path = local_slide(stay.place, slide)
    kept = slide.origin == "upload"
    return RunRequest(
        slide=path,
        package=order.package,
        out=scratch,
        mpp=order.mpp if order.mpp is not None else slide.mpp,
        provider=settings.provider,
        parameters=order.parameters,
        regions=order.regions,
        forced_by=order.forced_by,
        readers=settings.readers,
        threads=settings.threads,
        # What we keep ourselves nobody changes; what lies elsewhere is read again.
        slide_sha256=slide.sha256 if kept else None,
    )


def agree(stay: Stay, ours: dict[str, Any], tiles: Sequence[int]) -> None:
    """Plan the job's bands of so many tiles each, or find that others have planned the same.

    Raises
    ------
    DeclinedError
        Others have begun it with another identity.
    """

    def plan() -> dict[str, Any]:
        with stay.place.ledger.write() as connection:
            return agree_plan(connection, stay.attempt, ours, tiles, patience_s=2 * stay.place.settings.lease_s)

    theirs = patiently(plan)
    different = sorted(k for k in theirs.keys() | ours.keys() if theirs.get(k) != ours.get(k))
    if different:
        raise DeclinedError(f"The job was begun with another {', '.join(different)}.")


def _wake_others(stay: Stay) -> None:
    def count() -> int:
        with stay.place.ledger.read() as connection:
            slots = sum(seat.slots for seat in list_seats(connection, SEEN_WITHIN_S))
            return min(free_bands(connection, stay.job.id), slots) - 1

    if stay.attempt.number == 1 and (times := patiently(count)) > 0:
        stay.place.doorbell.ring(f"job:{stay.job.id}", stay.job.priority, times)


def _drain(stay: Stay, work: Work, fitted: Fitted) -> None:
    while (claim := claim_next(stay)) is not None:
        if claim.number == FINISH:
            if _finish(stay, work, fitted, claim):
                return
            continue
        run_bands(work, fitted, _bands(stay, work, claim), lambda record: _commit(stay, work, record))
        _give_way(stay)


def _bands(stay: Stay, work: Work, first: Claim) -> Iterator[Band]:
    """The bands that can be had, claimed one by one as the readers come to need them."""
    for claim in chain([first], iter(lambda: None if _urgent(stay) else claim_next(stay), None)):
        stay.claims[claim.number] = claim
        yield work.plan.bands[claim.number]


def claim_next(stay: Stay) -> Claim | None:
    """The next free piece of the job; None where there is none now."""

    def claim() -> Claim | None:
        with stay.place.ledger.write() as connection:
            return claim_band(connection, stay.attempt)

    return patiently(claim)


def _urgent(stay: Stay) -> bool:
    """True where a routine job should make room for an urgent one."""
    if stay.job.priority == "stat":
        return False
    with stay.place.ledger.read() as connection:
        return is_stat_waiting(connection)


def _give_way(stay: Stay) -> None:
    if _urgent(stay):
        raise YieldedError("An urgent job waits; this one goes on after it.")


def _commit(stay: Stay, work: Work, record: BandRecord) -> None:
    claim = stay.claims.pop(record.index)
    value = store_band(stay.place.store, stay.attempt, claim, work.maps, record)

    def commit() -> None:
        with stay.place.ledger.write() as connection:
            commit_band(connection, stay.attempt, claim, value)

    patiently(commit)
    stay.beat.committed(record.tiles)


def _finish(stay: Stay, work: Work, fitted: Fitted, claim: Claim) -> bool:
    """True where the result is published; False where a band has to be computed again first."""
    with stay.place.ledger.read() as connection:
        records = {n: read_record(value) for n, value in read_records(connection, stay.job.id).items()}
    broken = fetch_shards(stay.place.store, work.maps, records)
    if broken:
        with stay.place.ledger.write() as connection:
            for number in broken:
                reopen_band(connection, stay.attempt, number, claim)
        return False
    done = {number: record for number, (_, record) in records.items()}
    result = conclude(work, fitted, done, resumed=stay.attempt.number > 1)
    result = result.model_copy(update={"seconds": seconds_of(stay)})
    write_whole(work.request.out / RESULT_NAME, result.model_dump_json(indent=2).encode() + b"\n")
    publish_result(stay, work.request.out, claim, result)
    return True


def seconds_of(stay: Stay) -> dict[str, float]:
    """Seconds per stage of all workers that were on the job."""
    with stay.place.ledger.read() as connection:
        others = [a.seconds for a in list_attempts(connection, stay.job.id) if a.id != stay.attempt.id]
    total: dict[str, float] = {}
    for seconds in (*others, stay.watch.seconds()):
        for name, value in seconds.items():
            total[name] = round(total.get(name, 0.0) + value, 3)
    return total


def publish_result(stay: Stay, out: Path, claim: Claim, result: Result) -> None:
    """Store what lies in `out` and make it the job's result.

    Raises
    ------
    LeaseLostError
        The claim is not ours any more; what was stored is removed.
    """
    prefix, artifacts = store_result(stay.place.store, stay.attempt, claim, out, result)
    published = Published(prefix, result.model_dump(mode="json"), artifacts)

    def hand_in() -> None:
        with stay.place.ledger.write() as connection:
            publish(connection, stay.attempt, claim, published)

    try:
        patiently(hand_in)
    except LeaseLostError:
        stay.place.store.remove(prefix)
        raise
    stay.place.store.remove(bands_prefix(stay.job.id))


def find_job(place: Place, job_id: str) -> JobRow | None:
    """The job, for a worker; patient while the database is away."""

    def read() -> JobRow | None:
        with place.ledger.read() as connection:
            return job_of_any_tenant(connection, job_id)

    return patiently(read)
