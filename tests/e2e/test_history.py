"""Two hundred small slides, faults at random, a client that writes down what it was told, and a checker of promises.

The promises: every 2xx follows a commit; every accepted job reaches exactly one terminal state; at most one result is
published, and its digests match its manifest; the same key is the same job.
"""

import hashlib
import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.cluster import Cluster, cluster, result_digests
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
from workers.ledger.events import list_events
from workers.ledger.jobs import list_artifacts
from workers.ledger.states import JOB_TERMINAL

SLIDES = 200
FAULT_EVERY_S = 4.0
ROUNDS = 6
"""How often each kind of fault happens."""
ENDS = ("succeeded", "failed", "cancelled")


@dataclass
class History:
    """What the client was told."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Key to job."""
    cancelled: set[str] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)


@pytest.mark.timeout(1800)
def test_two_hundred_slides_with_faults_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "small.tiff"
    write_phantom(PhantomSpec(seed=3, width_px=400, height_px=400, mpp=0.5, tissue=0.8), {"he": path})
    with cluster(tmp_path / "home", LEASE_S="3") as deployment:
        deployment.start_worker(slots=2)
        slide_id, history = deployment.put_slide(path).id, History()
        with deployment.start_service() as client, ThreadPoolExecutor(1) as pool:
            sending = pool.submit(_send, client, slide_id, history)
            # From this thread: a server dies with the thread that started it.
            _disturb(deployment, random.Random(5), sending)
            sending.result()
            jobs = deployment.finish(*history.accepted.values(), limit_s=900)
        _check(deployment, history, jobs)


def _send(client: httpx.Client, slide_id: str, history: History) -> None:
    """Two hundred submissions, some repeated, some cancelled."""
    chance = random.Random(2)
    for number in range(SLIDES):
        _submit(client, slide_id, f"key-{number}", history, chance)
        if number % 20 == 7:
            _cancel(client, chance.choice(list(history.accepted.values())), history)


def _submit(client: httpx.Client, slide_id: str, key: str, history: History, chance: random.Random) -> None:
    """Until it is accepted; sometimes twice, as a client does that did not get the answer."""
    body = {"slide_id": slide_id, "model": "nuclei@1.0.0", "priority": chance.choice(["routine", "stat"])}
    for _ in range(chance.choice([1, 1, 2])):
        job_id = _patiently(lambda: client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key}))["id"]
        if history.accepted.setdefault(key, job_id) != job_id:
            history.contradictions.append(f"{key} is {job_id} and {history.accepted[key]}")


def _cancel(client: httpx.Client, job_id: str, history: History) -> None:
    told = _patiently(lambda: client.post(f"/v1/jobs/{job_id}/cancel"), allowed=(202, 409))
    if told.get("state") == "cancelled":
        history.cancelled.add(job_id)


def _patiently(ask, allowed=(202,)) -> dict:
    """The answer, however often the service is killed meanwhile."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = ask()
            if answer.status_code in allowed:
                return answer.json()
            assert answer.status_code == 503, answer.text
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the service stayed away"
        time.sleep(0.1)


def _disturb(deployment: Cluster, chance: random.Random, sending: "Future[None]") -> None:
    """A fault every few seconds, of every kind there is, while jobs come in and long after."""
    faults = [_kill_horse, _kill_listener, _kill_supervisor, _flush, _restart_redis, _kill_service] * ROUNDS
    chance.shuffle(faults)
    for fault in faults:
        time.sleep(chance.uniform(0.5, FAULT_EVERY_S))
        fault(deployment)
    wait([sending])


def _kill_horse(deployment: Cluster) -> None:
    for pid in deployment.horses()[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _kill_listener(deployment: Cluster) -> None:
    for pid in deployment.listeners()[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _kill_supervisor(deployment: Cluster) -> None:
    worker = deployment.workers.pop()
    worker.kill()
    worker.wait()
    assert worker.stdout is not None
    worker.stdout.close()
    deployment.start_worker(slots=2)


def _flush(deployment: Cluster) -> None:
    deployment.doorbell.redis.flushall()


def _restart_redis(deployment: Cluster) -> None:
    deployment.valkey.restart()


def _kill_service(deployment: Cluster) -> None:
    deployment.kill_service()
    deployment.start_service().close()


def _check(deployment: Cluster, history: History, jobs) -> None:
    assert history.contradictions == []
    assert len(history.accepted) == SLIDES
    assert all(job.state in JOB_TERMINAL for job in jobs)
    assert {job.id for job in jobs if job.id in history.cancelled and job.state != "cancelled"} == set()
    assert {job.state for job in jobs if job.id not in history.cancelled} == {"succeeded"}, Counter(
        (job.state, (job.problem or {}).get("detail")) for job in jobs
    )
    digests = {tuple(sorted(result_digests(job).items())) for job in jobs if job.state == "succeeded"}
    assert len(digests) == 1, "the same slide, the same bytes"
    with deployment.ledger.read() as connection:
        for job in jobs:
            ends = [e.kind for e in list_events(connection, job.id) if e.kind in ENDS]
            assert ends == [job.state]
            for artifact in list_artifacts(connection, job.id):
                stored = deployment.store.read(f"{job.result_prefix}/{artifact.path}")
                assert hashlib.sha256(b"".join(stored)).hexdigest() == artifact.sha256
