"""Rows for tests: a slide that is ready, a job on it, a worker that comes."""

from typing import Any

from workers.ledger import Ledger
from workers.ledger.jobs import JobRow, NewJob, create_job
from workers.ledger.leases import Attempt, start_attempt
from workers.ledger.slides import NewSlide, SlideRow, create_slide
from workers.ledger.states import move_slide

ORDER = {"package": "toy@1.0.0", "parameters": {}, "regions": None, "mpp": None, "provider": None}


def made_slide(ledger: Ledger, tenant: str = "lab", **fields: Any) -> SlideRow:
    with ledger.write() as connection:
        slide = create_slide(connection, tenant, NewSlide(**({"origin": "upload", "uri": "store:slides/u"} | fields)))
        move_slide(connection, slide.id, "ready")
    return slide


def made_job(ledger: Ledger, tenant: str = "lab", **fields: Any) -> JobRow:
    slide = made_slide(ledger, tenant)
    with ledger.write() as connection:
        return create_job(connection, tenant, NewJob(slide.id, "toy@1.0.0", ORDER, **fields), max_queued=1000)


def start(ledger: Ledger, job_id: str, lease_s: float = 60.0) -> Attempt:
    with ledger.write() as connection:
        attempt = start_attempt(connection, job_id, "worker", lease_s)
    assert attempt is not None
    return attempt
