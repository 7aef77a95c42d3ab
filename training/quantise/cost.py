"""What a network loses in other numbers: its answers beside those of the one it was made of, on held-out tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.manifest import Metric, OutputSpec
from models.postprocess import class_map, image_bytes, probability_bytes
from models.predictor import Maps, Predictor
from training.metrics.intervals import bootstrap
from training.quantise.sample import SlideTiles


@dataclass(frozen=True)
class Difference:
    """How far two answers to one tile are apart in one measure."""

    name: str
    value: float


def measure_cost(
    whole: Predictor, reduced: Predictor, slides: Sequence[SlideTiles], data: str, compared: str
) -> tuple[Metric, ...]:
    """The mean of each measure over tiles, with an interval from drawing the tiles again (seed 0).

    Tiles of one slide are no independent rows: the interval is of these slides, not of others.

    Parameters
    ----------
    compared
        What is beside what; it ends each measure's name.
    """
    rows = [
        [d for output in whole.manifest.outputs for d in differences(output, one, other)]
        for slide in slides
        for one, other in _answers(whole, reduced, slide)
    ]
    metrics = []
    for place, first in enumerate(rows[0]):
        values = [row[place].value for row in rows]
        found = bootstrap(values, lambda drawn: float(np.mean(drawn)), seed=0)
        name = f"{first.name}, {compared}"
        rounded = (round(v, 5) for v in (found.value, found.low, found.high))
        value, low, high = rounded
        metrics.append(Metric(name=name, value=value, low=low, high=high, n=found.n, data=data, synthetic=False))
    return tuple(metrics)


def differences(output: OutputSpec, one: Maps, other: Maps) -> list[Difference]:
    """The measures of one output: classes that agree, or how far stored bytes are apart."""
    a, b = one[output.name][0], other[output.name][0]
    if output.kind == "classes":
        first, second = class_map(a, output), class_map(b, output)
        agree = Difference(f"{output.name}: part of the pixels with the same class", float((first == second).mean()))
        return [agree, *_class_changes(output, first, second)]
    store = probability_bytes if output.kind == "heat" else image_bytes
    gap = np.abs(store(a, output).astype(np.int16) - store(b, output))
    unit = "probability" if output.kind == "heat" else "brightness (of 1)"
    return [
        Difference(f"{output.name}: mean difference of {unit}", float(gap.mean()) / 255),
        Difference(f"{output.name}: largest difference of {unit} in a tile", float(gap.max()) / 255),
    ]


def _class_changes(output: OutputSpec, first: np.ndarray, second: np.ndarray) -> list[Difference]:
    """By how much of the tile the area of each class grows."""
    return [
        Difference(
            f"{output.name}: area of {item.name} gained, part of the tile",
            float((second == index).mean() - (first == index).mean()),
        )
        for index, item in enumerate(output.classes)
        if not item.background
    ]


def _answers(whole: Predictor, reduced: Predictor, slide: SlideTiles) -> Iterator[tuple[Maps, Maps]]:
    for tile in slide.tiles:
        batch = tile[np.newaxis]
        yield whole.predict(batch, slide.statistics), reduced.predict(batch, slide.statistics)
