"""Reading 512 px tiles with a halo in the order of the plan, against raw JPEG decoding and against the other readers."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import tifffile
import tiffslide

from benchmarks.machine import alternate, summary
from tests.making import halve, tissue
from workers.geometry import Box
from workers.slides import open_slide

MPP = 0.5
ENCODED_PX = 256
TILE_PX, HALO_PX, SHARD_PX = 512, 32, 2048
PERIOD_PX = 5120
FACTORS = (1, 4, 16)
SLOW_SHARDS = 4


def measure(folder: Path, side_px: int = 20_000) -> dict[str, Any]:
    """Net MPix/s (halo not counted) of each way to read the same slide, and our reader's ratios to them.

    Every run opens the slide anew. tiffslide and openslide read a stated number of shards from the slide's middle
    rows, our reader and the raw decoder all of it.
    """
    path = folder / f"reading-{side_px}.tif"
    if not path.exists():
        write_slide(path, side_px)
    few = _middle(shards(side_px), SLOW_SHARDS)
    encoded = _encoded_tiles(path)
    runs: dict[str, Callable[[], float]] = {
        "ours_1_thread": lambda: _ours(path, shards(side_px), 1),
        "ours_2_threads": lambda: _ours(path, shards(side_px), 2),
        "ours_1_thread_few_shards": lambda: _ours(path, few, 1),
        "raw_jpeg8_1_thread": lambda: _raw(encoded),
        "tiffslide": lambda: _tiffslide(path, few),
        "openslide": lambda: _openslide(path, few),
    }
    taken = alternate(runs, repeats=3)

    def ratio(ours: str, other: str) -> dict[str, float]:
        return summary([a / b for a, b in zip(taken[ours], taken[other], strict=True)])

    return {
        "side_px": side_px,
        "tile_px": TILE_PX,
        "halo_px": HALO_PX,
        "encoded_tile_px": ENCODED_PX,
        "mpix_per_s": {name: summary(values) for name, values in taken.items()},
        "slow_readers_shards": len(few),
        "ratio_to_raw_decode": ratio("ours_1_thread", "raw_jpeg8_1_thread"),
        "ratio_2_threads_to_raw_decode": ratio("ours_2_threads", "raw_jpeg8_1_thread"),
        "ratio_to_tiffslide": ratio("ours_1_thread_few_shards", "tiffslide"),
        "ratio_to_openslide": ratio("ours_1_thread_few_shards", "openslide"),
        "goals": {"ratio_to_raw_decode": 0.65, "ratio_to_tiffslide": 4.0, "ratio_to_openslide": 4.0},
    }


def write_slide(path: Path, side_px: int) -> None:
    """Write a square JPEG 4:2:0 q80 pyramid of a texture that repeats every 5120 px; memory does not grow with it."""
    texture = tissue(PERIOD_PX, PERIOD_PX, seed=1)
    part = path.with_suffix(".part")
    with tifffile.TiffWriter(part, bigtiff=True) as tif:
        for factor in FACTORS:
            tiles = _encode_tiles(texture if factor == 1 else halve(texture, factor))
            _write_level(tif, tiles, side_px // factor, factor)
    part.rename(path)


def _encode_tiles(texture: np.ndarray) -> list[list[bytes]]:
    """The texture as rows of encoded tiles; repeated until it holds whole tiles."""
    repeats = -(-ENCODED_PX // texture.shape[0])
    texture = np.tile(texture, (repeats, repeats, 1))
    starts = range(0, texture.shape[0] - ENCODED_PX + 1, ENCODED_PX)
    return [[_encode(texture[y : y + ENCODED_PX, x : x + ENCODED_PX]) for x in starts] for y in starts]


def _encode(tile: np.ndarray) -> bytes:
    return imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile), level=80, colorspace="RGB", outcolorspace="YCBCR", subsampling="420"
    )


def _write_level(tif: tifffile.TiffWriter, tiles: list[list[bytes]], side_px: int, factor: int) -> None:
    count = -(-side_px // ENCODED_PX)
    tif.write(
        (tiles[y % len(tiles)][x % len(tiles)] for y in range(count) for x in range(count)),
        shape=(side_px, side_px, 3),
        dtype=np.uint8,
        tile=(ENCODED_PX, ENCODED_PX),
        compression="jpeg",
        photometric="ycbcr",
        subsampling=(2, 2),
        resolution=(1e4 / (MPP * factor),) * 2,
        resolutionunit="CENTIMETER",
        subfiletype=0 if factor == 1 else 1,
        metadata=None,
        software=False,
    )


def shards(side_px: int) -> list[Box]:
    """The shards of a square slide, row by row, cut to whole tiles."""
    whole = Box(0, 0, side_px // TILE_PX * TILE_PX, side_px // TILE_PX * TILE_PX)
    starts = range(0, whole.width, SHARD_PX)
    return [Box(x, y, SHARD_PX, SHARD_PX).intersect(whole) for y in starts for x in starts]


def _middle(boxes: list[Box], count: int) -> list[Box]:
    start = max(0, (len(boxes) - count) // 2)
    return boxes[start : start + count]


def tiles_of(boxes: list[Box]) -> Iterator[Box]:
    """The tiles of the shards with their halo, row by row inside of each shard."""
    for shard in boxes:
        for y in range(shard.y, shard.bottom, TILE_PX):
            for x in range(shard.x, shard.right, TILE_PX):
                yield Box(x, y, TILE_PX, TILE_PX).grow(HALO_PX)


def _rate(boxes: list[Box], read: Callable[[Box], object]) -> float:
    start = time.perf_counter()
    for tile in tiles_of(boxes):
        read(tile)
    return sum(box.width * box.height for box in boxes) / 1e6 / (time.perf_counter() - start)


def _ours(path: Path, boxes: list[Box], threads: int) -> float:
    slide = open_slide(path)
    todo, lock = tiles_of(boxes), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                tile = next(todo, None)
            if tile is None:
                return
            slide.read(tile, MPP)

    start = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rate = sum(box.width * box.height for box in boxes) / 1e6 / (time.perf_counter() - start)
    slide.close()
    return rate


def _encoded_tiles(path: Path) -> list[bytes]:
    """Every encoded tile of the first level, read before the clock starts."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        handle = tif.filehandle
        encoded = []
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            handle.seek(offset)
            encoded.append(handle.read(count))
        return encoded


def _raw(encoded: list[bytes]) -> float:
    start = time.perf_counter()
    for tile in encoded:
        imagecodecs.jpeg8_decode(tile)
    return len(encoded) * ENCODED_PX**2 / 1e6 / (time.perf_counter() - start)


def _tiffslide(path: Path, boxes: list[Box]) -> float:
    with tiffslide.TiffSlide(path) as slide:
        return _rate(boxes, lambda t: slide.read_region((t.x, t.y), 0, (t.width, t.height), as_array=True))


def _openslide(path: Path, boxes: list[Box]) -> float:
    with openslide.OpenSlide(path) as slide:
        return _rate(boxes, lambda t: np.asarray(slide.read_region((t.x, t.y), 0, (t.width, t.height)))[..., :3])
