"""One shard of a Zarr v3 array as bytes, and back: chunks through zstd, then their index, then the index's checksum.

We encode shards ourselves because the whole file is made at once from one array: no store, no event loop, no setting
shared by a process, several times the speed (see benchmarks/writing.py). The bytes depend on the array alone. What is
written here is read back by zarr-python in the tests.

References
----------
Zarr v3 sharding codec, https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

import os
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from models.errors import IntegrityError
from workers.geometry import Box

Values = NDArray[np.uint8]

ZSTD_LEVEL = 1
ABSENT = 2**64 - 1
"""Offset and length of a chunk that is all fill."""
CHECKSUM_BYTES = 4


def encode_shard(array: Values, shard_px: int, chunk_px: int, fill: int) -> bytes:
    """A shard's file; empty where every value is the fill.

    Parameters
    ----------
    array
        uint8, (..., h, w) with sides up to `shard_px`; the rest of the shard is fill.
    """
    side = shard_px // chunk_px
    index = np.full((side, side, 2), ABSENT, dtype="<u8")
    parts, offset = [], 0
    for row, column in np.ndindex(side, side):
        y, x = row * chunk_px, column * chunk_px
        chunk = array[..., y : y + chunk_px, x : x + chunk_px]
        if not (chunk != fill).any():
            continue
        part = imagecodecs.zstd_encode(_whole_chunk(chunk, chunk_px, fill), level=ZSTD_LEVEL)
        index[row, column] = offset, len(part)
        parts.append(part)
        offset += len(part)
    if not parts:
        return b""
    index_bytes = index.tobytes()
    return b"".join((*parts, index_bytes, google_crc32c.value(index_bytes).to_bytes(CHECKSUM_BYTES, "little")))


def _whole_chunk(chunk: Values, chunk_px: int, fill: int) -> bytes:
    if chunk.shape[-2:] == (chunk_px, chunk_px):
        return chunk.tobytes()
    whole = np.full((*chunk.shape[:-2], chunk_px, chunk_px), fill, dtype=np.uint8)
    whole[..., : chunk.shape[-2], : chunk.shape[-1]] = chunk
    return whole.tobytes()


def read_chunks(path: Path, shape: tuple[int, ...], shard_px: int, box: Box) -> Iterator[tuple[Box, Values]]:
    """The stored chunks that meet `box`, each with its place in the shard; nothing where the file does not exist.

    Parameters
    ----------
    shape
        Of a chunk, (..., chunk_px, chunk_px).
    box
        In px of the shard.

    Raises
    ------
    IntegrityError
        The file is no shard of this shape.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        index = _read_index(descriptor, shard_px // shape[-1], path)
        for place, (offset, length) in _wanted(index, shape[-1], box):
            yield place, _read_chunk(descriptor, int(offset), int(length), shape)
    finally:
        os.close(descriptor)


def _wanted(index: NDArray[np.uint64], chunk_px: int, box: Box) -> Iterator[tuple[Box, NDArray[np.uint64]]]:
    for row in range(box.y // chunk_px, -(-box.bottom // chunk_px)):
        for column in range(box.x // chunk_px, -(-box.right // chunk_px)):
            if index[row, column, 0] != ABSENT:
                yield Box(column * chunk_px, row * chunk_px, chunk_px, chunk_px), index[row, column]


def _read_index(descriptor: int, side: int, path: Path) -> NDArray[np.uint64]:
    length = side * side * 16 + CHECKSUM_BYTES
    start = os.fstat(descriptor).st_size - length
    tail = os.pread(descriptor, length, start) if start >= 0 else b""
    body, checksum = tail[:-CHECKSUM_BYTES], tail[-CHECKSUM_BYTES:]
    if len(tail) != length or google_crc32c.value(body).to_bytes(CHECKSUM_BYTES, "little") != checksum:
        raise IntegrityError(f"The shard {path.parent.name}/{path.name} of {path.parents[3].name} is damaged.")
    return np.frombuffer(body, dtype="<u8").reshape(side, side, 2)


def _read_chunk(descriptor: int, offset: int, length: int, shape: tuple[int, ...]) -> Values:
    data = os.pread(descriptor, length, offset)
    try:
        values = np.frombuffer(imagecodecs.zstd_decode(data), dtype=np.uint8)
        return values.reshape(shape)
    except (imagecodecs.ZstdError, ValueError) as error:
        raise IntegrityError(f"A chunk of {length} bytes at {offset} cannot be decoded: {error}") from error
