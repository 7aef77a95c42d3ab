"""The coarser levels of a map, each half of the one below it, made shard by shard.

Only shards that lie over something are made: a slide with little tissue costs little. A level's pixel is

* for images, heat and probabilities the mean of the 2 x 2 px below it, (a + b + c + d + 2) // 4;
* for class maps the majority of the 2 x 2 px below it; of two equally frequent ones, the one that comes first in
  reading order.

At an odd right or lower edge the last column or row counts twice.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box
from workers.outputs.maps import MapSpec, ShardRecord, present_shards, read_box, write_shard

Values = NDArray[np.uint8]


def build_pyramid(folder: Path, spec: MapSpec, check: Callable[[], None] = lambda: None) -> tuple[ShardRecord, ...]:
    """The records of all shards of level 1 and above, written from those of level 0.

    Memory is a shard and two chunk rows, whatever the size of the map.

    Parameters
    ----------
    check
        Called before each shard; may raise to stop.
    """
    records = []
    for level in range(1, spec.levels):
        for shard_x, shard_y in _shards_above(folder, spec, level):
            check()
            array = _reduce_shard(folder, spec, (shard_x, shard_y), level)
            record = write_shard(folder, spec, shard_x, shard_y, array, level=level)
            if record:
                records.append(record)
    return tuple(records)


def halve(values: Values, is_classes: bool) -> Values:
    """The next coarser level of (..., h, w), (..., ceil(h / 2), ceil(w / 2))."""
    whole = _even(values)
    corners = [whole[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]
    return _majority(*corners) if is_classes else _mean(*corners)


def _shards_above(folder: Path, spec: MapSpec, level: int) -> list[tuple[int, int]]:
    below = present_shards(folder, spec, level - 1)
    return sorted({(x // 2, y // 2) for x, y in below}, key=lambda shard: (shard[1], shard[0]))


def _reduce_shard(folder: Path, spec: MapSpec, shard: tuple[int, int], level: int) -> Values:
    box = spec.shard_box(*shard, level)
    width, height = spec.level_size(level - 1)
    out = np.full(spec.shape(box.width, box.height), spec.fill, dtype=np.uint8)
    for y in range(0, box.height, spec.chunk_px):
        top = 2 * (box.y + y)
        strip = Box(2 * box.x, top, min(2 * box.width, width - 2 * box.x), min(2 * spec.chunk_px, height - top))
        values = read_box(folder, spec, strip, level - 1)
        out[..., y : y + spec.chunk_px, :] = halve(values, spec.kind == "classes")
    return out


def _even(values: Values) -> Values:
    down, right = values.shape[-2] % 2, values.shape[-1] % 2
    if not (down or right):
        return values
    none = [(0, 0)] * (values.ndim - 2)
    return np.pad(values, [*none, (0, down), (0, right)], mode="edge")


def _mean(a: Values, b: Values, c: Values, d: Values) -> Values:
    total = a.astype(np.uint16)
    for corner in (b, c, d):
        total += corner
    total += 2
    total >>= 2
    return total.astype(np.uint8)


def _majority(a: Values, b: Values, c: Values, d: Values) -> Values:
    out, b, c, d = a.copy(), *(np.ascontiguousarray(corner) for corner in (b, c, d))
    is_first = out == b
    is_first |= out == c
    is_first |= out == d
    # Where the first one is alone, and that is rare: whichever of the others is there twice wins, else the first.
    alone = np.flatnonzero(~is_first)
    first, second, third, fourth = (corner.ravel()[alone] for corner in (out, b, c, d))
    others = np.where((second == third) | (second == fourth), second, np.where(third == fourth, third, first))
    out.ravel()[alone] = others
    return out
