"""The store of computed maps: one OME-Zarr 0.5 group (Zarr v3, sharded, zstd) per map.

A shard is one file, written whole and once: two processes may write into one map as long as they never share a shard.
What was never written, or was all fill, has no file.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box, Frame
from workers.outputs.files import write_whole
from workers.outputs.ngff import array_metadata, group_metadata
from workers.outputs.shards import encode_shard, read_chunks
from workers.outputs.spec import MapKind, MapSpec, ShardRecord, chunk_side, fill_of

__all__ = [
    "MapKind",
    "MapSpec",
    "ShardRecord",
    "chunk_side",
    "create_maps",
    "fill_of",
    "present_shards",
    "read_box",
    "write_shard",
]


def create_maps(folder: Path, specs: Sequence[MapSpec], frame: Frame) -> tuple[Path, ...]:
    """The metadata files of the maps, written in `folder`; doing it twice changes nothing."""
    written = []
    for spec in specs:
        group = folder / spec.folder_name
        written.append(_write_json(group / "zarr.json", group_metadata(spec, frame)))
        for level in range(spec.levels):
            written.append(_write_json(group / str(level) / "zarr.json", array_metadata(spec, level)))
    return tuple(written)


def write_shard(
    folder: Path, spec: MapSpec, shard_x: int, shard_y: int, array: NDArray[np.uint8], *, level: int = 0
) -> ShardRecord | None:
    """The record of a shard written to the disk, durable when this returns; None where all of it is fill.

    Parameters
    ----------
    array
        uint8, (h, w) or (C, h, w) by the map's kind. It may be cut at the edge of the map or reach behind it; what lies
        outside of the map is dropped.

    Raises
    ------
    ValueError
        The array has another type or shape, or the shard lies outside of the map.
    """
    box = spec.shard_box(shard_x, shard_y, level)
    _check_array(spec, box, array)
    relative = f"{spec.folder_name}/{_shard_key(spec, shard_x, shard_y, level)}"
    data = encode_shard(array[..., : box.height, : box.width], spec.shard_px, spec.chunk_px, spec.fill)
    path = folder / relative
    if not data:
        path.unlink(missing_ok=True)
        return None
    write_whole(path, data)
    return ShardRecord(path=relative, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def read_box(folder: Path, spec: MapSpec, box: Box, level: int = 0) -> NDArray[np.uint8]:
    """The values of a box of a level, (h, w) or (C, h, w); fill where nothing was written and outside of the map."""
    out = np.full(spec.shape(box.width, box.height), spec.fill, dtype=np.uint8)
    inside = box.intersect(Box(0, 0, *spec.level_size(level)))
    shape = spec.shape(spec.chunk_px, spec.chunk_px)
    for shard_x, shard_y in spec.shards_of(inside):
        shard = Box(shard_x * spec.shard_px, shard_y * spec.shard_px, spec.shard_px, spec.shard_px)
        wanted = inside.intersect(shard).shift(-shard.x, -shard.y)
        path = folder / spec.folder_name / _shard_key(spec, shard_x, shard_y, level)
        for place, values in read_chunks(path, shape, spec.shard_px, wanted):
            part = place.intersect(wanted)
            there, here = part.shift(shard.x - box.x, shard.y - box.y), part.shift(-place.x, -place.y)
            out[..., there.y : there.bottom, there.x : there.right] = values[
                ..., here.y : here.bottom, here.x : here.right
            ]
    return out


def present_shards(folder: Path, spec: MapSpec, level: int = 0) -> tuple[tuple[int, int], ...]:
    """(column, row) of each shard of a level that has a file, row by row."""
    root = (folder / spec.folder_name / _shard_key(spec, 0, 0, level)).parent.parent
    files = (path for path in root.glob("*/*") if path.name.isdecimal())
    found = sorted((int(path.parent.name), int(path.name)) for path in files)
    return tuple((x, y) for y, x in found)


def _shard_key(spec: MapSpec, shard_x: int, shard_y: int, level: int) -> str:
    return f"{level}/c/0/{shard_y}/{shard_x}" if spec.is_planar else f"{level}/c/{shard_y}/{shard_x}"


def _check_array(spec: MapSpec, box: Box, array: NDArray[np.uint8]) -> None:
    if box.is_empty:
        raise ValueError(f"map {spec.name} has no such shard")
    height, width = array.shape[-2:]
    fits = box.height <= height <= spec.shard_px and box.width <= width <= spec.shard_px
    if array.dtype != np.uint8 or array.shape[:-2] != spec.shape(1, 1)[:-2] or not fits:
        raise ValueError(
            f"map {spec.name}: a shard of {spec.shape(box.width, box.height)} uint8 is wanted, "
            f"not {array.shape} {array.dtype}"
        )


def _write_json(path: Path, value: dict[str, object]) -> Path:
    data = json.dumps(value, indent=1).encode()
    if not path.exists() or path.read_bytes() != data:
        write_whole(path, data)
    return path
