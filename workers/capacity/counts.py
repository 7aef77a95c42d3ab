"""How much work a plan holds, counted and not estimated: tiles, batches, bands, pixels, lips, shards of the pyramids.

Which tiles are empty, and need no network where a package says so, is not known before they are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workers.engine.keep import Target
from workers.engine.lips import Lips
from workers.engine.stream import pieces_of
from workers.outputs.maps import MapSpec
from workers.plan import Plan


@dataclass(frozen=True)
class Counts:
    """The work of a plan."""

    tiles: int
    """Once for each shard they keep something of."""
    band_batches: tuple[int, ...]
    """Batches of each band; none spans two. All bands by one process: what two shards share is computed once."""
    computed_px: int
    """Pixels of the frame that the network computes."""
    frame_px: int
    upper_shards: int
    """Shards of the pyramids' coarser levels, once for each channel."""
    apart_batches: tuple[int, ...]
    """Batches of each band where none before it was the process's own."""
    lips_bytes: int
    """Values that are held for shards to come, at the most."""

    @property
    def batches(self) -> int:
        """Over all bands."""
        return sum(self.band_batches)


def count_work(plan: Plan, targets: Sequence[Target], batch: int) -> Counts:
    """The work of a plan whose network takes `batch` tiles at once."""
    lips = Lips(plan)
    tiles, run = [0] * len(plan.bands), [0] * len(plan.bands)
    for piece in pieces_of(plan, plan.bands, lips):
        tiles[piece.band.index] += 1
        run[piece.band.index] += piece.is_run
    apart = run
    if lips.most_px:
        apart = [sum(piece.is_run for piece in pieces_of(plan, [band], Lips(plan))) for band in plan.bands]
    shards = {shard for band in plan.bands for shard in band.shards}
    return Counts(
        tiles=sum(tiles),
        band_batches=_batches(run, batch),
        computed_px=sum(band.tissue_px for band in plan.bands),
        frame_px=plan.frame.width_px * plan.frame.height_px,
        upper_shards=sum(target.spec.channels * count_upper_shards(target.spec, shards) for target in targets),
        apart_batches=_batches(apart, batch),
        lips_bytes=round(lips.most_px * sum(target.spec.channels / target.spec.stride_px**2 for target in targets)),
    )


def _batches(tiles: Sequence[int], batch: int) -> tuple[int, ...]:
    return tuple(-(-count // batch) for count in tiles)


def count_upper_shards(spec: MapSpec, shards: Iterable[tuple[int, int]]) -> int:
    """Shards of levels 1 and above that lie over some of level 0."""
    below, count = set(shards), 0
    for _ in range(1, spec.levels):
        below = {(x // 2, y // 2) for x, y in below}
        count += len(below)
    return count


def makespan(lengths: Sequence[float], workers: int) -> float:
    """When the last of `workers` is done, each taking the next of the lengths as soon as it is free."""
    free = [0.0] * workers
    for length in lengths:
        first = min(range(workers), key=free.__getitem__)
        free[first] += length
    return max(free)
