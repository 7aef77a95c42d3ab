"""What is fitted once per slide, before the first tile: stain normalisation and frozen normalisation statistics.

The sample is tissue cells at even steps through the slide in reading order: it depends on the slide and the package's
grid alone, never on tiles, workers or time, so that a resumed run fits the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import StatisticsSpec
from models.predictor import Predictor, Statistics
from models.seen import describe_stain
from models.stain import FittedStain, fit_stain
from models.stain_spec import ColourStatistic
from workers.geometry import Box, round_down
from workers.plan import Plan
from workers.slides.slide import RGB, Slide

STAIN_SAMPLE_CELLS = 48


def sample_boxes(plan: Plan, count: int, side_px: int) -> tuple[Box, ...]:
    """Up to `count` squares of `side_px` around tissue cells, on the stride grid, at even steps in reading order."""
    rows, columns = np.nonzero(plan.tissue)
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    cell, align = plan.grid.cell_px, plan.grid.align_px
    offset = (cell - side_px) // 2
    return tuple(
        Box(
            round_down(int(columns[i]) * cell + offset, align),
            round_down(int(rows[i]) * cell + offset, align),
            side_px,
            side_px,
        )
        for i in chosen
    )


def sample_tissue(slide: Slide, plan: Plan) -> RGB:
    """RGB pixels of sampled tissue cells, uint8 (N, cell_px, cell_px, 3)."""
    boxes = sample_boxes(plan, STAIN_SAMPLE_CELLS, plan.grid.cell_px)
    return np.stack([slide.read(box, plan.frame.mpp) for box in boxes])


@dataclass(frozen=True, eq=False)
class Fitted:
    """The numbers of one slide that its tiles are computed with."""

    stain: FittedStain
    statistics: Statistics | None
    colours: dict[ColourStatistic, float] | None = None
    """How the slide is stained, as scanned; None where the package does not say what it has seen."""


def fit_slide(slide: Slide, plan: Plan, predictor: Predictor) -> Fitted:
    """What the package asks to be fitted, the stain first: statistics are those of normalised tiles."""
    manifest = predictor.manifest
    steps = manifest.input.stain
    sample = sample_tissue(slide, plan) if steps or manifest.seen else None
    stain = FittedStain() if sample is None else fit_stain(steps, sample)
    colours = None if sample is None or manifest.seen is None else describe_stain(sample)
    if manifest.statistics is None:
        return Fitted(stain, None, colours)
    return Fitted(stain, fit_statistics(slide, plan, predictor, manifest.statistics, stain.apply), colours)


def fit_statistics(
    slide: Slide, plan: Plan, predictor: Predictor, spec: StatisticsSpec, prepare: Callable[[RGB], RGB]
) -> Statistics:
    """Normalisation statistics of the slide, from one consistent pass over sampled tissue, prepared as tiles are.

    A slide with fewer tissue cells than the sample asks for repeats them, so that the calibrator sees its one shape.
    """
    boxes = sample_boxes(plan, spec.sample_tiles, spec.sample_px)
    order = np.arange(spec.sample_tiles) % len(boxes)
    tiles: NDArray[np.uint8] = np.stack([prepare(slide.read(boxes[i], plan.frame.mpp)) for i in order])
    return predictor.calibrate(tiles)
