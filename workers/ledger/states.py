"""Which states there are and which lead to which. The one place where a state changes.

A change is a conditional update: it happens only from a state it may happen from, and the caller is told whether it
did. Of two that race, the database lets one through; a terminal state is final because nothing leads out of it.
"""

from typing import Any, Literal

import sqlalchemy as sa

from workers.ledger.database import now
from workers.ledger.schema import jobs, slides

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
SlideState = Literal["validating", "ready", "refused", "deleted"]

JOB_FROM: dict[JobState, tuple[JobState, ...]] = {
    "running": ("queued",),
    "succeeded": ("running",),
    "failed": ("queued", "running"),
    "cancelled": ("queued", "running"),
}
"""What a job's state may be reached from; a job begins as queued."""

SLIDE_FROM: dict[SlideState, tuple[SlideState, ...]] = {
    "ready": ("validating",),
    "refused": ("validating",),
    "deleted": ("validating", "ready", "refused"),
}
"""What a slide's state may be reached from; a slide begins as validating."""

JOB_TERMINAL: tuple[JobState, ...] = ("succeeded", "failed", "cancelled")
JOB_OPEN: tuple[JobState, ...] = ("queued", "running")


def move_job(connection: sa.Connection, job_id: str, to: JobState, **values: Any) -> bool:
    """True where the job went to the state `to`; False where it is in a state that does not lead there."""
    times = {"running": {"started_at": now()}}.get(to, {"ended_at": now()})
    update = (
        sa.update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(JOB_FROM[to]), jobs.c.deleted_at.is_(None))
        .values(state=to, changed_at=now(), **times, **values)
    )
    return connection.execute(update).rowcount == 1


def move_slide(connection: sa.Connection, slide_id: str, to: SlideState, **values: Any) -> bool:
    """True where the slide went to the state `to`."""
    time = "deleted_at" if to == "deleted" else "checked_at"
    update = (
        sa.update(slides)
        .where(slides.c.id == slide_id, slides.c.state.in_(SLIDE_FROM[to]))
        .values({"state": to, time: now()} | values)
    )
    return connection.execute(update).rowcount == 1
