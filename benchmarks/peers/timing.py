"""What whole processes take: wall seconds, processor seconds, memory; each side in turns with the other."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import summary

INSIDE = Path(__file__).parent / "inside"
THREADS = 2
TAIL_CHARS = 2000
FIGURES = ("wall_s", "cpu_s", "peak_bytes", "tree_bytes")


@dataclass(frozen=True)
class Usage:
    """One process from start to end, with all it started."""

    wall_s: float
    cpu_s: float
    """User and system, of all its processes."""
    peak_bytes: int
    """Resident, of its largest process."""
    tree_bytes: int
    """Of all its processes together, shared pages once; sampled, so a little low."""
    load_before: float
    load_after: float


class ChildFailedError(Exception):
    """A command that was to be timed ended with an error; the text is the end of what it said."""


Run = Callable[[], Usage]


def run_child(command: Sequence[str | Path], limit_s: float = 1800) -> Usage:
    """What the command took, with two threads for whatever it starts.

    Raises
    ------
    ChildFailedError
        It ended with another code than 0, or took longer than `limit_s`.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "usage.json"
        whole = [sys.executable, "-I", "-S", str(INSIDE / "watch.py"), str(out), *map(str, command)]
        try:
            done = subprocess.run(
                whole, capture_output=True, text=True, timeout=limit_s, env=_environment(), check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ChildFailedError(f"not over after {limit_s:.0f} s") from error
        if done.returncode:
            raise ChildFailedError((done.stdout + done.stderr)[-TAIL_CHARS:].replace(f"{Path.cwd()}/", ""))
        taken = json.loads(out.read_text())
    taken.pop("exit_code")
    return Usage(**taken)


def run_fresh(out: Path, command: Sequence[str | Path]) -> Usage:
    """As `run_child`, with the folder it writes to gone before."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    return run_child(command)


def in_turns(runs: Mapping[str, Run], repeats: int) -> dict[str, list[Usage]]:
    """Each run's figures, taken in turns and in changing order, so that a drift of the machine hits all alike."""
    taken: dict[str, list[Usage]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name in list(runs) if turn % 2 == 0 else list(reversed(runs)):
            usage = runs[name]()
            taken[name].append(usage)
            sys.stderr.write(f"  {name}, {turn + 1} of {repeats}: {usage}\n")
    return taken


def figures(taken: Mapping[str, Sequence[Usage]]) -> dict[str, Any]:
    """Median and spread of every figure of every run, and the load of the machine meanwhile."""
    return {
        name: {figure: summary([asdict(usage)[figure] for usage in usages]) for figure in FIGURES}
        | {"load_average": summary([load for usage in usages for load in (usage.load_before, usage.load_after)])}
        for name, usages in taken.items()
    }


def ratios(taken: Mapping[str, Sequence[Usage]], theirs: str, ours: str) -> dict[str, Any]:
    """How many times more the peer takes than we do, turn by turn."""
    pairs = list(zip(taken[theirs], taken[ours], strict=True))
    return {
        figure: summary([asdict(peer)[figure] / max(asdict(own)[figure], 1e-9) for peer, own in pairs])
        for figure in FIGURES
    }


def compared(taken: Mapping[str, Sequence[Usage]], pairs: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The figures, and the ratios of each named pair of (theirs, ours)."""
    return {
        "runs": figures(taken),
        "ratios": {
            name: {"theirs": theirs, "ours": ours} | ratios(taken, theirs, ours)
            for name, (theirs, ours) in pairs.items()
        },
    }


def histoserve(*arguments: str | Path) -> list[str]:
    """Our command line, of the environment this runs in."""
    return [str(Path(sys.executable).with_name("histoserve")), *map(str, arguments)]


def _environment() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    # Threads that wait sleep: on a machine with other work a spinning one would be billed for waiting.
    quiet = {"OMP_WAIT_POLICY": "passive", "ORT_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    return dict(os.environ) | dict.fromkeys(names, str(THREADS)) | quiet
