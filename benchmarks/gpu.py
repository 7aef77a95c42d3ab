"""What a GPU makes of the networks at paper size: tiles/s, part of its measured peak, duty, seconds per mm2.

    python -m benchmarks.gpu                      # on a machine with a CUDA GPU
    python -m benchmarks.gpu --device cpu --smoke # only that it runs

Needs this repository, torch and numpy, and nothing of it installed; pydantic for the virtual Ki-67 generator. Where
they are there, imagecodecs or Pillow (for the JPEG slide) and onnxruntime-gpu (for the packages of the zoo) are used
too; what is missing is told as left out.
Prints JSON; `--into FILE` also puts it into a report as its part `gpu`.
"""

import argparse
import json
import os
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_networks import Case, count_flops, paper_cases, smoke_cases
from benchmarks.gpu_slide import Feed, JpegSlide, copy_and_run, jpeg_slide, make_lanes, stream_slide
from benchmarks.gpu_timing import Run, Way, describe, prepared, products, timed, ways

BATCHES = (1, 4, 16)
PRODUCT_SIDE, SMOKE_SIDE = 8192, 128
TURNS, LEAST_S = 10, 1.0
STREAM_S = 6.0
"""About so long each stream runs."""
FEEDS = (Feed(8, 1, False), Feed(8, 1, True), Feed(8, 2, True), Feed(8, 3, True))


def main() -> None:
    """Measure, print, and put the part into a report where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny networks, few turns: whether it runs at all")
    parser.add_argument("--into", type=Path, help="a report.json to put the part into")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, "torch sees no CUDA device; --device cpu --smoke tries the benchmark itself.\n")
    part = measure(arguments.device, smoke=arguments.smoke)
    print(json.dumps(part, indent=2))
    if arguments.into is not None:
        report = json.loads(arguments.into.read_text()) if arguments.into.exists() else {}
        arguments.into.write_text(json.dumps(report | {"gpu": part}, indent=2) + "\n")


def measure(device: str, *, smoke: bool = False) -> dict[str, Any]:
    """The part `gpu` of the report."""
    told: dict[str, Any] = {"measured": datetime.now(UTC).isoformat(timespec="seconds"), "machine": describe(device)}
    told["machine"] |= {"cores": os.cpu_count(), "load_average": os.getloadavg()}
    peaks = products(device, SMOKE_SIDE if smoke else PRODUCT_SIDE, TURNS)
    slide = jpeg_slide()
    told |= {"smoke": smoke, "peak_tflops": peaks, "networks": {}}
    for case in smoke_cases() if smoke else paper_cases():
        sys.stderr.write(f"{case.name} ...\n")
        told["networks"][case.name] = _network(case, device, peaks, slide, smoke=smoke)
    told["onnxruntime"] = _onnxruntime(device)
    return told


def _network(case: Case, device: str, peaks: dict[str, Any], slide: JpegSlide | None, *, smoke: bool) -> dict[str, Any]:
    try:
        network = case.build().eval().requires_grad_(False).to(device)
    except ModuleNotFoundError as error:
        return {"left_out": f"{error.name} is not installed"}
    one = torch.full((1, case.read_px, case.read_px, 3), 200, dtype=torch.uint8, device=device)
    flops = count_flops(network, one)
    tried = [
        _one_way(case, network, way, batch, (flops, peaks, smoke))
        for way in ways(device)
        for batch in (BATCHES[:1] if smoke else BATCHES)
    ]
    best = max((t for t in tried if "tiles_per_s" in t), key=lambda t: t["tiles_per_s"], default=None)
    if best is None:
        return {"left_out": "no way to run it worked", "ways": tried}
    told = {
        "read_px": case.read_px,
        "kept_px": case.kept_px,
        "mpp": case.mpp,
        "gflop_per_tile": flops / 1e9,
        "tflop_per_mm2": flops / 1e12 / case.mm2,
        "ways": tried,
        "best": best,
    }
    way = next(w for w in ways(device) if w.name == best["way"])
    try:
        return told | _end_to_end(case, network, (way, best), slide, smoke=smoke)
    except torch.OutOfMemoryError as error:
        # One batch fits; one for each of several streams may not.
        return told | {"end_to_end_left_out": str(error).strip().splitlines()[0][:200]}


def _one_way(
    case: Case, network: torch.nn.Module, way: Way, batch: int, about: tuple[int, dict[str, Any], bool]
) -> dict[str, Any]:
    """One way with one batch, of tiles that lie on the device."""
    flops, peaks, smoke = about
    device = next(network.parameters()).device.type
    told: dict[str, Any] = {"way": way.name, "batch": batch}
    shape = (batch, case.read_px, case.read_px, 3)
    try:
        tiles = torch.randint(0, 255, shape, dtype=torch.uint8, device=device)
        run = prepared(network, way, tiles)
        seconds = timed(lambda: run(tiles), device, 2 if smoke else TURNS, 0.0 if smoke else LEAST_S)
    except RuntimeError as error:
        return told | {"left_out": str(error).strip().splitlines()[0][:200]}
    finally:
        _free(device)
    rate = batch / statistics.median(seconds)
    return told | {
        "tiles_per_s": rate,
        "tiles_per_s_min": batch / max(seconds),
        "tiles_per_s_max": batch / min(seconds),
        "tflops": rate * flops / 1e12,
        "fraction_of_peak": rate * flops / 1e12 / peaks[way.dtype]["median"],
        "s_per_mm2": 1 / rate / case.mm2,
    }


def _end_to_end(
    case: Case, network: torch.nn.Module, chosen: tuple[Way, dict[str, Any]], slide: JpegSlide | None, *, smoke: bool
) -> dict[str, Any]:
    """The best way, fed from the host's memory and from the slide; duty is the network's own time over all of it."""
    way, best = chosen
    device = next(network.parameters()).device.type
    shape = (best["batch"], case.read_px, case.read_px, 3)
    batches = 3 if smoke else max(8, round(STREAM_S * best["tiles_per_s"] / shape[0]))
    tiles = torch.full(shape, 200, dtype=torch.uint8, device=device)
    runs: list[Run] = [prepared(network, way, tiles) for _ in range(max(f.streams for f in FEEDS))]
    alone_s = batches * shape[0] / best["tiles_per_s"]
    told: dict[str, Any] = {"from_memory": [], "from_jpeg_slide": []}
    for feed in FEEDS[-1:] if smoke else FEEDS:
        about = {"readers": feed.readers, "streams": feed.streams, "pinned": feed.pinned}
        memory_s = copy_and_run(make_lanes(runs, shape, device, feed), batches)
        told["from_memory"].append(about | _rates(case, batches * shape[0], memory_s, alone_s))
        if slide is not None:
            slide_s = stream_slide(slide, make_lanes(runs, shape, device, feed), batches, feed.readers)
            told["from_jpeg_slide"].append(about | _rates(case, batches * shape[0], slide_s, alone_s))
    told["decoder"] = "none: imagecodecs or Pillow is needed" if slide is None else slide.decoder
    _free(device)
    return told


def _rates(case: Case, tiles: int, seconds: float, alone_s: float) -> dict[str, float]:
    return {"tiles_per_s": tiles / seconds, "duty": alone_s / seconds, "s_per_mm2": seconds / tiles / case.mm2}


def _free(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()


def _onnxruntime(device: str) -> dict[str, Any]:
    """Tiles/s of the zoo's packages on onnxruntime-gpu, their input and outputs bound to the device's memory."""
    try:
        from models.registry import list_packages
        from models.runtimes.onnx_runtime import import_onnxruntime

        ort = import_onnxruntime()
    except ModuleNotFoundError as error:
        return {"left_out": f"{error.name} is not installed"}
    if device == "cpu" or "CUDAExecutionProvider" not in ort.get_available_providers():
        return {"left_out": f"this onnxruntime has {', '.join(ort.get_available_providers())}"}
    from benchmarks.gpu_onnx import measure_package

    return {package.manifest.reference: measure_package(package) for package in list_packages()}


if __name__ == "__main__":
    main()
