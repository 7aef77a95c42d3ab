"""What a manifest asks to be measured on an output: cells, areas or points."""

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


Measure = Annotated[CellsMeasure | AreasMeasure | PointsMeasure, Field(discriminator="kind")]
