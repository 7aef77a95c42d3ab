"""`histoserve worker` as a process, with a real Valkey and a real ledger: its seat, its refusals, its end."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import HISTOSERVE
from tests.servers import Server, valkey_server, wait_for
from workers.contract.settings import Settings
from workers.daemon.healthy import is_seated
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.audit import list_entries
from workers.ledger.seats import Seat, list_seats

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def settings(valkey: Server, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, redis_url=valkey.url, queue_prefix=f"test-{tmp_path.name}", reconcile_s=0.2)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    migrate(settings.database)
    ledger = open_ledger(settings.database)
    yield ledger
    ledger.close()


def environment(settings: Settings) -> dict[str, str]:
    own = {
        "HISTOSERVE_HOME": str(settings.home),
        "HISTOSERVE_REDIS_URL": settings.redis_url,
        "HISTOSERVE_QUEUE_PREFIX": settings.queue_prefix,
        "HISTOSERVE_RECONCILE_S": str(settings.reconcile_s),
        "HISTOSERVE_LOG_FORMAT": "json",
    }
    return {**os.environ, **own}


@contextmanager
def working(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [HISTOSERVE, "worker", "--json", *arguments]
    with (settings.home / "worker.log").open("w") as log:
        process = subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refusal(settings: Settings, *arguments: str) -> dict[str, str]:
    """The problem a worker that must not start ends with."""
    command = [HISTOSERVE, "worker", "--json", *arguments]
    done = subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    problem: dict[str, str] = json.loads(done.stdout)
    return problem


def seats(ledger: Ledger) -> list[Seat]:
    with ledger.read() as connection:
        return list(list_seats(connection, seen_within_s=30))


def log_lines(settings: Settings) -> list[dict[str, object]]:
    return [json.loads(line) for line in (settings.home / "worker.log").read_text().splitlines()]


def test_a_worker_tells_what_it_runs_takes_its_seat_and_leaves_it(settings, ledger) -> None:
    with working(settings, "--slots", "2") as process:
        told = json.loads(process.stdout.readline())
        assert told["slots"] == 2
        assert told["provider"] == "onnxruntime-cpu"
        assert any(reference.startswith("nuclei@") for reference in told["packages"])
        wait_for(lambda: seats(ledger), LIMIT_S)
        (seat,) = seats(ledger)
        assert (seat.name, seat.slots, seat.packages) == (told["name"], 2, told["packages"])
        assert is_seated(settings, seat.host)
        assert not is_seated(settings, "another-host")
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    assert seats(ledger) == []
    assert [line["event"] for line in log_lines(settings) if line["event"].startswith("worker")] == [
        "worker starts",
        "worker stops",
    ]


def test_an_altered_package_is_not_used_and_log_and_audit_say_so(
    settings, ledger, tmp_path, monkeypatch, made_package
) -> None:
    source = made_package("identity").folder
    shutil.copytree(source, tmp_path / "zoo" / source.parent.name / source.name)
    weights = next((tmp_path / "zoo").rglob("*.onnx"))
    weights.write_bytes(weights.read_bytes() + b"x")
    monkeypatch.setenv("HISTOSERVE_MODEL_DIR", str(tmp_path / "zoo"))
    with working(settings) as process:
        told = json.loads(process.stdout.readline())
    assert not any(source.parent.name in reference for reference in told["packages"])
    reasons = [line["reason"] for line in log_lines(settings) if line["event"] == "package is not used"]
    assert len(reasons) == 1
    with ledger.read() as connection:
        (entry,) = list_entries(connection)
    assert (entry.action, entry.tenant) == ("package.refused", None)
    assert entry.subject.startswith(source.parent.name)
    assert entry.detail["type"] == "urn:histoserve:model-tampered"


def test_a_worker_that_cannot_have_its_provider_says_why(settings, ledger) -> None:
    problem = refusal(settings, "--provider", "onnxruntime-cuda")
    assert problem["type"] == "urn:histoserve:provider-unavailable"
    assert "onnxruntime-cuda" in problem["detail"]
    assert seats(ledger) == []


def test_a_worker_does_not_start_on_another_schema(settings) -> None:
    problem = refusal(settings)
    assert problem["type"] == "urn:histoserve:ledger-old"
    assert "histoserve serve" in problem["remedy"]


def test_a_worker_outlives_an_outage_of_redis_and_ends_during_one(settings, ledger, valkey) -> None:
    with working(settings) as process:
        process.stdout.readline()
        wait_for(lambda: seats(ledger), LIMIT_S)
        valkey.stop()
        try:
            wait_for(lambda: any("away" in str(line["event"]) for line in log_lines(settings)), LIMIT_S)
            assert process.poll() is None
            process.terminate()
            assert process.wait(LIMIT_S) == 0
        finally:
            valkey.start()
    assert seats(ledger) == []


def test_a_killed_worker_is_missed_when_it_was_not_seen_for_a_while(settings, ledger) -> None:
    with working(settings) as process:
        process.stdout.readline()
        wait_for(lambda: seats(ledger), LIMIT_S)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with ledger.read() as connection:
        wait_for(lambda: not _seen_within(ledger, 0.5), LIMIT_S)
        assert list_seats(connection, seen_within_s=600) != []


def _seen_within(ledger: Ledger, seconds: float) -> list[Seat]:
    with ledger.read() as connection:
        return list(list_seats(connection, seconds))
