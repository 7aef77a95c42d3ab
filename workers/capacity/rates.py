"""What a stage costs: something once, and something for each unit of its work; from two measured samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from workers.capacity.counts import Counts

Unit = Literal["batches", "computed_px", "upper_shards"]
STREAM = "stream"
UNITS: Mapping[str, Unit] = {STREAM: "batches", "pyramid": "upper_shards"}
"""Of the stages that do not go by the area that is computed."""
FIXED = frozenset({"pictures", "tell"})
"""Stages that draw the whole slide at one size, or tell what is known: the area is nothing to them."""


@dataclass(frozen=True)
class Sample:
    """A part of the slide that was really run, from its first tile to its result."""

    counts: Counts
    wall_s: Mapping[str, float]
    """By stage, of those that follow one another."""
    cpu_s: Mapping[str, float]
    """Processor seconds of the same."""
    result_bytes: int
    """Of all files but the pictures."""
    picture_bytes: int


class Line(BaseModel):
    """An amount that is `fixed` and `each` for every unit of work."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fixed: float
    each: float
    unit: Unit

    def at(self, counts: Counts) -> float:
        """The amount for so much work."""
        return self.fixed + self.each * units_of(counts, self.unit)


class Rates(BaseModel):
    """What the stages of one package cost on one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_s: dict[str, Line]
    """Processor seconds of a stage: other work on the machine blurs them least."""
    wall_per_cpu: dict[str, float]
    """Wall seconds for each of them, as things were when it was measured: below 1 where threads run side by side,
    above it where the stage waits, for the disk or for other work on the machine."""
    result_bytes: Line
    memory_bytes: int
    """That the samples took beyond what the process had before them, at the peak."""
    sampled_tiles: int
    frame_px: int
    """Of the slide they were measured on: what is fixed grows a little with it."""


def fit_rates(small: Sample, large: Sample, memory_bytes: int) -> Rates:
    """The rates that lead through two samples."""

    def line(name: str, few: float, many: float) -> Line:
        unit = UNITS.get(name, "computed_px")
        if name in FIXED:
            return Line(fixed=(few + many) / 2, each=0.0, unit=unit)
        return fit_line((units_of(small.counts, unit), few), (units_of(large.counts, unit), many), unit)

    names = [name for name in large.cpu_s if name in small.cpu_s]
    stored = line("bytes", small.result_bytes, large.result_bytes)
    return Rates(
        cpu_s={name: line(name, small.cpu_s[name], large.cpu_s[name]) for name in names},
        wall_per_cpu={name: _wall_per_cpu(name, small, large) for name in names},
        # Pictures have one size whatever the area; those of the larger sample show more.
        result_bytes=stored.model_copy(update={"fixed": stored.fixed + large.picture_bytes}),
        memory_bytes=memory_bytes,
        sampled_tiles=small.counts.tiles + large.counts.tiles,
        frame_px=large.counts.frame_px,
    )


def _wall_per_cpu(name: str, small: Sample, large: Sample) -> float:
    cpu_s = small.cpu_s[name] + large.cpu_s[name]
    return (small.wall_s[name] + large.wall_s[name]) / cpu_s if cpu_s > 0 else 1.0


def fit_line(few: tuple[int, float], many: tuple[int, float], unit: Unit) -> Line:
    """The line through two points (units, amount), neither of whose parts is negative.

    Where noise makes the larger sample the cheaper one, or the slope steeper than the larger point itself, all of the
    larger one is taken as fixed, or as proportional.
    """
    (units, amount), (more_units, more) = few, many
    if more_units <= units:
        return Line(fixed=0.0, each=more / more_units if more_units else 0.0, unit=unit)
    each = max(0.0, (more - amount) / (more_units - units))
    fixed = more - each * more_units
    if fixed < 0:
        return Line(fixed=0.0, each=more / more_units, unit=unit)
    return Line(fixed=fixed, each=each, unit=unit)


def units_of(counts: Counts, unit: Unit) -> int:
    """How many units of a kind some work has."""
    return {
        "batches": counts.batches,
        "computed_px": counts.computed_px,
        "upper_shards": counts.upper_shards,
    }[unit]
