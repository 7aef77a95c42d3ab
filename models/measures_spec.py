"""What a manifest asks to be measured on an output: cells, areas, points, tiles, or the cells of an IHC mask."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.manifest_part import Name, Part


class CellsMeasure(Part):
    """Instances: connected components of one class of an output, grown back to their rim."""

    kind: Literal["cells"] = "cells"
    output: Name
    interior: str
    """The class whose 4-connected components are the cells."""
    grow_px: Annotated[int, Field(ge=0, le=32)] = 0
    """How far a component is dilated to give back the border class around it."""
    min_area_um2: Annotated[float, Field(ge=0)] = 0.0
    max_area_um2: Annotated[float, Field(gt=0)] = 1e4


class AreasMeasure(Part):
    """Area in mm2 of each class of an output over the analysed tissue."""

    kind: Literal["areas"] = "areas"
    output: Name
    positive: str | None = None
    """With `negative`: two classes whose areas are set against the tissue's and against each other."""
    negative: str | None = None
    field_mm2: Annotated[float, Field(ge=0.05, le=25)] = 0.25
    """The area of the square fields that the most positive area is looked for in."""
    fields: Annotated[int, Field(ge=1, le=20)] = 3
    """So many fields are told at most; they share no ground."""
    block_um: Annotated[float, Field(ge=50, le=5000)] = 500.0
    """The side of the blocks of tissue that are drawn again for the intervals."""
    heat_um: Annotated[float, Field(ge=50, le=5000)] = 128.0
    """The side of the window that the heat map shows the ratio in."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Of the draws for the intervals."""
    outlines_mm2: Annotated[float, Field(gt=0, le=1000)] | None = 0.01
    """Connected parts of a class from this area on are told as outlines; None where none are wanted."""

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if (self.positive is None) != (self.negative is None):
            raise ValueError("an areas measure names both a positive and a negative class, or neither")
        if self.positive is not None and self.positive == self.negative:
            raise ValueError(f"the class {self.positive} cannot be both positive and negative")
        return self


class PointsMeasure(Part):
    """Detections: components of a heat map above a threshold, one point each, strongest within `min_distance_um`."""

    kind: Literal["points"] = "points"
    output: Name
    component_threshold: Annotated[float, Field(gt=0, lt=1)]
    detection_threshold: Annotated[float, Field(gt=0, lt=1)]
    min_distance_um: Annotated[float, Field(ge=0)]
    label: str
    hotspot_mm2: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The area of the disc that the most detections are looked for in; None where no hotspot is wanted."""
    hotspots: Annotated[int, Field(ge=1, le=20)] = 3
    """So many hotspots are told at most, each of the detections that are in none before it."""
    theta1: Annotated[float, Field(ge=0)] | None = None
    """With `theta2`: grade 1 up to this proliferation score, the 95th percentile of counts in discs."""
    theta2: Annotated[float, Field(ge=0)] | None = None
    """Grade 2 up to this one, 3 above."""
    cascade_threshold: Annotated[float, Field(gt=0, le=1)] | None = 0.6
    """Of white: the middle of a dark disc that is worth the network's look is at most so bright (Tellez 2018).

    None where a cascade would miss what the package detects. It is only used where the caller asks for a cascade."""
    cascade_diameter_um: Annotated[float, Field(gt=0, le=200)] = 25.0
    """Of such a disc."""

    @model_validator(mode="after")
    def _can_grade(self) -> Self:
        if (self.theta1 is None) != (self.theta2 is None):
            raise ValueError("a grade needs both theta1 and theta2")
        if self.theta1 is not None and self.theta2 is not None:
            if self.hotspot_mm2 is None:
                raise ValueError("a grade needs hotspot_mm2: it is of counts in discs of that area")
            if self.theta1 > self.theta2:
                raise ValueError(f"theta1 ({self.theta1:g}) must not be above theta2 ({self.theta2:g})")
        return self


class TilesMeasure(Part):
    """The classes of whole tiles: how many there are of each, how probable, and where."""

    kind: Literal["tiles"] = "tiles"
    output: Name
    """Of a tile classifier: each pixel of the map is a tile."""
    label: str | None = None
    """What a heat map is the probability of; None of a class map, which has names of its own."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of a heat map: the probability from which on a tile is what `label` says."""


class IhcCellsMeasure(Part):
    """Positive and negative cells of a mask as DeepLIIF draws it, scored by its rules; see `workers.deepliif`."""

    kind: Literal["ihc-cells"] = "ihc-cells"
    output: Name
    """The mask: an image with red positive cells, blue negative ones and green boundaries."""
    marker: Name | None = None
    """The image that tells how strong the marker is in a cell."""
    resolution: Literal["10x", "20x", "40x"] = "40x"
    """How the map's pixels are called where DeepLIIF has other limits for other resolutions."""
    seg_threshold: Annotated[int, Field(ge=0, le=509)] = 120
    """Red + blue of a cell's pixel is above this."""
    green_threshold: Annotated[int, Field(ge=0, le=255)] = 80
    """Green of a cell's pixel is at most this."""
    size_px: Annotated[int, Field(ge=0, le=10**6)] | None = None
    """Cells of so many pixels of the map and fewer do not count; None: DeepLIIF's rule, over all that was analysed."""
    size_upper_px: Annotated[int, Field(ge=1, le=10**6)] | None = None
    """Cells of so many pixels and more do not count."""
    marker_threshold: Annotated[int, Field(ge=0, le=255)] | None = None
    """A cell whose marker is above this is positive; None: the marker decides nothing."""
    min_cells: Annotated[int, Field(ge=0, le=10**6)] = 50
    """With fewer cells there is no score."""
    field_cells: Annotated[int, Field(ge=10, le=10_000)] = 500
    """So many cells has the field that is looked for where the most are positive."""
    moderate_dab: Annotated[float, Field(ge=0, le=5)] = 0.4
    """A positive cell whose mean density of DAB (decadic) reaches this is 2+, below it is 1+."""
    strong_dab: Annotated[float, Field(ge=0, le=5)] = 0.6
    """A positive cell that reaches this is 3+."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.moderate_dab > self.strong_dab:
            raise ValueError(f"moderate_dab ({self.moderate_dab:g}) must not be above strong_dab ({self.strong_dab:g})")
        if self.marker_threshold is not None and self.marker is None:
            raise ValueError("marker_threshold needs a marker")
        return self


Measure = Annotated[
    CellsMeasure | AreasMeasure | PointsMeasure | TilesMeasure | IhcCellsMeasure, Field(discriminator="kind")
]
