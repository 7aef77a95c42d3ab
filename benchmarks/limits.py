"""What this machine can do at best, and which part of it each package reaches: multiplying, decoding, writing.

Each package's network and whole stream take turns with a matrix product on the same threads, so that a drift of the
machine hits all alike; fractions are taken within a turn.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import tifffile

from benchmarks import peaks, pipeline
from benchmarks.flops import flops_per_batch
from benchmarks.machine import summary
from benchmarks.slides import phantom_for
from models.manifest import Manifest
from models.registry import Package, list_packages
from workers.result import RESULT_NAME, Result

HISTOSERVE = str(Path(sys.executable).with_name("histoserve"))
DISK_BYTES, PIECE_BYTES = 128 << 20, 8 << 20
TURNS = 3
DECODE_TILES = 1000
MANY_FLOPS = 1e11
"""Of a batch: networks above it are measured on fewer tiles."""
PRODUCTS_PER_TURN = 8
TIERS = ("float32", "bfloat16", "int8")


def measure(folder: Path) -> dict[str, Any]:
    """Peaks, limits, and what each package of the zoo makes of them; slides are kept in `folder`."""
    found = peaks.measure(tuple(sorted({1, os.cpu_count() or 1})))
    told: dict[str, Any] = {"peaks_gflops": found}
    told["best_gflops"] = {count: _best(values) for count, values in found.items()}
    told["decode"] = _decode(phantom_for(folder, "he", 0.5))
    told["disk_write_mb_per_s"] = summary([_disk(folder) for _ in range(TURNS)])
    told["packages"] = {p.manifest.reference: _package(p, folder) for p in list_packages()}
    return told


def _best(works: dict[str, Any]) -> dict[str, float]:
    there = {name.rsplit(" ", 1)[1] for name in works}
    return {kind: peaks.best(works, (kind,)) for kind in TIERS if kind in there}


def _package(package: Package, folder: Path) -> dict[str, Any]:
    manifest = package.manifest
    slide = phantom_for(folder, manifest.stain, manifest.grid.mpp)
    network = package.path("network")
    if manifest.runtime != "onnx" or network is None:
        return {"left_out": "not ONNX: its operations are not counted"}
    flops = flops_per_batch(network, manifest)
    tiles = 8 if flops > MANY_FLOPS else 16
    product, product_flops = _product()
    told = pipeline.measure(slide, manifest.reference, tiles, TURNS, {"product": product})
    turns, batches = told.pop("turns"), told["batches"]
    rates = {name: [batches * flops / s / 1e9 for s in turns[name]] for name in ("alone", "stream")}
    peak = [product_flops / s / 1e9 for s in turns["product"]]
    grid = manifest.grid
    return {
        "gflop_per_tile": flops / grid.batch / 1e9,
        "tflop_per_mm2_of_full_tiles": flops / grid.batch / 1e12 / (grid.tile_px * grid.mpp / 1000) ** 2,
        "read_px_per_kept_px": (1 + 2 * grid.halo_px / grid.tile_px) ** 2,
        "provider": told["provider"],
        "network_gflops": summary(rates["alone"]),
        "stream_gflops": summary(rates["stream"]),
        "matrix_product_gflops": summary(peak),
        "network_fraction_of_peak": summary([a / b for a, b in zip(rates["alone"], peak, strict=True)]),
        "stream_fraction_of_peak": summary([a / b for a, b in zip(rates["stream"], peak, strict=True)]),
        "stream_over_network": told["efficiency"],
        "stream_over_network_processor_seconds": told["efficiency_of_processor_seconds"],
        "stream_stages_s": told["stage_seconds_last_run"],
        "whole_run": _whole_run(manifest, slide, flops / grid.batch),
    }


def _product() -> tuple[Callable[[], float], float]:
    """Seconds of a matrix product of float32 in ONNX Runtime on all cores, and the operations it takes."""
    work = peaks.onnx_work("float32", "product", os.cpu_count() or 1)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(PRODUCTS_PER_TURN):
            work()
        return time.perf_counter() - start

    return run, PRODUCTS_PER_TURN * 2.0 * peaks.SIDE**3


def _whole_run(manifest: Manifest, slide: Path, flops_per_tile: float) -> dict[str, Any]:
    """`histoserve run` from its first to its last second: the stages, and operations over tissue as it lies."""
    with tempfile.TemporaryDirectory() as out:
        command = [HISTOSERVE, "run", str(slide), "--package", manifest.reference, "--out", out, "--force"]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall_s = time.perf_counter() - start
        result = Result.model_validate_json((Path(out) / RESULT_NAME).read_bytes())
    flops = flops_per_tile * result.plan.tiles_done
    return {
        "tissue_mm2": result.plan.tissue_mm2,
        "tiles": result.plan.tiles_done,
        "tflop_per_mm2_of_tissue": flops / 1e12 / result.plan.tissue_mm2,
        "wall_s": wall_s,
        "s_per_mm2": wall_s / result.plan.tissue_mm2,
        "gflops_of_the_whole": flops / wall_s / 1e9,
        "stages_s": {"process start and end": wall_s - result.seconds["total"]} | result.seconds,
    }


def _decode(slide: Path) -> dict[str, Any]:
    """MPix/s at which one core decodes the slide's own JPEG tiles, and nothing else."""
    with tifffile.TiffFile(slide) as tif:
        page, encoded = tif.pages[0], []
        for offset, length in sorted(set(zip(page.dataoffsets, page.databytecounts, strict=True)))[:DECODE_TILES]:
            tif.filehandle.seek(offset)
            encoded.append(tif.filehandle.read(length))
        side = page.tilewidth
    rates = []
    for _ in range(TURNS):
        start = time.perf_counter()
        for tile in encoded:
            imagecodecs.jpeg8_decode(tile)
        rates.append(len(encoded) * side**2 / 1e6 / (time.perf_counter() - start))
    return {"one_core_mpix_per_s": summary(rates), "tile_px": side, "tiles": len(encoded)}


def _disk(folder: Path) -> float:
    """MB/s of one file, written in pieces and then brought to the disk."""
    path, piece = folder / "disk-limit", os.urandom(PIECE_BYTES)
    try:
        start = time.perf_counter()
        with path.open("wb") as file:
            for _ in range(DISK_BYTES // PIECE_BYTES):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return DISK_BYTES / 1e6 / (time.perf_counter() - start)
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
