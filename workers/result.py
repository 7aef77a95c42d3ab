"""What a run says in the end: `result.json`, one versioned schema for the command line and the service."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

NOTICE = "Research use only. Not for diagnosis."
RESULT_NAME = "result.json"
STATE_FOLDER = "run"
"""Where a run on one machine keeps what it needs to go on."""


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


class HotspotPart(Part):
    """The disc that holds the most detections, and how many discs usually hold."""

    area_mm2: float
    """Of the disc, not of the tissue in it."""
    count: int
    x_px: float | None
    """The disc's centre in level-0 px; None where nothing was detected."""
    y_px: float | None
    radius_px: float
    percentile_95: float | None
    """Of the counts over positions on the tissue whose disc holds anything; None where none does."""
    step_um: float
    """So far apart are the positions."""


class DiscPart(Part):
    """One of the densest discs, the densest first."""

    count: int
    """Of the detections that are in no disc before this one."""
    x_px: float
    y_px: float
    radius_px: float


class GradePart(Part):
    """What the count says by the paper's rule, and the rule."""

    grade: Literal[1, 2, 3]
    """1 for a score of up to `theta1`, 2 for up to `theta2`, 3 above."""
    proliferation_score: float
    """The hotspot's 95th percentile; 0 where nothing was detected."""
    theta1: float
    theta2: float


TYPED_SCORES: dict[str, TypeAdapter[Any]] = {
    "hotspot": TypeAdapter(HotspotPart),
    "hotspots": TypeAdapter(tuple[DiscPart, ...]),
    "grade": TypeAdapter(GradePart),
}


def _scores_are_typed(scores: dict[str, Any]) -> dict[str, Any]:
    for name, kind in TYPED_SCORES.items():
        if name in scores:
            kind.validate_python(scores[name])
    return scores


class _Published:
    """Puts the forms of `TYPED_SCORES` into the JSON Schema."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "object",
            "properties": {name: handler(kind.core_schema) for name, kind in TYPED_SCORES.items()},
        }


MeasureScores = Annotated[dict[str, Any], AfterValidator(_scores_are_typed), _Published()]
"""The scores of one measure: what they are is the measure's; these are of one form wherever they are."""


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
    scores: dict[str, MeasureScores]
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
