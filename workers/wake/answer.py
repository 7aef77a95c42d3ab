"""The answer to a ring: the function that RQ calls in its forked child, with the name of what wants work."""

import errno
import os
from functools import partial
from typing import Any

import structlog

from models.errors import HistoserveError, InternalError
from workers.contract.errors import DiskFullError, LeaseLostError, OutOfMemoryError, TimedOutError, WorkerLostError
from workers.contract.settings import Settings
from workers.ledger.jobs import JobRow
from workers.ledger.leases import Attempt, Outcome, count_failure, end_attempt, fail_job, start_attempt
from workers.ledger.slides import SlideRow
from workers.wake.place import Place, open_place, patiently


def answer(subject: str) -> None:
    """Work on `job:<id>` or `slide:<id>` as far as this worker can; the ledger has what came of it."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    kind, _, identifier = subject.partition(":")
    place = open_place(Settings())
    try:
        if kind == "slide":
            _answer_slide(place, identifier)
        elif kind == "job":
            _answer_job(place, identifier)
    finally:
        place.close()


def _answer_slide(place: Place, slide_id: str) -> None:
    from workers.wake.slide import validate_slide

    validate_slide(place, slide_id)


def _answer_job(place: Place, job_id: str) -> None:
    from workers.wake.job import find_job, run_bands_of, stay_on_job
    from workers.wake.rescore import score_anew

    job = find_job(place, job_id)
    attempt = None if job is None else _start(place, job_id)
    if job is None or attempt is None:
        return
    log = structlog.get_logger().bind(job=job_id, attempt=attempt.number)
    outcome: Outcome = "done"
    try:
        run = partial(run_bands_of, find_slide=lambda: _sound_slide(place, job))
        stay_on_job(place, attempt, job, score_anew if job.order.get("rescore_of") else run)
    except LeaseLostError as error:
        log.info("left", reason=error.detail)
        outcome = "ended"
    except HistoserveError as error:
        outcome = _tell(place, job, attempt, error)
    except Exception as error:  # the outermost edge of a worker: what nobody foresaw becomes a typed problem
        log.error("unforeseen", exc_info=error)
        outcome = _tell(place, job, attempt, _foreseen(error))
    finally:
        _end(place, attempt, outcome)
    if outcome == "released":
        place.doorbell.ring(f"job:{job_id}", job.priority)


def _start(place: Place, job_id: str) -> Attempt | None:
    def start() -> Attempt | None:
        with place.ledger.write() as connection:
            return start_attempt(connection, job_id, place.name, place.settings.lease_s)

    return patiently(start)


def _sound_slide(place: Place, job: JobRow) -> SlideRow:
    """The job's slide, validated. Raises what it was refused with."""
    from workers.wake.slide import validate_slide

    slide = validate_slide(place, job.slide_id)
    if slide is None or slide.state == "deleted":
        raise InternalError(f"The slide {job.slide_id} is not there any more.")
    if slide.state == "refused":
        raise RefusedSlideError(slide)
    return slide


class RefusedSlideError(HistoserveError):
    """The job's slide was refused; the problem is the slide's own."""

    slug = "slide-refused"
    title = "The slide was refused"
    blame = "user_error"

    def __init__(self, slide: SlideRow) -> None:
        self.problem = slide.problem or {}
        super().__init__(str(self.problem.get("detail", "")))

    def as_problem(self) -> dict[str, Any]:
        """What the slide was refused with."""
        return dict(self.problem)


def _tell(place: Place, job: JobRow, attempt: Attempt, error: HistoserveError) -> Outcome:
    """End the job where it cannot succeed; otherwise leave it to another attempt."""
    from workers.wake.job import DeclinedError, YieldedError

    if isinstance(error, YieldedError):
        return "released"
    if isinstance(error, DeclinedError):
        return "declined"
    problem = error.as_problem()

    def settle() -> Outcome:
        with place.ledger.write() as connection:
            is_final = error.blame == "user_error" or isinstance(error, TimedOutError)
            if is_final or count_failure(connection, attempt) >= place.settings.max_failures:
                fail_job(connection, job.id, problem)
            end_attempt(connection, attempt, "failed", problem)
            return "failed"

    structlog.get_logger().warning("failed", job=job.id, slug=error.slug, detail=error.detail)
    return patiently(settle)


def _end(place: Place, attempt: Attempt, outcome: Outcome) -> None:
    def end() -> bool:
        with place.ledger.write() as connection:
            return end_attempt(connection, attempt, outcome)

    patiently(end)


def _foreseen(error: Exception) -> HistoserveError:
    """An error of the machine as one of ours."""
    if isinstance(error, MemoryError):
        return OutOfMemoryError("The worker ran out of memory.", "Give it more, or run fewer workers on the machine.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError("The worker's disk is full.", "Free some space; the job goes on from its last band.")
    return InternalError(f"{type(error).__name__}: the worker's log has the reason.")


def lost_problem(count: int) -> dict[str, Any]:
    """What a job is told whose workers died one after the other."""
    return WorkerLostError(
        f"{count} workers in a row died on this job without finishing a piece of it.",
        "Look for what killed them (memory, a driver); then retry the job.",
    ).as_problem()
