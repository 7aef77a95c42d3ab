"""A command run as a process of its own: its answer, its seconds on the wall and of processors, its peak memory."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HISTOSERVE = str(Path(sys.executable).with_name("histoserve"))
RUNNER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "wb"), stderr=subprocess.PIPE)
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
told = {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}
print(json.dumps(told | {"code": done.returncode, "error": done.stderr.decode()[-500:]}))
"""
"""A small process starts the command: a child's peak begins with the memory of the process it was forked from."""


@dataclass(frozen=True)
class Done:
    """A command that ended well."""

    answer: dict[str, Any]
    """The JSON document it wrote."""
    wall_s: float
    cpu_s: float
    peak_bytes: int


def ask(folder: Path, *arguments: str) -> Done:
    """`histoserve` with these arguments and `--json`."""
    path = folder / "answer.json"
    command = [sys.executable, "-c", RUNNER, str(path), HISTOSERVE, *arguments, "--json"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if told["code"]:
        raise RuntimeError(f"histoserve {arguments[0]} ended with {told['code']}: {told['error']}")
    return Done(json.loads(path.read_bytes()), told["wall_s"], told["cpu_s"], told["peak_bytes"])
