"""What a stored map is: its kind, its size, and how it is cut into files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from models.manifest import ClassSpec
from workers.geometry import Box

MapKind = Literal["classes", "image", "heat", "probabilities"]

NOT_ANALYSED = 255
"""The value of a class map where nothing was computed."""
CHUNK_PX = 512
"""A chunk's side is the largest divisor of the shard's side up to this."""
COARSEST_PX = 512
"""The pyramid ends with the first level whose longer side is not above this."""


@dataclass(frozen=True)
class MapSpec:
    """One map of a run: uint8, (height, width) for `classes` and `heat`, (channels, height, width) for the others."""

    name: str
    kind: MapKind
    channels: int
    stride_px: int
    """Frame px per map px."""
    width_px: int
    height_px: int
    """Map px."""
    shard_px: int
    chunk_px: int
    fill: int
    """The value where nothing was written."""
    classes: tuple[ClassSpec, ...] = ()
    virtual: str | None = None
    """What it shows without its having been measured; None where it shows what is on the slide."""

    def __post_init__(self) -> None:
        if self.shard_px % self.chunk_px:
            raise ValueError(
                f"map {self.name}: chunk {self.chunk_px} px does not divide the shard of {self.shard_px} px"
            )
        if self.channels != 1 and not self.is_planar:
            raise ValueError(f"map {self.name}: a {self.kind} map has one channel, not {self.channels}")

    @property
    def is_planar(self) -> bool:
        """True where the arrays have a leading channel axis."""
        return self.kind in ("image", "probabilities")

    @property
    def folder_name(self) -> str:
        """The name of the map's OME-Zarr group."""
        return f"{self.name}.ome.zarr"

    @property
    def levels(self) -> int:
        """Number of pyramid levels, level 0 included."""
        level = 0
        while max(self.level_size(level)) > COARSEST_PX:
            level += 1
        return level + 1

    def level_size(self, level: int) -> tuple[int, int]:
        """(width, height) of a level; each is half of the one below it, rounded up."""
        return -(-self.width_px // 2**level), -(-self.height_px // 2**level)

    def shape(self, width_px: int, height_px: int) -> tuple[int, ...]:
        """The shape of an array of this map."""
        return (self.channels, height_px, width_px) if self.is_planar else (height_px, width_px)

    def shards_of(self, box: Box) -> Iterator[tuple[int, int]]:
        """(column, row) of each shard that a box in map px meets, row by row."""
        if not box.is_empty:
            for y in range(box.y // self.shard_px, -(-box.bottom // self.shard_px)):
                for x in range(box.x // self.shard_px, -(-box.right // self.shard_px)):
                    yield x, y

    def shard_box(self, shard_x: int, shard_y: int, level: int = 0) -> Box:
        """The map px a shard holds, cut at the edge of the level."""
        side = self.shard_px
        return Box(shard_x * side, shard_y * side, side, side).intersect(Box(0, 0, *self.level_size(level)))


@dataclass(frozen=True)
class ShardRecord:
    """A shard that was written."""

    path: str
    """Relative to the folder of maps."""
    sha256: str
    size_bytes: int


def fill_of(kind: MapKind) -> int:
    """The fill of a kind: 255 for class maps (not analysed) and images (white), 0 for heat and probabilities."""
    return 255 if kind in ("classes", "image") else 0


def chunk_side(shard_px: int, limit_px: int = CHUNK_PX) -> int:
    """The largest divisor of `shard_px` that is not above `limit_px`."""
    return next(side for side in range(min(limit_px, shard_px), 0, -1) if shard_px % side == 0)
