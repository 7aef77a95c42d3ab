"""Reading 512 px tiles with a halo in the order of the plan, against raw JPEG decoding and the other readers."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import imagecodecs
import numpy as np
import openslide
import tifffile
import tiffslide

from benchmarks.machine import alternate, summary
from tests.making import halve, tissue
from workers.geometry import Box
from workers.slides import Slide, open_slide

MPP = 0.5
ENCODED_PX = 256
TILE_PX, HALO_PX, SHARD_PX = 512, 32, 2048
PERIOD_PX = 5120
FACTORS = (1, 4, 16)
TURNS = 9


def measure(folder: Path, side_px: int = 20_000) -> dict[str, Any]:
    """Net MPix/s (halo not counted) of each way to read the same slide, and our reader's ratios to them.

    The slide is read in turns of one row of shards: each turn every reader reads the same row, in changing order, and
    ratios are taken within a turn, so that a drift of the machine hits all alike. Readers stay open from turn to turn;
    the raw decoder decodes each encoded tile once. At most nine turns.
    """
    path = folder / f"reading-{side_px}.tif"
    if not path.exists():
        write_slide(path, side_px)
    rows = shard_rows(side_px)[:TURNS]
    with tiffslide.TiffSlide(path) as tiff, openslide.OpenSlide(path) as other:
        one, two = open_slide(path), open_slide(path)
        readers = {
            "ours_1_thread": _each_row(rows, lambda row: _threads(one, row, 1)),
            "ours_2_threads": _each_row(rows, lambda row: _threads(two, row, 2)),
            "tiffslide": _each_row(rows, lambda row: _plain(lambda t: _tiffslide(tiff, t), row)),
            "openslide": _each_row(rows, lambda row: _plain(lambda t: _openslide(other, t), row)),
            "raw_jpeg8_1_thread": _each_row(_encoded_rows(path, len(rows)), _raw),
        }
        taken = alternate(readers, repeats=len(rows))
        one.close()
        two.close()

    def ratio(ours: str, theirs: str) -> dict[str, float]:
        return summary([a / b for a, b in zip(taken[ours], taken[theirs], strict=True)])

    return {
        "side_px": side_px,
        "tile_px": TILE_PX,
        "halo_px": HALO_PX,
        "encoded_tile_px": ENCODED_PX,
        "mpix_per_s": {name: summary(values) for name, values in taken.items()},
        "ratio_to_raw_decode": ratio("ours_1_thread", "raw_jpeg8_1_thread"),
        "ratio_2_threads_to_raw_decode": ratio("ours_2_threads", "raw_jpeg8_1_thread"),
        "ratio_to_tiffslide": ratio("ours_1_thread", "tiffslide"),
        "ratio_to_openslide": ratio("ours_1_thread", "openslide"),
        "goals": {"ratio_to_raw_decode": 0.65, "ratio_to_tiffslide": 4.0, "ratio_to_openslide": 4.0},
    }


T = TypeVar("T")


def _each_row(rows: Sequence[T], read: Callable[[T], float]) -> Callable[[], float]:
    """A run that reads the next row each time it is called."""
    left = iter(rows)
    return lambda: read(next(left))


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


def shard_rows(side_px: int) -> list[list[Box]]:
    """The rows of shards of a square slide, cut to whole tiles; the last, lower row is left out."""
    inside_px = side_px // TILE_PX * TILE_PX
    whole = Box(0, 0, inside_px, inside_px)
    starts = range(0, inside_px, SHARD_PX)
    rows = [[Box(x, y, SHARD_PX, SHARD_PX).intersect(whole) for x in starts] for y in starts]
    return rows[:-1] if inside_px % SHARD_PX and len(rows) > 1 else rows


def tiles_of(boxes: list[Box]) -> Iterator[Box]:
    """The tiles of the shards with their halo, row by row inside of each shard."""
    for shard in boxes:
        for y in range(shard.y, shard.bottom, TILE_PX):
            for x in range(shard.x, shard.right, TILE_PX):
                yield Box(x, y, TILE_PX, TILE_PX).grow(HALO_PX)


def _net_rate(boxes: list[Box], start: float) -> float:
    return sum(box.width * box.height for box in boxes) / 1e6 / (time.perf_counter() - start)


def _plain(read: Callable[[Box], object], boxes: list[Box]) -> float:
    start = time.perf_counter()
    for tile in tiles_of(boxes):
        read(tile)
    return _net_rate(boxes, start)


def _threads(slide: Slide, boxes: list[Box], threads: int) -> float:
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
    return _net_rate(boxes, start)


def _encoded_rows(path: Path, count: int) -> list[list[bytes]]:
    """The encoded tiles of the first level in `count` equal parts, read before the clock starts."""
    with tifffile.TiffFile(path) as tif:
        page, handle, encoded = tif.pages[0], tif.filehandle, []
        for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            handle.seek(offset)
            encoded.append(handle.read(length))
    size = len(encoded) // count
    return [encoded[i * size : (i + 1) * size] for i in range(count)]


def _raw(encoded: list[bytes]) -> float:
    start = time.perf_counter()
    for tile in encoded:
        imagecodecs.jpeg8_decode(tile)
    return len(encoded) * ENCODED_PX**2 / 1e6 / (time.perf_counter() - start)


def _tiffslide(slide: tiffslide.TiffSlide, tile: Box) -> np.ndarray:
    return slide.read_region((tile.x, tile.y), 0, (tile.width, tile.height), as_array=True)


def _openslide(slide: openslide.OpenSlide, tile: Box) -> np.ndarray:
    return np.asarray(slide.read_region((tile.x, tile.y), 0, (tile.width, tile.height)))[..., :3]
