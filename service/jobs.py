"""Jobs between the wire and the ledger: what is asked for is checked whole before anything is written."""

from datetime import UTC
from typing import Any

import sqlalchemy as sa

from models.errors import Reason, RefusedInputError, WrongStainError
from models.manifest import Manifest
from models.parameters import FORCE, read_parameters
from models.registry import find_analysis, resolve
from service.access import Caller, entry_of
from service.deployment import Deployment
from service.wire import (
    AttemptTold,
    JobSent,
    JobTold,
    OrderIds,
    Problem,
    Progress,
    when,
    when_or_none,
)
from workers.contract.errors import StateConflictError
from workers.contract.orders import JobOrder
from workers.ledger import clock
from workers.ledger.audit import add_entries
from workers.ledger.jobs import AttemptRow, JobRow, NewJob, create_job, list_attempts, queue_position
from workers.ledger.slides import SlideRow, get_slide

KINDS = {"ihc": "ihc-dab"}
"""What a slide's stated stain is called in manifests, where that is another word."""


class AnalysisUnclearError(RefusedInputError):
    """Neither a model nor an analysis was named, or both."""

    slug = "analysis-unclear"
    title = "Name either a model or an analysis"


def place_job(
    connection: sa.Connection, deployment: Deployment, caller: Caller, sent: JobSent, batch_id: str | None = None
) -> JobRow:
    """A new job for what was sent.

    Raises
    ------
    RefusedInputError
        What was sent cannot be done; nothing was written.
    """
    manifest = _manifest(sent)
    slide = get_slide(connection, caller.tenant, sent.slide_id)
    parameters = read_parameters(manifest, sent.parameters)
    forced = bool(parameters.get(FORCE))
    _check_slide(slide, manifest, forced=forced)
    order = JobOrder(
        package=manifest.reference,
        parameters=parameters,
        regions=sent.regions,
        mpp=slide.mpp,
        forced_by=caller.told if forced else None,
    )
    new = NewJob(
        slide_id=slide.id,
        package=manifest.reference,
        order=order.model_dump(mode="json"),
        analysis=manifest.analysis,
        priority=sent.priority,
        ids=_merge(slide.ids, sent.ids),
        due_at=None if sent.due_at is None else sent.due_at.astimezone(UTC).timestamp(),
        batch_id=batch_id,
    )
    job = create_job(connection, caller.tenant, new, deployment.settings.max_queued_jobs)
    if forced:
        add_entries(connection, [entry_of(caller, "job.force", job.id, 202)])
    return job


def repeat_job(connection: sa.Connection, deployment: Deployment, caller: Caller, job: JobRow) -> JobRow:
    """A new job that asks the same as one that failed or was cancelled; who repeats a forced one forces it.

    Raises
    ------
    StateConflictError
        The job did not fail.
    """
    if job.state not in ("failed", "cancelled"):
        raise StateConflictError(f"The job {job.id} is {job.state}.", "Only what failed or was cancelled is retried.")
    get_slide(connection, job.tenant, job.slide_id)
    forced = bool(job.order["parameters"].get(FORCE))
    new = NewJob(
        slide_id=job.slide_id,
        package=job.package,
        order=job.order | ({"forced_by": caller.told} if forced else {}),
        analysis=job.analysis,
        priority=job.priority,
        ids=job.ids,
        due_at=job.due_at,
        retry_of=job.id,
    )
    repeated = create_job(connection, job.tenant, new, deployment.settings.max_queued_jobs)
    if forced:
        add_entries(connection, [entry_of(caller, "job.force", repeated.id, 202)])
    return repeated


def tell_job(connection: sa.Connection, job: JobRow) -> JobTold:
    """The job as it is told now."""
    stays = list_attempts(connection, job.id)
    return JobTold(
        id=job.id,
        state=job.state,
        slide_id=job.slide_id,
        batch_id=job.batch_id,
        retry_of=job.retry_of,
        rescore_of=job.order.get("rescore_of"),
        model=job.package,
        analysis=job.analysis,
        parameters=job.order["parameters"],
        regions=job.order["regions"],
        priority=job.priority,
        due_at=when_or_none(job.due_at),
        ids=OrderIds(**job.ids),
        queue_position=queue_position(connection, job),
        progress=_progress(job, stays, clock(connection)),
        attempts=tuple(_tell_attempt(stay) for stay in stays),
        problem=tell_problem(job.problem),
        scores=None if job.result is None else job.result["scores"],
        created_at=when(job.created_at),
        changed_at=when(job.changed_at),
        started_at=when_or_none(job.started_at),
        ended_at=when_or_none(job.ended_at),
    )


def tell_problem(problem: dict[str, Any] | None) -> Problem | None:
    """A kept problem as it is told."""
    return None if problem is None else Problem.model_validate(problem)


def _manifest(sent: JobSent) -> Manifest:
    if (sent.model is None) == (sent.analysis is None):
        raise AnalysisUnclearError("Give either `model` or `analysis`.", "`GET /v1/models` lists what there is.")
    package = find_analysis(str(sent.analysis)) if sent.model is None else resolve(sent.model)
    return package.manifest


def _check_slide(slide: SlideRow, manifest: Manifest, *, forced: bool) -> None:
    if slide.state == "refused":
        raise StateConflictError(f"The slide {slide.id} was refused.", "Its `problem` says why and what to do.")
    if slide.stain is not None and manifest.stain not in ("any", KINDS.get(slide.stain, slide.stain)) and not forced:
        text = f"The slide was registered as {slide.stain}; {manifest.reference} is for {manifest.stain}."
        raise WrongStainError(
            text,
            "Use a package for this stain, or set the parameter `force`; the result will say that it was forced.",
            [Reason(WrongStainError.slug, text, slide.stain, manifest.stain, forcible=True)],
        )


def _merge(slide_ids: dict[str, str], sent: OrderIds) -> dict[str, str]:
    """The slide's identifiers, the job's own over them."""
    return slide_ids | sent.model_dump(exclude_none=True)


def _progress(job: JobRow, stays: list[AttemptRow] | Any, at: float) -> Progress:
    live = [stay for stay in stays if stay.outcome == "running"]
    done = job.tiles_done + sum(stay.tiles for stay in live)
    if job.tiles_planned is not None:
        done = min(done, job.tiles_planned)
    seconds: dict[str, float] = {}
    for stay in live:
        for name, value in stay.seconds.items():
            seconds[name] = round(seconds.get(name, 0.0) + value, 3)
    return Progress(
        tiles_done=done,
        tiles_planned=job.tiles_planned,
        bands_done=job.bands_done,
        bands_planned=job.bands_planned,
        fraction=1.0 if job.state == "succeeded" else done / job.tiles_planned if job.tiles_planned else None,
        stage=live[-1].stage if live else None,
        seconds=seconds,
        workers=len(live),
        eta_s=_eta(job, done, at),
    )


def _eta(job: JobRow, done: int, at: float) -> float | None:
    """Seconds left at the pace since the job began to run."""
    if job.state != "running" or not done or not job.tiles_planned or job.started_at is None:
        return None
    return round((at - job.started_at) / done * (job.tiles_planned - done), 1)


def _tell_attempt(stay: AttemptRow) -> AttemptTold:
    return AttemptTold(
        number=stay.number,
        worker=stay.worker,
        provider=stay.provider,
        outcome=stay.outcome,
        started_at=when(stay.started_at),
        ended_at=when_or_none(stay.ended_at),
        problem=tell_problem(stay.problem),
    )
