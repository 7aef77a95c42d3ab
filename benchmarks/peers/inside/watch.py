"""Starts a command and writes what it took: `python watch.py OUT.json COMMAND...`. Standard library alone, and small:

a child's peak begins with the memory of the process it was forked from.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

SAMPLE_S = 2.0
"""Summing a large process's memory takes some milliseconds: no more often than needed."""


def main() -> int:
    """The command's exit code."""
    out, command = Path(sys.argv[1]), sys.argv[2:]
    load, start = os.getloadavg()[0], time.monotonic()
    child = subprocess.Popen(command)
    watched = _Watched(child.pid)
    watched.start()
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.monotonic() - start
    watched.is_over.set()
    watched.join()
    taken = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "tree_bytes": watched.peak_bytes,
        "load_before": load,
        "load_after": os.getloadavg()[0],
    }
    out.write_text(json.dumps(taken))
    return int(taken["exit_code"])


class _Watched(threading.Thread):
    """Keeps the largest sum of memory (shared pages counted once) over a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak_bytes, self.is_over = pid, 0, threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, sum(_memory_bytes(pid) for pid in _family(self.pid)))


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    return [pid, *(below for child in _children(pid) for below in _family(child))]


def _children(pid: int) -> list[int]:
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []  # it is over
    return [int(child) for text in texts for child in text.split()]


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it is over
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    sys.exit(main())
