"""Writing shards: MPix/s of class maps and RGB, by one process and two, beside plain files of the same bytes."""

import multiprocessing
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.machine import alternate, summary
from models.manifest import ClassSpec
from workers.geometry import Box, Frame
from workers.outputs.maps import MapKind, MapSpec, create_maps, fill_of, write_shard
from workers.outputs.shards import encode_shard

SHARD_PX, CHUNK_PX = 2048, 512
SHARDS = 8
REPEATS = 3


def measure(folder: Path) -> dict[str, Any]:
    """The figures, by kind of map; files are written below `folder` and removed."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        return {kind: _measure_kind(Path(work), kind) for kind in ("classes", "image")}


def _measure_kind(folder: Path, kind: MapKind) -> dict[str, Any]:
    spec, array = _spec(kind), _picture(kind)
    data = encode_shard(array, SHARD_PX, CHUNK_PX, spec.fill)
    megapixels = SHARDS * SHARD_PX**2 / 1e6
    taken = alternate(
        {
            "one_process": lambda: megapixels / _shards_s(folder, spec, array, processes=1),
            "two_processes": lambda: megapixels / _shards_s(folder, spec, array, processes=2),
            "encode_only": lambda: megapixels / _encode_s(spec, array),
            "plain_file": lambda: megapixels / _plain_s(folder, data),
        },
        REPEATS,
    )
    medians = {name: summary(values)["median"] for name, values in taken.items()}
    return {
        "mpix_per_s": {name: summary(values) for name, values in taken.items()},
        "bytes_per_px": len(data) / SHARD_PX**2,
        "one_process_over_plain_file": medians["one_process"] / medians["plain_file"],
        "two_processes_over_one": medians["two_processes"] / medians["one_process"],
    }


def _spec(kind: MapKind) -> MapSpec:
    classes = tuple(ClassSpec(name=str(i), colour=(i, i, i)) for i in range(3)) if kind == "classes" else ()
    channels = 3 if kind == "image" else 1
    side = SHARDS * SHARD_PX
    return MapSpec(kind, kind, channels, 1, side, SHARD_PX, SHARD_PX, CHUNK_PX, fill_of(kind), classes)


def _picture(kind: MapKind) -> NDArray[np.uint8]:
    """Something like nuclei with their rims, or like stained tissue with a camera's noise."""
    rng = np.random.default_rng(0)
    soft = ndimage.gaussian_filter(rng.random((SHARD_PX, SHARD_PX)), 5)
    inside = soft > np.quantile(soft, 0.8)
    classes = inside.astype(np.uint8) + 2 * (ndimage.binary_dilation(inside, iterations=2) & ~inside)
    if kind == "classes":
        return classes.astype(np.uint8)
    colours = np.array([[230, 170, 200], [90, 60, 130], [150, 100, 160]])[classes]
    noisy = ndimage.gaussian_filter(colours.astype(float), (1.5, 1.5, 0)) + rng.normal(0, 3, colours.shape)
    return np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8).transpose(2, 0, 1))


def _shards_s(folder: Path, spec: MapSpec, array: NDArray[np.uint8], processes: int) -> float:
    """Seconds from the first to the last shard; processes are started before and write shards of their own."""
    create_maps(folder, [spec], Frame(0.5, spec.width_px, spec.height_px, 0.25, Box(0, 0, 1, 1)))
    if processes == 1:
        start, end = _write_some(folder, spec, array, range(SHARDS))
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            parts = [(folder, spec, array, range(i, SHARDS, processes)) for i in range(processes)]
            spans = pool.starmap(_write_some, parts, chunksize=1)
        start, end = min(first for first, _ in spans), max(last for _, last in spans)
    shutil.rmtree(folder / spec.folder_name)
    return end - start


def _write_some(folder: Path, spec: MapSpec, array: NDArray[np.uint8], columns: range) -> tuple[float, float]:
    start = time.monotonic()
    for column in columns:
        write_shard(folder, spec, column, 0, array)
    return start, time.monotonic()


def _encode_s(spec: MapSpec, array: NDArray[np.uint8]) -> float:
    start = time.monotonic()
    for _ in range(SHARDS):
        encode_shard(array, SHARD_PX, CHUNK_PX, spec.fill)
    return time.monotonic() - start


def _plain_s(folder: Path, data: bytes) -> float:
    start = time.monotonic()
    for index in range(SHARDS):
        with (folder / f"plain-{index}").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    return time.monotonic() - start
