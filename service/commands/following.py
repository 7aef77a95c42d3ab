"""Many jobs watched at once, without asking more often than one client should."""

import time
from collections.abc import Callable, Sequence

from service.client.client import Client
from service.wire import JobTold

PAUSE_S = 0.5
PER_SECOND = 20.0
"""Jobs asked for in a second, at most."""


def follow_jobs(client: Client, job_ids: Sequence[str], tell: Callable[[JobTold], None]) -> dict[str, JobTold]:
    """The jobs when all are over; `tell` hears of each at first and whenever it changed."""
    jobs: dict[str, JobTold] = {}
    tags: dict[str, str] = dict.fromkeys(job_ids, "")
    while tags:
        for job_id, tag in list(tags.items()):
            job, tags[job_id] = client.poll(job_id, tag)
            if job is None:
                continue
            jobs[job_id] = job
            tell(job)
            if job.ended_at is not None:
                del tags[job_id]
        if tags:
            time.sleep(max(PAUSE_S, len(tags) / PER_SECOND))
    return {job_id: jobs[job_id] for job_id in dict.fromkeys(job_ids)}
