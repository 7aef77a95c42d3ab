"""What may happen to workers and servers in the middle of a slide, and what must come out: the same bytes, once."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.cluster import Cluster, cluster, leftovers, result_digests
from tests.e2e.command import digests, run_json
from tests.s3_server import s3_server
from tests.servers import Server, new_database, postgres_server, wait_for
from workers.ledger.events import list_events
from workers.ledger.jobs import cancel_job, list_attempts
from workers.ledger.states import JOB_TERMINAL
from workers.wake.reconcile import sweep_scratch


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request, tmp_path) -> Iterator[Cluster]:
    url = None
    if request.param == "postgresql":
        url = new_database(request.getfixturevalue("postgres"), f"t{uuid4().hex}")
    with cluster(tmp_path, url) as made:
        yield made


@pytest.fixture(scope="session")
def undisturbed(phantom: Path, tmp_path_factory) -> dict[str, str]:
    """The digests of `histoserve run` on the phantom."""
    out = tmp_path_factory.mktemp("undisturbed")
    return digests(run_json(phantom, "--package", "nuclei", "--out", out, "--threads", "2"))


def kinds(deployment: Cluster, job_id: str) -> list[str]:
    with deployment.ledger.read() as connection:
        return [event.kind for event in list_events(connection, job_id)]


def assert_done_once(deployment: Cluster, job_id: str, undisturbed: dict[str, str]) -> None:
    """The job succeeded with the bytes of an undisturbed run; each band was handed in once."""
    (job,) = deployment.finish(job_id)
    assert job.state == "succeeded", job.problem
    assert result_digests(job) == undisturbed
    told = kinds(deployment, job_id)
    assert told.count("succeeded") == 1
    assert told.count("band-done") == job.bands_planned
    bands = deployment.store.local_path(f"jobs/{job_id}/bands")
    wait_for(lambda: not bands.exists(), 10, lambda: "shards of bands are kept beside the result")


def test_an_undisturbed_job_has_the_digests_of_run(deployment, phantom, undisturbed):
    deployment.start_worker()
    slide = deployment.put_slide(phantom)
    assert_done_once(deployment, deployment.order(slide), undisturbed)
    wait_for(lambda: leftovers(deployment.settings) == [], 10)


@pytest.mark.parametrize("victim", ["horse", "listener", "supervisor"])
def test_whoever_is_killed_the_job_goes_on_from_its_last_band(deployment, phantom, undisturbed, victim):
    deployment.start_worker()
    job_id = deployment.order(deployment.put_slide(phantom))
    deployment.wait_bands(job_id, 2)
    horses = deployment.horses()
    victims = {"horse": horses, "listener": deployment.listeners(), "supervisor": [deployment.workers[0].pid]}[victim]
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(_is_alive, horses)), 5, lambda: "an orphan computes on")
    if victim == "supervisor":
        deployment.start_worker()
    assert_done_once(deployment, job_id, undisturbed)
    with deployment.ledger.read() as connection:
        # Often one; two where a ring that was given twice brought a worker before the lost lease had run out.
        first, *others = [a.outcome for a in list_attempts(connection, job_id)]
    assert (first, set(others)) == ("lost", {"done"})
    sweep_scratch(deployment.ledger, deployment.settings)
    wait_for(lambda: leftovers(deployment.settings) == [], 10)


def test_sigterm_releases_the_bands_and_repeats_none(deployment, phantom, undisturbed):
    worker = deployment.start_worker()
    job_id = deployment.order(deployment.put_slide(phantom))
    deployment.wait_bands(job_id, 1)
    worker.terminate()
    assert worker.wait(30) == 0
    with deployment.ledger.read() as connection:
        assert [a.outcome for a in list_attempts(connection, job_id)] == ["released"]
    wait_for(lambda: leftovers(deployment.settings) == [], 10)
    deployment.start_worker()
    assert_done_once(deployment, job_id, undisturbed)


def test_killed_at_random_the_bytes_are_the_same(deployment, phantom, undisturbed):
    """Workers and their children, again and again, until the job is done."""
    chance = random.Random(11)
    deployment.start_worker()
    job_id = deployment.order(deployment.put_slide(phantom))
    for _ in range(6):
        time.sleep(chance.uniform(1.0, 4.0))
        if deployment.job(job_id).state == "succeeded":
            break
        who = [*deployment.horses(), *deployment.listeners()]
        with suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(who), signal.SIGKILL)
    assert_done_once(deployment, job_id, undisturbed)


def test_redis_may_forget_everything(deployment, phantom, undisturbed):
    deployment.start_worker()
    slide = deployment.put_slide(phantom)
    jobs = [deployment.order(slide) for _ in range(2)]
    deployment.wait_bands(jobs[0], 1)
    deployment.doorbell.redis.flushall()
    for job_id in jobs:
        assert_done_once(deployment, job_id, undisturbed)


def test_redis_may_be_away_for_a_while(deployment, phantom, undisturbed):
    deployment.start_worker()
    slide = deployment.put_slide(phantom)
    first = deployment.order(slide)
    deployment.wait_bands(first, 1)
    deployment.valkey.stop()
    second = deployment.order(slide)
    deployment.wait_bands(first, deployment.job(first).bands_done + 2)
    deployment.valkey.start()
    for job_id in (first, second):
        assert_done_once(deployment, job_id, undisturbed)
    with deployment.ledger.read() as connection:
        assert [a.outcome for a in list_attempts(connection, first)] == ["done"], "the child outlived the outage"


def test_two_workers_on_one_slide_make_the_same_bytes(deployment, phantom, undisturbed):
    for _ in range(2):
        deployment.start_worker()
    wait_for(lambda: len(deployment.listeners()) == 2, 30)
    job_id = deployment.order(deployment.put_slide(phantom))
    assert_done_once(deployment, job_id, undisturbed)
    with deployment.ledger.read() as connection:
        hands = {e.data["attempt"] for e in list_events(connection, job_id) if e.kind == "band-done"}
    assert hands == {1, 2}


def test_a_cancelled_job_stops_computing_and_publishes_nothing(deployment, phantom):
    deployment.start_worker()
    job_id = deployment.order(deployment.put_slide(phantom))
    deployment.wait_bands(job_id, 1)
    with deployment.ledger.write() as connection:
        cancel_job(connection, "lab", job_id)
    wait_for(lambda: not deployment.horses(), 30, lambda: "the child computes on")
    job = deployment.job(job_id)
    assert (job.state, job.result) == ("cancelled", None)
    wait_for(lambda: leftovers(deployment.settings) == [], 10)


def test_an_urgent_job_goes_before_a_running_one(deployment, phantom, undisturbed):
    deployment.start_worker()
    slide = deployment.put_slide(phantom)
    routine = deployment.order(slide)
    deployment.wait_bands(routine, 1)
    stat = deployment.order(slide, priority="stat")
    urgent, patient = deployment.finish(stat, routine)
    assert urgent.ended_at < patient.ended_at
    assert_done_once(deployment, routine, undisturbed)


def test_a_band_damaged_in_the_store_is_computed_again(deployment, phantom, undisturbed):
    worker = deployment.start_worker()
    job_id = deployment.order(deployment.put_slide(phantom))
    deployment.wait_bands(job_id, 2)
    worker.terminate()
    worker.wait(30)
    folder = deployment.store.local_path(f"jobs/{job_id}/bands")
    shard = next(p for p in sorted(folder.rglob("*")) if p.is_file())
    shard.unlink()
    deployment.start_worker()
    (job,) = deployment.finish(job_id)
    assert result_digests(job) == undisturbed
    assert "band-reopened" in kinds(deployment, job_id)


def test_a_job_that_only_kills_its_workers_ends(tmp_path, phantom):
    """What eats the machine's memory on every try must not be tried for ever."""
    with cluster(tmp_path, MAX_LOST="2") as deployment:
        job_id = deployment.order(deployment.put_slide(phantom))
        deployment.start_worker()

        def is_over() -> bool:
            with deployment.ledger.read() as connection:
                is_at_it = any(a.outcome == "running" for a in list_attempts(connection, job_id))
            for pid in deployment.horses() if is_at_it else []:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return deployment.job(job_id).state in JOB_TERMINAL

        wait_for(is_over, 120)
        job = deployment.job(job_id)
        assert (job.state, job.problem["type"]) == ("failed", "urn:histoserve:worker-lost")


def test_a_restarted_database_loses_nothing(tmp_path, phantom, undisturbed):
    with postgres_server() as server, cluster(tmp_path, new_database(server, "restarted")) as deployment:
        deployment.start_worker()
        job_id = deployment.order(deployment.put_slide(phantom))
        deployment.wait_bands(job_id, 1)
        server.restart()
        assert_done_once(deployment, job_id, undisturbed)


def test_two_workers_share_a_slide_through_a_bucket(tmp_path, phantom, undisturbed):
    """No folder in common but the bucket: each worker brings the slide, and the last one brings all shards."""
    with s3_server() as bucket:
        options = json.dumps({"endpoint_url": bucket.url, "key": "k", "secret": "s"})
        with cluster(tmp_path, STORE_URL="s3://slides-and-results/hs", STORE_OPTIONS=options) as deployment:
            for name in ("one", "two"):
                deployment.env["HISTOSERVE_SCRATCH"] = str(tmp_path / name)
                deployment.start_worker()
            wait_for(lambda: len(deployment.listeners()) == 2, 30)
            job_id = deployment.order(deployment.put_slide(phantom))
            (job,) = deployment.finish(job_id)
            assert result_digests(job) == undisturbed
            for artifact in job.result["files"]:
                stored = bucket.objects[f"hs/{job.result_prefix}/{artifact['path']}"]
                assert hashlib.sha256(stored).hexdigest() == artifact["sha256"]
            with deployment.ledger.read() as connection:
                hands = {e.data["attempt"] for e in list_events(connection, job_id) if e.kind == "band-done"}
            assert hands == {1, 2}


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
