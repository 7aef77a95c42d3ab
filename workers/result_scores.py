"""The scores of a result that have one form wherever they are: shares, intervals, fields, hotspots, grades, tiles."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from workers.result_part import Part


class IntervalPart(Part):
    """The ends of an interval."""

    low: float
    high: float


class IntervalsPart(Part):
    """How sure `d_pos`, `d_neg` and `r_pos` are: blocks of the tissue drawn again with replacement."""

    method: Literal["block bootstrap, percentile"] = "block bootstrap, percentile"
    level: float
    """The part of such intervals that hold the true value: 0.95."""
    block_um: float
    """The side of a block."""
    blocks: int
    """Those that hold any of the tissue."""
    draws: int
    seed: int
    d_pos: IntervalPart | None
    d_neg: IntervalPart | None
    r_pos: IntervalPart | None
    reason: str | None
    """Why one is missing; None where none is."""


class FieldPart(Part):
    """One of the square fields with the most positive area, the most first; they share no ground."""

    x_px: float
    y_px: float
    """The upper left corner in level-0 px."""
    side_px: float
    area_mm2: float
    tissue_mm2: float
    """Of the analysed tissue in it, which `d_pos` and `d_neg` are parts of."""
    positive_mm2: float
    negative_mm2: float
    d_pos: float
    d_neg: float
    r_pos: float


class RegionAreasPart(Part):
    """The areas of the classes of a map in a region: of its pixels whose centre lies inside."""

    class_mm2: dict[str, float]
    """Per class; their sum is the tissue that `d_pos` and `d_neg` are parts of."""
    d_pos: float | None = None
    d_neg: float | None = None
    r_pos: float | None = None
    intervals: IntervalsPart | None = None


class CellSharePart(Part):
    """Positive cells of those that count, with Wilson's 95 % interval; None where no cell counts."""

    num_total: int
    num_pos: int
    num_neg: int
    percent_pos: float | None
    low: float | None
    """Of the interval, in percent."""
    high: float | None


class IhcThresholdsPart(Part):
    """What decided which components of an IHC mask are cells, which count, and which are positive."""

    seg: int
    """Red + blue of a cell's pixel is above this."""
    green: int
    """Green of a cell's pixel is at most this."""
    resolution: Literal["10x", "20x", "40x"]
    noise_px: int
    """Components of this size and smaller are not looked at."""
    largest_side_px: int
    """Components that are wider or higher are no cells."""
    size_px: int
    """Cells of this size and smaller do not count."""
    size_source: Literal["found", "given"]
    """Found: by DeepLIIF's rule, from the sizes of all components."""
    size_upper_px: int | None
    marker: int | None
    moderate_dab: float
    strong_dab: float


class IhcComponentsPart(Part):
    """What became of the components of an IHC mask."""

    counted: int
    rejected: int
    """Above noise, but outside of the limits of size."""
    noise: int
    too_large: int
    """Wider or higher than the longest side of a cell: touching cells, which are told as one and are in no number."""
    too_large_part: float
    """Of the area of all components."""


class DabBandsPart(Part):
    """Cells by the density of DAB: negative ones, and weak, moderate and strong positive ones."""

    negative: int
    weak: int
    moderate: int
    strong: int
    h_score: float | None
    """Percent of weak, twice that of moderate and three times that of strong cells: 0 to 300."""


class CellFieldPart(Part):
    """A disc around a cell that reaches to its so many'th nearest neighbour."""

    x_px: float
    y_px: float
    """The centre in level-0 px."""
    radius_px: float
    area_mm2: float
    cells: CellSharePart


class CellFieldsPart(Part):
    """Fields of so many cells: that with the highest share of positive ones, and the densest; None with fewer cells."""

    field_cells: int
    hottest: CellFieldPart | None
    densest: CellFieldPart | None


class TileClassPart(Part):
    """The tiles of one class of a tile classifier."""

    name: str
    tiles: int
    share: float | None
    """Of all tiles; None where there are none."""
    mean_probability: float | None
    """Over all tiles, of stored steps of 1/255; None where the package does not keep it, or of what is no class of its
    own."""
    area_mm2: float
    """Of whole tiles, whatever part of them is tissue."""


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
    "cells": TypeAdapter(CellSharePart),
    "cell_fields": TypeAdapter(CellFieldsPart),
    "ihc_thresholds": TypeAdapter(IhcThresholdsPart),
    "ihc_components": TypeAdapter(IhcComponentsPart),
    "dab_bands": TypeAdapter(DabBandsPart | None),
    "hotspot": TypeAdapter(HotspotPart),
    "hotspots": TypeAdapter(tuple[DiscPart, ...]),
    "grade": TypeAdapter(GradePart),
    "intervals": TypeAdapter(IntervalsPart),
    "fields": TypeAdapter(tuple[FieldPart, ...]),
    "tile_classes": TypeAdapter(tuple[TileClassPart, ...]),
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


def flat_scores(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """(whole name, text) of each number of scores, for a person; of a list each by its place, from 1."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat_scores(inner, f"{name} {key}".strip())
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value, start=1):
            yield from flat_scores(inner, f"{name} {place}")
    elif isinstance(value, float):
        yield name, f"{value:.4g}"
    else:
        yield name, str(value)
