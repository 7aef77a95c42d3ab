"""Which runtime is the fastest for a network here: a short race, whose outcome this machine remembers.

Runtimes differ two- to fivefold from network to network and from processor to processor, so that no table could say it.
The outcome is kept, because a result depends on its provider: a run that goes on must not be raced anew.
"""

import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from models.errors import GoldenMismatchError, ProviderUnavailableError
from models.predictor import Predictor

FASTEST = "fastest"
TURNS = 3
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch")
Open = Callable[[str], Predictor]


def open_fastest(providers: Sequence[str], network: str, open_one: Open, remembered: Path | None = None) -> Predictor:
    """The network on the provider that answers first; one that is not installed or misses the golden tile is no choice.

    Parameters
    ----------
    network
        What the race is of: digest, shape and threads.
    open_one
        Loads the network on one provider, golden tile checked.
    remembered
        The file of earlier outcomes; `outcomes_path()` if None.

    Raises
    ------
    ProviderUnavailableError
        The network runs on none of them.
    """
    path = outcomes_path() if remembered is None else remembered
    key = _key(network, providers)
    known = _read(path).get(key, "")
    if known in providers:
        return open_one(known)
    seconds = {name: taken for name in providers if (taken := _race(name, open_one)) is not None}
    if not seconds:
        raise ProviderUnavailableError(
            f"The network runs on none of {', '.join(providers)} here.", "Install histoserve[worker-cpu]."
        )
    winner = min(seconds, key=lambda name: seconds[name])
    _remember(path, key, winner)
    return open_one(winner)


def outcomes_path() -> Path:
    """Where this machine keeps what it found: in the user's cache folder (`XDG_CACHE_HOME`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "histoserve" / "fastest.json"


def _race(name: str, open_one: Open) -> float | None:
    """Median seconds of a batch; None where the provider is no choice."""
    try:
        predictor = open_one(name)
    except (ProviderUnavailableError, GoldenMismatchError):
        return None
    try:
        spec = predictor.manifest.statistics
        given = None if spec is None else np.ones(spec.length, np.float32)
        batch = np.random.default_rng(0).integers(0, 256, predictor.batch_shape, dtype=np.uint8)
        taken = []
        for _ in range(1 + TURNS):
            start = time.perf_counter()
            predictor.predict(batch, given)
            taken.append(time.perf_counter() - start)
        # The first one plans its memory.
        return statistics.median(taken[1:])
    finally:
        predictor.close()


def _key(network: str, providers: Sequence[str]) -> str:
    """Another processor, another runtime or another network is another race."""
    parts = [network, *providers, platform.machine(), _processor(), str(os.cpu_count()), *map(_version, RUNTIMES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        # Nothing that can be read is nothing known: the race is run.
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _remember(path: Path, key: str, winner: str) -> None:
    """Keep the outcome; a folder that cannot be written to costs a race each time, and no run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(_read(path) | {key: winner}, file, indent=1)
        Path(file.name).replace(path)
    except OSError:
        return
