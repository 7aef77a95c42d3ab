"""What a run says in the end: `result.json`, one versioned schema for the command line and the service."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NOTICE = "Research use only. Not for diagnosis."


class Part(BaseModel):
    """A frozen piece of the result that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BoxPart(Part):
    """A rectangle in level-0 px."""

    x: int
    y: int
    width: int
    height: int


class SlidePart(Part):
    """The slide that was read."""

    sha256: str
    size_bytes: int
    format: str
    vendor: str
    width_px: int
    height_px: int
    mpp: float
    mpp_source: Literal["metadata", "objective-power", "override"]
    mpp_stated: float | None
    objective_power: float | None
    bounds: BoxPart
    has_icc: bool


class PackagePart(Part):
    """The model package that was run, and what ran it."""

    reference: str
    manifest_sha256: str
    network_sha256: str
    provider: str


class FramePart(Part):
    """The pixels the network saw, and where they lie on the slide."""

    mpp: float
    width_px: int
    height_px: int
    level0_per_px: float


class PlanPart(Part):
    """What was planned and what came of it; a result is only written when planned = done + failed and failed = 0."""

    tile_px: int
    halo_px: int
    shard_px: int
    bands: int
    tiles_planned: int
    tiles_done: int
    tiles_failed: int
    tissue_mm2: float


class FilePart(Part):
    """A file of the result."""

    path: str
    sha256: str
    size_bytes: int
    media_type: str


class FolderPart(Part):
    """A folder of many files (a Zarr group): one digest over the sorted `path sha256` lines of what it holds."""

    path: str
    sha256: str
    files: int
    size_bytes: int
    media_type: str


class RegionPart(Part):
    """A region of interest, and what was found in it."""

    name: str
    area_mm2: float
    """Of the polygons."""
    tissue_mm2: float
    """Of the analysed tissue in the polygons."""
    findings: dict[str, int]
    """Per measure that finds something: how many have their centroid in the region."""
    per_mm2: dict[str, float]
    """`findings` per mm2 of `tissue_mm2`."""


class WarningPart(Part):
    """Something the reader of the numbers should know."""

    slug: str
    text: str


class Result(Part):
    """`result.json`."""

    schema_version: Literal[1] = 1
    notice: str = NOTICE
    code_version: str
    slide: SlidePart
    package: PackagePart
    frame: FramePart
    plan: PlanPart
    quality: dict[str, Any]
    scores: dict[str, Any]
    """Over all that was analysed; where there are regions, whole squares of about 128 px that they touch."""
    regions: tuple[RegionPart, ...] = ()
    """In the order they were given; empty where the whole slide was looked at."""
    seam_scores: dict[str, float | None]
    """Per output: gradient across tile borders over gradient elsewhere; 1 means that tiles cannot show."""
    files: tuple[FilePart, ...]
    folders: tuple[FolderPart, ...]
    configuration: dict[str, Any]
    """Everything that could have been chosen, as it was in effect."""
    seconds: Annotated[dict[str, float], Field(description="Seconds per stage; stages run side by side.")]
    resumed: bool
    warnings: tuple[WarningPart, ...] = ()
