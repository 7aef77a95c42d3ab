"""Peak memory of whole runs on slides of growing size: it must not grow with them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIDES_PX = (5000, 15000, 50000)


def measure(slides: dict[int, Path], package: str) -> dict[str, Any]:
    """Peak resident bytes and seconds of `histoserve run` for each slide, by side in px."""
    runs = {str(side): _run(path, package) for side, path in slides.items()}
    peaks = [run["peak_bytes"] for run in runs.values()]
    return {"package": package, "runs": runs, "largest_over_smallest": max(peaks) / min(peaks), "goal": 1.10}


def _run(slide: Path, package: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as out:
        command = [str(Path(sys.executable).with_name("histoserve")), "run", str(slide)]
        start = time.perf_counter()
        child = subprocess.Popen(
            [*command, "--package", package, "--out", out, "--json"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise RuntimeError(f"the run on {slide.name} ended with {child.returncode}")
        result = json.loads((Path(out) / "result.json").read_text())
    return {
        "peak_bytes": usage.ru_maxrss * 1024,
        "seconds": time.perf_counter() - start,
        "tissue_mm2": result["plan"]["tissue_mm2"],
        "tiles": result["plan"]["tiles_done"],
    }
