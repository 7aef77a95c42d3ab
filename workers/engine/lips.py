"""Tiles that reach over the border of shards: the network sees them once, and what later shards keep of them is held.

What a tile leaves to a later shard is a *lip*: a strip as wide as the tile reaches over the border. The reader's side
decides which lips are held and which tiles need not be computed again, `Lips.mark`; the keeper holds their values. Both
let go of what only earlier bands would have taken, `drop_before`, so that a band that others compute costs no memory
for long. A lip that is not held, because there is no room, or because another process or an earlier start had the
tile, is computed with the tile again: the same values, as a tile's answer does not depend on what else is in its batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.plan import Band, Plan, Tile

LIPS_PX = 4 << 20
"""Pixels of the frame that are held at most, for all maps: less than half of the shard that is being filled where tiles
are clamped, enough for the lower border of a slide of 130,000 px."""

Shard = tuple[int, int]


@dataclass(frozen=True)
class Lip:
    """What one shard keeps of a tile that was computed for another."""

    band: int
    shard: Shard
    tile: Tile
    """As that shard has it."""


class Lips:
    """Which lips are held when a tile's turn comes; tiles are told in the order in which they come to the keeper."""

    def __init__(self, plan: Plan, limit_px: int = LIPS_PX) -> None:
        self._plan = plan
        self._limit_px = limit_px
        self._bands = {shard: band.index for band in plan.bands for shard in band.shards}
        self._sizes_px: dict[Lip, int] = {}
        self.most_px = 0
        """That were held at a time."""

    def mark(self, band: Band, shard: Shard, tile: Tile) -> tuple[bool, tuple[Lip, ...]]:
        """Whether the tile's values are held from before, and the lips to hold where it has to be computed."""
        drop_before(self._sizes_px, band.index)
        if self._plan.shard_box(*shard).contains(tile.whole):
            return False, ()
        if self._sizes_px.pop(Lip(band.index, shard, tile), None) is not None:
            return True, ()
        return False, tuple(self._hold(shard, tile))

    def _hold(self, shard: Shard, tile: Tile) -> Iterator[Lip]:
        """Lips for the shards that come after this one, as far as there is room."""
        parts = list(self._plan.tile_parts(tile))
        room_px = self._limit_px - sum(self._sizes_px.values())
        for other, part in parts[1 + [place for place, _ in parts].index(shard) :]:
            lip, size_px = Lip(self._bands[other], other, part), part.keep.width * part.keep.height
            if lip not in self._sizes_px and size_px <= room_px:
                self._sizes_px[lip] = size_px
                room_px -= size_px
                yield lip
        self.most_px = max(self.most_px, self._limit_px - room_px)


def drop_before(held: dict[Lip, Any], band: int) -> None:
    """Let go of lips that bands before this one would have taken."""
    for lip in [lip for lip in held if lip.band < band]:
        del held[lip]
