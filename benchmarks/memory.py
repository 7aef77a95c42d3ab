"""Peak memory of whole runs on slides of growing size: it must not grow with them."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIDES_PX = (5000, 15000, 50000)
RUNNER = """
import resource, subprocess, sys
quiet = subprocess.DEVNULL
subprocess.run(sys.argv[1:], stdout=quiet, stderr=quiet, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process starts the run: a child's peak begins with the memory of the process it was forked from."""


def measure(slides: dict[int, Path], package: str) -> dict[str, Any]:
    """Peak resident bytes and seconds of `histoserve run` for each slide, by side in px."""
    runs = {str(side): _run(path, package) for side, path in slides.items()}
    peaks = [run["peak_bytes"] for run in runs.values()]
    return {"package": package, "runs": runs, "largest_over_smallest": max(peaks) / min(peaks), "goal": 1.10}


def _run(slide: Path, package: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as out:
        command = [str(Path(sys.executable).with_name("histoserve")), "run", str(slide)]
        command += ["--package", package, "--out", out, "--json"]
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", RUNNER, *command], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        result = json.loads((Path(out) / "result.json").read_text())
    return {
        "peak_bytes": int(done.stdout) * 1024,
        "seconds": seconds,
        "tissue_mm2": result["plan"]["tissue_mm2"],
        "tiles": result["plan"]["tiles_done"],
    }
