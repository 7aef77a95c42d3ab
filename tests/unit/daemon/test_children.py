"""Waiting before a child is started again, ends asked for, and ties that are refused."""

import os
import subprocess
import sys

import pytest

from workers.contract.children import (
    LONGEST_WAIT_S,
    STEADY_S,
    Command,
    Kept,
    end_kept,
    next_wait_s,
    own_python,
    start_child,
    stop_children,
)


def test_each_wait_is_twice_the_last_up_to_the_longest() -> None:
    waits = [0.5]
    for _ in range(8):
        waits.append(next_wait_s(waits[-1], lived_s=0.1))
    assert waits[1:] == [1, 2, 4, 8, 16, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_a_child_that_lived_long_is_started_again_soon() -> None:
    assert next_wait_s(LONGEST_WAIT_S, lived_s=STEADY_S) == 1


def test_a_child_gets_the_environment_it_is_given_and_stays_in_its_folder(tmp_path) -> None:
    told = 'echo "$WORD $PWD"'
    child = start_child(Command("told", ["/bin/sh", "-c", told], {"WORD": "hello"}, tmp_path), subprocess.PIPE)
    out, _ = child.communicate()
    assert out.decode().split() == ["hello", str(tmp_path)]


def test_a_child_that_ended_is_not_started_again_before_its_time() -> None:
    kept = Kept(Command("short", ["/bin/true"]))
    kept.look()
    assert kept.process is not None
    kept.process.wait()
    kept.look()
    assert kept.process is None
    kept.look()
    assert kept.process is None


def test_a_child_that_does_not_listen_is_killed() -> None:
    deaf = 'trap "" TERM; echo ready; while :; do sleep 0.01; done'
    child = start_child(Command("deaf", ["/bin/sh", "-c", deaf]), subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    stop_children([child], grace_s=0.1)
    child.stdout.close()
    assert child.returncode == -9


def test_ending_what_never_started_is_fine() -> None:
    end_kept([Kept(Command("never", ["/bin/true"]))], grace_s=0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="asked of the Linux kernel")
def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    tie = [*own_python(), "-m", "workers.contract.tied", str(os.getpid() + 1), "/bin/echo", "started"]
    done = subprocess.run(tie, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="asked of the Linux kernel")
def test_a_child_dies_with_its_parent() -> None:
    """The parent is killed with SIGKILL: its child's end of the pipe is closed by the kernel alone."""
    parent = (
        "import signal\n"
        "from workers.contract.children import Command, start_child\n"
        "child = start_child(Command('long', ['/bin/sh', '-c', 'echo tied; exec sleep 1000']))\n"
        "signal.pause()\n"
    )
    process = subprocess.Popen([*own_python(), "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"tied\n"
    process.kill()
    assert process.stdout.read() == b""
    process.stdout.close()
    process.wait()
