"""What a manifest says of stain: how tiles are normalised, and how the training images were stained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.manifest_part import Part, Positive, PositiveTriple, Triple


class MacenkoStep(Part):
    """Macenko stain normalisation to a target (doi:10.1109/ISBI.2009.5193250), fitted once per slide."""

    kind: Literal["macenko"] = "macenko"
    stain_matrix: tuple[Triple, Triple]
    """Unit optical-density vectors of hematoxylin and eosin of the target."""
    max_concentrations: tuple[Positive, Positive]
    """99th percentiles of the target's concentrations."""


class ReinhardStep(Part):
    """Reinhard colour transfer in CIELAB (doi:10.1109/38.946629), fitted once per slide."""

    kind: Literal["reinhard"] = "reinhard"
    mean: Triple
    std: PositiveTriple


StainStep = Annotated[MacenkoStep | ReinhardStep, Field(discriminator="kind")]


ColourStatistic = Literal[
    "density_red",
    "density_green",
    "density_blue",
    "hematoxylin_hue",
    "eosin_hue",
    "hematoxylin_strength",
    "eosin_strength",
]


class SeenRange(Part):
    """From where to where a statistic of the training images' colours goes, somewhat widened."""

    low: float
    high: float

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"a range from {self.low} to {self.high} is the wrong way round")
        return self


class StainSeen(Part):
    """How the training images were stained: a slide that looks otherwise gets a warning (`models.seen`)."""

    images: Annotated[int, Field(ge=1)]
    """So many were looked at."""
    mpp: Annotated[float, Field(gt=0, le=100)]
    """At this resolution: small dark things fade in coarser pixels."""
    ranges: Annotated[dict[ColourStatistic, SeenRange], Field(min_length=1)]
