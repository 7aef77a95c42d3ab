"""Ways to run a network on a device, and how fast each is."""

import contextlib
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[[Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Way:
    """How a network is run."""

    dtype: str
    """`float32`, `tf32`, `float16`, `bfloat16`."""
    channels_last: bool = False
    script: bool = False
    """Traced, frozen and optimised as TorchScript."""
    graph: bool = False
    """Replayed as a CUDA graph."""

    @property
    def name(self) -> str:
        """As it stands in the report."""
        options = ("channels_last", self.channels_last), ("script", self.script), ("graph", self.graph)
        return " ".join([self.dtype, *(name for name, is_on in options if is_on)])


def ways(device: str) -> tuple[Way, ...]:
    """What is tried on a device: one option more each time."""
    if device == "cpu":
        return Way("float32"), Way("float32", True), Way("float32", True, True), Way("bfloat16", True)
    plain = tuple(Way(dtype) for dtype in ("float32", "tf32", "bfloat16", "float16"))
    return (
        *plain,
        Way("tf32", True),
        Way("float16", True),
        Way("float16", True, True),
        Way("float16", True, graph=True),
        Way("bfloat16", True, graph=True),
    )


def products(device: str, side: int, turns: int) -> dict[str, dict[str, float]]:
    """TFLOP/s of a square matrix product, by type: the device's peak as it can be had."""
    found = {}
    for dtype in ("float32", "bfloat16") if device == "cpu" else ("float32", "tf32", "bfloat16", "float16"):
        kind = torch.float32 if dtype in ("float32", "tf32") else getattr(torch, dtype)
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        with precision(dtype):
            seconds = timed(lambda a=a, b=b: a @ b, device, turns)
        rates = [2 * side**3 / s / 1e12 for s in seconds]
        found[dtype] = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}
    return found


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """TF32 where it is asked for, and nowhere else; the fastest algorithm for one shape."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[:2]
        torch.backends.cudnn.benchmark = before[2]


def prepared(network: nn.Module, way: Way, tiles: Tensor) -> Run:
    """A function that runs the network this way, on tiles of this shape, warmed up.

    Raises
    ------
    RuntimeError
        The device cannot: too little memory, or an operation that cannot be captured.
    """
    run = _in_precision(_scripted(network, way, tiles) if way.script else _module(network, way), way, tiles.device.type)
    for _ in range(2):
        run(tiles)
    return _graphed(run, tiles) if way.graph else run


def timed(work: Callable[[], object], device: str, turns: int, least_s: float = 0.0) -> list[float]:
    """Seconds of single calls; each is waited for. At least `turns`, and more until `least_s` are over."""
    work()
    settle(device)
    seconds: list[float] = []
    while len(seconds) < turns or sum(seconds) < least_s:
        start = time.perf_counter()
        work()
        settle(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def settle(device: str) -> None:
    """Wait until the device has done all it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def describe(device: str) -> dict[str, Any]:
    """What it was measured on."""
    told: dict[str, Any] = {"torch": torch.__version__, "device": device, "threads": torch.get_num_threads()}
    if device.startswith("cuda"):
        about = torch.cuda.get_device_properties(0)
        told |= {"name": about.name, "memory_bytes": about.total_memory, "cuda": torch.version.cuda}
        told["cudnn"] = torch.backends.cudnn.version()
    return told


def _module(network: nn.Module, way: Way) -> nn.Module:
    return network.to(memory_format=torch.channels_last if way.channels_last else torch.contiguous_format)


def _scripted(network: nn.Module, way: Way, tiles: Tensor) -> nn.Module:
    with warnings.catch_warnings(), _autocast(way, tiles.device.type), torch.inference_mode():
        # torch deprecates TorchScript itself, and tracing warns of every branch it takes for good.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_module(network, way), tiles, check_trace=False)
        scripted: nn.Module = torch.jit.freeze(traced.eval())
    return scripted


def _in_precision(network: nn.Module, way: Way, device: str) -> Run:
    def run(tiles: Tensor) -> tuple[Tensor, ...]:
        # A trace holds its casts already.
        cast = contextlib.nullcontext() if way.script else _autocast(way, device)
        with torch.inference_mode(), precision(way.dtype), cast:
            made: tuple[Tensor, ...] = network(tiles)
        return made

    return run


def _autocast(way: Way, device: str) -> Any:
    if way.dtype in ("float32", "tf32"):
        return contextlib.nullcontext()
    # Cached casts of weights would be neither in a trace nor in a graph.
    is_kept = not (way.graph or way.script)
    return torch.autocast(device, dtype=getattr(torch, way.dtype), cache_enabled=is_kept)


def _graphed(run: Run, tiles: Tensor) -> Run:
    """The same work replayed: one call to the driver in place of hundreds."""
    fixed = tiles.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(fixed)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run(fixed)

    def replay(batch: Tensor) -> tuple[Tensor, ...]:
        fixed.copy_(batch)
        graph.replay()
        return made

    return replay
