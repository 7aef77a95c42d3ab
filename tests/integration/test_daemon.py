"""Listeners as processes, with a real Valkey: rings are answered in a child that dies, stops and lives as it should."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rq import Callback
from rq.webhook import Webhook

from tests.conftest import REPOSITORY
from tests.servers import Server, valkey_server, wait_for
from workers.contract.children import Command, Kept, end_kept, start_child, stop_children
from workers.contract.doorbell import Doorbell, open_doorbell
from workers.contract.settings import Settings

LIMIT_S = 60.0
Ring = Callable[..., None]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with valkey_server() as server:
        yield server


@pytest.fixture
def settings(valkey: Server, tmp_path: Path) -> Settings:
    """A deployment of its own for every test: its queues share nothing with another's."""
    return Settings(home=tmp_path / "home", redis_url=valkey.url, queue_prefix=f"test-{tmp_path.name}")


@pytest.fixture
def doorbell(settings: Settings) -> Iterator[Doorbell]:
    bell = open_doorbell(settings)
    yield bell
    bell.redis.close()


@pytest.fixture
def command(settings: Settings) -> Command:
    """One listener of the test's deployment, that finds the tests' own answers."""
    env = {
        "HISTOSERVE_HOME": str(settings.home),
        "HISTOSERVE_REDIS_URL": settings.redis_url,
        "HISTOSERVE_QUEUE_PREFIX": settings.queue_prefix,
        "PYTHONPATH": str(REPOSITORY),
    }
    return Command("listener", [sys.executable, "-P", "-m", "tests.answers_made"], env)


@contextmanager
def running(command: Command) -> Iterator[subprocess.Popen[bytes]]:
    child = start_child(command)
    try:
        yield child
    finally:
        stop_children([child], LIMIT_S)


def ring(doorbell: Doorbell, answer: str, *arguments: object, priority: str = "routine") -> None:
    doorbell.queue(priority).enqueue_call(  # type: ignore[arg-type]
        answer if "." in answer else f"tests.answers_made.{answer}",
        args=[str(a) for a in arguments],
        timeout=600,
        result_ttl=60,
        failure_ttl=60,
    )


def ids_in(path: Path) -> tuple[int, int]:
    """The ids of an answer's process and of its parent, once it wrote them."""
    wait_for(path.exists, LIMIT_S, lambda: f"{path.name} was not written")
    own, parent = path.read_text().split()
    return int(own), int(parent)


def is_alive(pid: int) -> bool:
    """True where the process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def catches(pid: int, number: signal.Signals) -> bool:
    """True where the process has a handler for a signal."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def test_a_ring_is_answered_in_a_child_of_the_listener(command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "write_down", tmp_path, "told")
        own, parent = ids_in(tmp_path / "told")
        assert parent == listener.pid
        assert own != listener.pid
        wait_for(lambda: not is_alive(own), LIMIT_S)


def test_stat_is_answered_before_routine(command, doorbell, tmp_path) -> None:
    for name, priority in (("first", "routine"), ("second", "routine"), ("urgent", "stat")):
        ring(doorbell, "write_down", tmp_path, name, priority=priority)
    with running(command):
        order = [tmp_path / name for name in ("urgent", "first", "second")]
        for path in order:
            ids_in(path)
    written = [path.stat().st_mtime_ns for path in order]
    assert written == sorted(written)


def test_only_rings_are_answered(command, doorbell, tmp_path) -> None:
    """Whoever writes to Redis names a function, and what is to be called or told afterwards: it is thrown away."""
    ring(doorbell, "os.mkdir", tmp_path / "named")
    queue = doorbell.queue("routine")
    after = Callback("shutil.rmtree")
    queue.enqueue("tests.answers_made.write_down", args=[str(tmp_path), "after"], on_success=after)
    hook = Webhook("http://127.0.0.1:9/", "finished")
    queue.enqueue("tests.answers_made.write_down", args=[str(tmp_path), "hooked"], webhooks=[hook])
    ring(doorbell, "write_down", tmp_path, "last")
    with running(command):
        ids_in(tmp_path / "last")
    assert {path.name for path in tmp_path.iterdir()} == {"last"}


def test_a_child_dies_with_its_listener(command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "stay", tmp_path, "work")
        own, _ = ids_in(tmp_path / "work.started")
        listener.send_signal(signal.SIGKILL)
        listener.wait()
        wait_for(lambda: not is_alive(own), LIMIT_S, lambda: "the child outlived its listener")
    assert not (tmp_path / "work.stopped").exists()


def test_a_killed_child_does_not_end_its_listener(command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "stay", tmp_path, "work")
        own, _ = ids_in(tmp_path / "work.started")
        os.kill(own, signal.SIGKILL)
        ring(doorbell, "write_down", tmp_path, "next")
        assert ids_in(tmp_path / "next")[1] == listener.pid


def test_a_killed_listener_is_started_again(command, doorbell, tmp_path) -> None:
    kept = Kept(command)
    try:
        kept.look()
        assert kept.process is not None
        first = kept.process.pid
        kept.process.send_signal(signal.SIGKILL)
        kept.process.wait()
        ring(doorbell, "write_down", tmp_path, "told")

        def answered() -> bool:
            kept.look()
            return (tmp_path / "told").exists()

        wait_for(answered, LIMIT_S)
        assert ids_in(tmp_path / "told")[1] == kept.process.pid != first
    finally:
        end_kept([kept], LIMIT_S)


def test_sigterm_reaches_the_child_and_both_end_well(command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "stay", tmp_path, "work")
        own, _ = ids_in(tmp_path / "work.started")
        listener.terminate()
        assert listener.wait(LIMIT_S) == 0
    assert (tmp_path / "work.stopped").exists()
    assert not is_alive(own)


def test_sigterm_ends_an_idle_listener(command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "write_down", tmp_path, "told")
        ids_in(tmp_path / "told")
        listener.terminate()
        assert listener.wait(LIMIT_S) == 0


def test_an_idle_listener_stays(command, doorbell, tmp_path) -> None:
    """redis-py gives up on a silent server after 5 s, and RQ ends over it: nobody would hear the next ring at once."""
    with running(command) as listener:
        ring(doorbell, "write_down", tmp_path, "first")
        ids_in(tmp_path / "first")
        time.sleep(7)
        ring(doorbell, "write_down", tmp_path, "second")
        assert ids_in(tmp_path / "second")[1] == listener.pid


@pytest.mark.parametrize("ends_while_away", [False, True])
def test_an_outage_of_redis_leaves_the_child_computing(
    valkey, command, doorbell, tmp_path, ends_while_away: bool
) -> None:
    with running(command) as listener:
        ring(doorbell, "stay", tmp_path, "work")
        own, _ = ids_in(tmp_path / "work.started")
        valkey.stop()
        try:
            # RQ's own watch over a child runs into the outage.
            wait_for(lambda: catches(listener.pid, signal.SIGALRM), LIMIT_S)
            listener.send_signal(signal.SIGALRM)
            if ends_while_away:
                (tmp_path / "work.go").touch()
                assert ids_in(tmp_path / "work.done")[0] == own
                wait_for(lambda: not is_alive(own), LIMIT_S)
            assert is_alive(listener.pid)
        finally:
            valkey.start()
        ring(doorbell, "write_down", tmp_path, "next")
        if not ends_while_away:
            # A listener that had forgotten its child would take the next ring beside it.
            with pytest.raises(TimeoutError):
                wait_for((tmp_path / "next").exists, 3.0)
        (tmp_path / "work.go").touch()
        assert ids_in(tmp_path / "work.done")[0] == own
        assert ids_in(tmp_path / "next")[1] == listener.pid


def test_an_idle_listener_outlives_an_outage_and_a_flush(valkey, command, doorbell, tmp_path) -> None:
    with running(command) as listener:
        ring(doorbell, "write_down", tmp_path, "first")
        ids_in(tmp_path / "first")
        valkey.restart()
        doorbell.redis.flushall()
        ring(doorbell, "write_down", tmp_path, "second")
        assert ids_in(tmp_path / "second")[1] == listener.pid


def test_a_listener_waits_for_a_redis_that_is_late(valkey, command, doorbell, tmp_path) -> None:
    valkey.stop()
    try:
        with running(command) as listener:
            wait_for(lambda: says_python(listener.pid), LIMIT_S)
            valkey.start()
            ring(doorbell, "write_down", tmp_path, "told")
            assert ids_in(tmp_path / "told")[1] == listener.pid
    finally:
        if not valkey.is_running:
            valkey.start()


def says_python(pid: int) -> bool:
    """True where the process became the listener."""
    return b"-m\0tests.answers_made" in Path(f"/proc/{pid}/cmdline").read_bytes()
