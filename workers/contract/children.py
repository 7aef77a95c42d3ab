"""Child processes that die with their parent, and that are started again when they end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
"""A child that lived this long is started again at once, as if it had never ended."""
LOOK_S = 0.2


@dataclass(frozen=True)
class Command:
    """What to run. `env` is added to this process's environment; `fds` stay open in the child."""

    name: str
    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    fds: Sequence[int] = ()


def own_python() -> list[str]:
    """This interpreter, which finds modules where they are installed and never in the working folder."""
    return [sys.executable, "-P"]


def start_child(command: Command, stdout: int | IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """The running child. It dies with this thread, however this ends; signals of the terminal do not reach it."""
    tied = [*own_python(), "-m", "workers.contract.tied", str(os.getpid()), *command.arguments]
    return subprocess.Popen(
        tied,
        env={**os.environ, **command.env},
        cwd=command.folder,
        pass_fds=tuple(command.fds),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        start_new_session=True,
    )


def stop_children(children: Iterable[subprocess.Popen[bytes]], grace_s: float) -> None:
    """Ask all to end (SIGTERM), wait, and kill those that are still there after `grace_s`."""
    children = [child for child in children if child.poll() is None]
    for child in children:
        child.terminate()
    deadline = time.monotonic() + grace_s
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def next_wait_s(wait_s: float, lived_s: float) -> float:
    """How long to wait before a child that ended after `lived_s` is started again; twice as long each time."""
    return FIRST_WAIT_S if lived_s >= STEADY_S else min(2 * wait_s, LONGEST_WAIT_S)


class Kept:
    """A child that is started again when it ends, later each time."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._wait_s = FIRST_WAIT_S / 2

    def look(self) -> None:
        """Start it where it is time; notice where it ended."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._wait_s = next_wait_s(self._wait_s, now - self._started_at)
            self._start_at = now + self._wait_s
            structlog.get_logger().warning(
                "child ended",
                child=self.command.name,
                pid=self.process.pid,
                code=self.process.returncode,
                again_in_s=self._wait_s,
            )
            self.process = None
        if self.process is None and now >= self._start_at:
            # Standard output is this process's own, for its one document.
            self.process = start_child(self.command, stdout=sys.stderr.fileno())
            self._started_at = now


def keep_running(kept: Sequence[Kept], stop: threading.Event) -> None:
    """Keep the children running until `stop`; the caller ends them."""
    while not stop.is_set():
        for child in kept:
            child.look()
        stop.wait(LOOK_S)


def end_kept(kept: Iterable[Kept], grace_s: float) -> None:
    """End the children, all at the same time, and start none again."""
    children = list(kept)
    stop_children([child.process for child in children if child.process is not None], grace_s)
    for child in children:
        child.process = None
