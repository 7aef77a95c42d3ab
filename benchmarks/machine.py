"""What a figure was measured on, and how noisy it was."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "imagecodecs", "tiffslide", "openslide-python", "zarr", "onnxruntime", "openvino", "tifffile")


def describe() -> dict[str, Any]:
    """Processor, cores, load and the versions that matter."""
    models = {line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")}
    return {
        "processor": ", ".join(sorted(models)) or platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def alternate(runs: dict[str, Callable[[], float]], repeats: int = 3) -> dict[str, list[float]]:
    """Each run's figures, taken in turns and in changing order, so that a drift of the machine hits all alike."""
    names, taken = list(runs), {name: [] for name in runs}
    for turn in range(repeats):
        for name in names if turn % 2 == 0 else reversed(names):
            taken[name].append(runs[name]())
    return taken


def summary(values: list[float]) -> dict[str, float]:
    """Median and spread of repeated figures."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def seconds_of(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
