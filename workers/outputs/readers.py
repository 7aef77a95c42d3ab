"""Finished maps as the measures want them: block by block, nothing where no shard was written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box
from workers.measures.components import Block
from workers.outputs.maps import MapSpec, present_shards, read_box


@dataclass(frozen=True)
class Source:
    """A stored map, and which of its channels (None for a map without channels)."""

    spec: MapSpec
    channel: int | None = None


def read_source(folder: Path, source: Source, box: Box) -> NDArray[np.uint8]:
    """The values of a box, (h, w)."""
    values = read_box(folder, source.spec, box)
    return values if source.channel is None else values[source.channel]


def cells_reader(
    folder: Path, classes: Source, interior: int, heat: Source | None = None, votes: Source | None = None
) -> Callable[[Box], Block | None]:
    """What `stream_cells` reads: where the class is, and what the other maps of the same size say there."""
    is_stored = _stored(folder, classes.spec)

    def read(box: Box) -> Block | None:
        if not is_stored(box):
            return None
        inside = read_source(folder, classes, box) == interior
        if not inside.any():
            return None
        extra = (None if source is None else read_source(folder, source, box) for source in (heat, votes))
        return Block(inside, *extra)

    return read


def heat_reader(folder: Path, heat: Source) -> Callable[[Box], Block | None]:
    """What `find_points` reads."""
    is_stored = _stored(folder, heat.spec)

    def read(box: Box) -> Block | None:
        if not is_stored(box):
            return None
        values = read_source(folder, heat, box)
        return Block(values > 0, values)

    return read


def stored_values(folder: Path, source: Source) -> Iterator[NDArray[np.uint8]]:
    """The values of each stored shard, (h, w), row by row: what `measure_areas` sums over."""
    for shard in present_shards(folder, source.spec):
        yield read_source(folder, source, source.spec.shard_box(*shard))


def _stored(folder: Path, spec: MapSpec) -> Callable[[Box], bool]:
    """Tells whether any shard of a box has a file; the folder is listed once."""
    present = frozenset(present_shards(folder, spec))

    def is_stored(box: Box) -> bool:
        return not present.isdisjoint(spec.shards_of(box))

    return is_stored
