"""What a run says in the end: `result.json`, one versioned schema for the command line and the service."""

from typing import Annotated, Any, Literal

from pydantic import Field

from workers.result_part import Part
from workers.result_scores import CellSharePart, MeasureScores, RegionAreasPart, TileClassPart

NOTICE = "Research use only. Not for diagnosis."
RESULT_NAME = "result.json"
ANALYSED_NAME = "quality/analysed-cells.png"
"""One pixel per tissue cell: white where it was computed, grey where a cascade spared it."""
STATE_FOLDER = "run"
"""Where a run on one machine keeps what it needs to go on."""


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
    precision: str = "float32"
    """What floats were computed in: `float32`, or `bfloat16` of a package made for it."""


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
    """That was analysed: areas and densities are over it."""
    computed_mm2: float | None = None
    """Of it, what a cascade left the network to compute; None without one: all."""


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
    areas: dict[str, RegionAreasPart] = Field(default={})
    """Per measure of areas."""
    tiles: dict[str, tuple[TileClassPart, ...]] = Field(default={})
    """Per measure of tiles: of the tiles whose middle lies in the region."""
    cells: dict[str, CellSharePart] = Field(default={})
    """Per measure of positive and negative cells: those whose centre lies in the region."""


class VirtualPart(Part):
    """An output that shows what was not measured on the slide: a virtual stain."""

    output: str
    shows: str
    """What it pretends to be."""
    mark: str
    """As it is in every file and on every picture of it."""
    measures: tuple[str, ...]
    """The scores that are read from it: they are no more measured than it is."""


class WarningPart(Part):
    """Something the reader of the numbers should know."""

    slug: str
    text: str


class ReasonPart(Part):
    """Something that spoke against a number, with what was measured and what it was held against."""

    slug: str
    text: str
    value: float | str | None = None
    limit: float | str | None = None


class ForcedPart(Part):
    """A run that was made in spite of reasons not to."""

    by: str
    """Who wanted it: a user of the machine, or an API key."""
    reasons: Annotated[tuple[ReasonPart, ...], Field(min_length=1)]


class RescoredPart(Part):
    """The result whose maps and tables these scores were made from, without inference."""

    result_sha256: str
    """Of its `result.json`."""
    code_version: str
    """That made it."""


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
    scores: dict[str, MeasureScores]
    """Over all that was analysed; where there are regions, whole squares of about 128 px that they touch."""
    regions: tuple[RegionPart, ...] = ()
    """In the order they were given; empty where the whole slide was looked at."""
    seam_scores: dict[str, float | None]
    """Per output: gradient across tile borders over gradient elsewhere; 1 means that tiles cannot show."""
    virtual: tuple[VirtualPart, ...] = ()
    """What the package makes instead of measuring; empty for a package that does not."""
    files: tuple[FilePart, ...]
    folders: tuple[FolderPart, ...]
    configuration: dict[str, Any]
    """Everything that could have been chosen, as it was in effect."""
    seconds: Annotated[dict[str, float], Field(description="Seconds per stage; stages run side by side.")]
    resumed: bool
    forced: ForcedPart | None = None
    """Where the slide was scored in spite of reasons not to; None where none was found, however it was asked."""
    rescored: RescoredPart | None = None
    """Where these are new scores of an earlier result: slide, plan, quality and seams are that one's."""
    warnings: tuple[WarningPart, ...] = ()
