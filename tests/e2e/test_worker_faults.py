"""A worker with real jobs, disturbed: what it hands in has the bytes of an undisturbed one, and no ring is needed."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from tests.e2e.command import HISTOSERVE
from tests.servers import Server, valkey_server, wait_for
from workers.contract.orders import JobOrder
from workers.contract.settings import Settings
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.jobs import NewJob, create_job, get_job, list_artifacts, list_attempts
from workers.ledger.slides import NewSlide, create_slide

LIMIT_S = 180.0
PACKAGE = "nuclei@1.0.0"
TENANT = "lab"


@dataclass(frozen=True)
class Site:
    """A deployment of one test: its servers, its ledger, one slide and one job nobody was rung for."""

    settings: Settings
    valkey: Server
    ledger: Ledger
    job_id: str

    @property
    def state(self) -> str:
        with self.ledger.read() as connection:
            return get_job(connection, TENANT, self.job_id).state

    @property
    def outcomes(self) -> list[str]:
        with self.ledger.read() as connection:
            return [attempt.outcome for attempt in list_attempts(connection, self.job_id)]

    @property
    def digests(self) -> dict[str, str]:
        """Of everything the job handed in that does not tell of the run itself."""
        with self.ledger.read() as connection:
            artifacts = list_artifacts(connection, self.job_id)
        return {artifact.path: artifact.sha256 for artifact in artifacts if artifact.path != "result.json"}


@contextmanager
def site(home: Path, slide: Path) -> Iterator[Site]:
    with valkey_server() as valkey:
        roots = (slide.parent.as_uri(),)
        settings = Settings(
            home=home, redis_url=valkey.url, reference_roots=roots, reconcile_s=0.5, lease_s=4, heartbeat_s=1
        )
        migrate(settings.database)
        ledger = open_ledger(settings.database)
        with ledger.write() as connection:
            row = create_slide(connection, TENANT, NewSlide(origin="reference", uri=slide.as_uri()))
            order = JobOrder(package=PACKAGE).model_dump(mode="json")
            job = create_job(connection, TENANT, NewJob(slide_id=row.id, package=PACKAGE, order=order), max_queued=10)
        try:
            yield Site(settings, valkey, ledger, job.id)
        finally:
            ledger.close()


@contextmanager
def working(place: Site, slots: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of a site; killed at the end."""
    given = place.settings.model_dump(
        include={"home", "redis_url", "reference_roots", "reconcile_s", "lease_s", "heartbeat_s"}, mode="json"
    )
    env = {f"HISTOSERVE_{k.upper()}": v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
    command = [HISTOSERVE, "worker", "--slots", str(slots)]
    process = subprocess.Popen(command, env={**os.environ, **env})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_tiles_are_done(place: Site) -> None:
    def in_work() -> bool:
        with place.ledger.read() as connection:
            return any(attempt.tiles for attempt in list_attempts(connection, place.job_id))

    wait_for(in_work, LIMIT_S, lambda: f"no tile was done; the job is {place.state}")


def wait_until_done(place: Site) -> None:
    wait_for(lambda: place.state in ("succeeded", "failed"), LIMIT_S, lambda: f"the job is {place.state}")
    assert place.state == "succeeded"


@pytest.fixture(scope="module")
def undisturbed(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of a job that nothing happened to."""
    with site(tmp_path_factory.mktemp("undisturbed"), phantom) as place, working(place):
        wait_until_done(place)
        assert place.outcomes == ["done"]
        digests = place.digests
    assert len(digests) > 3
    return digests


@pytest.mark.parametrize("fault", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_leaves_its_job_to_the_next(phantom, tmp_path, undisturbed, fault: signal.Signals) -> None:
    with site(tmp_path, phantom) as place:
        with working(place) as first:
            wait_until_tiles_are_done(place)
            first.send_signal(fault)
            first.wait(LIMIT_S)
        assert place.state == "running"
        with working(place):
            wait_until_done(place)
        assert place.outcomes[0] == ("released" if fault == signal.SIGTERM else "lost")
        assert place.digests == undisturbed


@pytest.mark.parametrize("fault", ["restart", "flush"])
def test_a_redis_that_was_away_or_forgot_all_costs_nothing(phantom, tmp_path, undisturbed, fault: str) -> None:
    with site(tmp_path, phantom) as place, working(place):
        wait_until_tiles_are_done(place)
        if fault == "restart":
            place.valkey.restart()
        else:
            with Redis.from_url(place.valkey.url) as redis:
                redis.flushall()
        wait_until_done(place)
        assert place.outcomes == ["done"]
        assert place.digests == undisturbed


def test_two_slots_drain_one_slide_to_the_same_bytes(phantom, tmp_path, undisturbed) -> None:
    with site(tmp_path, phantom) as place, working(place, slots=2):
        wait_until_done(place)
        assert place.digests == undisturbed
