"""The table of DeepLIIF's paper: pixels, objects, the score, cells, and the made pictures, with intervals by image."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.metrics.detection import match_points, score_counts
from training.metrics.image_quality import mse, ssim
from training.metrics.instances import aji
from training.metrics.intervals import Estimate, bootstrap
from training.metrics.pixel_classes import PixelCounts, count_pixels, pix_acc, pix_dice, pix_iou, share_right

Ints = NDArray[np.integer]
Numbers = tuple[float, ...]
Found = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Centres and classes of cells."""

CLASSES = {"positive": 1, "negative": 2}
RADIUS_PX = 10.0
"""A cell found within this distance of a true one is that one."""
PIXELS: dict[str, Callable[[PixelCounts], float]] = {"pix_acc": pix_acc, "dice": pix_dice, "iou": pix_iou}


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One image's cells and pictures, true or predicted."""

    classes: Ints
    """(H, W): 0 background, 1 positive, 2 negative."""
    instances: Ints
    """(H, W): 0 background, one number for each cell."""
    modalities: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    """Pictures by name, uint8 (H, W, 3)."""


@dataclass(frozen=True)
class TableRow:
    """One number of the table."""

    metric: str
    of: str
    """A class, "mean" of both classes, "all", or a modality."""
    how: str
    """"pooled": counts of all images together; "per image": the mean of the images' numbers."""
    estimate: Estimate
    """Its n is the number of images in which the metric exists."""


def cell_classes(image: ScoredImage) -> Found:
    """Centres (n, 2) as x, y, and classes (n,) of the cells; half or more positive pixels make a cell positive."""
    numbers = np.unique(image.instances)
    numbers = numbers[numbers != 0]
    if not len(numbers):
        return np.zeros((0, 2)), np.zeros(0, np.int64)
    centres = np.array(ndimage.center_of_mass(image.instances != 0, image.instances, numbers))[:, ::-1]
    votes = [ndimage.sum_labels(image.classes == number, image.instances, numbers) for number in CLASSES.values()]
    return centres, np.where(votes[0] >= votes[1], CLASSES["positive"], CLASSES["negative"]).astype(np.int64)


def percent_positive(positive: float, total: float) -> float:
    """Positive cells in 100; 0 where there is no cell."""
    return 100 * positive / total if total else 0.0


def d6_table(
    truth: Sequence[ScoredImage], predicted: Sequence[ScoredImage], seed: int = 0, repeats: int = 2000
) -> tuple[TableRow, ...]:
    """Every metric of the paper, pooled and per image, each with an interval from drawing the images again.

    `pix_acc`, `dice` and `iou` of each class and their mean; `share_right` of all pixels; `aji` of each class, their
    mean, and of all cells; `score_gap`, the absolute difference of positive cells in 100; `detection_f1` at 10 px; and
    `mse` and `ssim` of each modality. What does not exist in an image (an F1 without true cells) is left out of it.

    Raises
    ------
    ValueError
        There is no image, or not one prediction for each.

    References
    ----------
    Ghahremani et al. 2022 (DeepLIIF), doi:10.1038/s42256-022-00471-x.
    """
    pairs = list(zip(truth, predicted, strict=True))
    if not pairs:
        raise ValueError("a table needs at least one image")
    draw = _Draw(seed, repeats)
    modalities = sorted({name for image, _ in pairs for name in image.modalities})
    rows = [*_pixel_rows(pairs, draw), *_cell_rows(pairs, draw)]
    for name in modalities:
        shown = [(a.modalities[name], b.modalities[name]) for a, b in pairs if name in a.modalities]
        rows += [
            draw.mean("mse", name, [mse(a, b) for a, b in shown]),
            draw.mean("ssim", name, [ssim(a, b) for a, b in shown]),
        ]
    return tuple(rows)


@dataclass(frozen=True)
class _Draw:
    """How intervals are drawn."""

    seed: int
    repeats: int

    def mean(self, metric: str, of: str, values: Sequence[float]) -> TableRow:
        """The mean of the images in which the metric exists; not a number where it exists in none."""
        there = [value for value in values if not math.isnan(value)]
        if not there:
            return TableRow(metric, of, "per image", Estimate(math.nan, math.nan, math.nan, 0))
        found = bootstrap(there, lambda rows: sum(rows) / len(rows), self.seed, self.repeats)
        return TableRow(metric, of, "per image", found)

    def pooled(self, metric: str, of: str, counts: Sequence[Numbers], ratio: Callable[[Numbers], float]) -> TableRow:
        """A ratio of the counts of all images together."""
        table = np.array(counts, np.float64)
        whole = ratio(tuple(table.sum(0).tolist()))
        if math.isnan(whole):
            return TableRow(metric, of, "pooled", Estimate(whole, whole, whole, len(table)))

        def statistic(rows: Sequence[int]) -> float:
            value = ratio(tuple(table[list(rows)].sum(0).tolist()))
            # A drawing without a true cell has no F1: the whole's own number widens nothing.
            return whole if math.isnan(value) else value

        return TableRow(metric, of, "pooled", bootstrap(range(len(table)), statistic, self.seed, self.repeats))


Pairs = Sequence[tuple[ScoredImage, ScoredImage]]


def _pixel_rows(pairs: Pairs, draw: _Draw) -> list[TableRow]:
    """Rows of the classes' pixels."""
    counts = [[count_pixels(a.classes, b.classes, number) for number in CLASSES.values()] for a, b in pairs]
    flat: list[Numbers] = [tuple(float(n) for c in both for n in (c.tp, c.fp, c.fn)) for both in counts]
    rows = []
    for name, ratio in PIXELS.items():
        for of, value in _ratios(ratio).items():
            rows += [draw.pooled(name, of, flat, value), draw.mean(name, of, [value(sums) for sums in flat])]
    right: list[Numbers] = [(share_right(a.classes, b.classes) * a.classes.size, a.classes.size) for a, b in pairs]
    rows.append(draw.pooled("share_right", "all", right, lambda sums: sums[0] / sums[1]))
    rows.append(draw.mean("share_right", "all", [hit / size for hit, size in right]))
    return rows


def _ratios(ratio: Callable[[PixelCounts], float]) -> dict[str, Callable[[Numbers], float]]:
    """The ratio of each class, and the mean of both, from (tp, fp, fn) of positive, then of negative."""

    def of_class(index: int) -> Callable[[Numbers], float]:
        return lambda sums: ratio(_class_of(sums, index))

    first, second = of_class(0), of_class(1)
    return {"positive": first, "negative": second, "mean": lambda sums: (first(sums) + second(sums)) / 2}


def _class_of(sums: Numbers, index: int) -> PixelCounts:
    tp, fp, fn = (int(n) for n in sums[3 * index : 3 * index + 3])
    return PixelCounts(tp, fp, fn)


def _cell_rows(pairs: Pairs, draw: _Draw) -> list[TableRow]:
    """Rows of the cells: AJI, the score's difference, and detection."""
    cells = [(cell_classes(a), cell_classes(b)) for a, b in pairs]
    aji_of = {name: [_aji(a, b, number) for a, b in pairs] for name, number in CLASSES.items()}
    aji_of["mean"] = [_mean_of_classes(values) for values in zip(*aji_of.values(), strict=True)]
    aji_of["all"] = [aji(a.instances, b.instances) for a, b in pairs]
    rows = [draw.mean("aji", of, values) for of, values in aji_of.items()]
    tally = [(*_positive_and_all(a), *_positive_and_all(b)) for a, b in cells]
    rows += [draw.pooled("score_gap", "all", tally, _gap), draw.mean("score_gap", "all", [_gap(row) for row in tally])]
    return [*rows, *_detection_rows(cells, draw)]


def _mean_of_classes(values: Numbers) -> float:
    """The mean of the classes that the image has; not a number where it has none."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def _positive_and_all(found: Found) -> tuple[float, float]:
    return float(np.count_nonzero(found[1] == CLASSES["positive"])), float(len(found[1]))


def _gap(tally: Numbers) -> float:
    """Absolute difference of the scores from positive and all cells, true, then predicted."""
    return abs(percent_positive(tally[0], tally[1]) - percent_positive(tally[2], tally[3]))


def _aji(truth: ScoredImage, predicted: ScoredImage, number: int) -> float:
    """AJI of the cells of one class; not a number where neither map has one."""
    maps = []
    for image in (truth, predicted):
        numbers = np.unique(image.instances)
        wanted = numbers[numbers != 0][cell_classes(image)[1] == number]
        maps.append(np.where(np.isin(image.instances, wanted), image.instances, 0))
    return aji(*maps) if any(m.any() for m in maps) else math.nan


def _detection_rows(cells: Sequence[tuple[Found, Found]], draw: _Draw) -> list[TableRow]:
    counts = {of: [_matched(a, b, number) for a, b in cells] for of, number in CLASSES.items()}
    counts["all"] = [_matched(a, b, None) for a, b in cells]
    rows = []
    for of, numbers in counts.items():
        rows.append(draw.pooled("detection_f1", of, numbers, _f1))
        rows.append(draw.mean("detection_f1", of, [_f1(row) for row in numbers]))
    both: list[Numbers] = [(*a, *b) for a, b in zip(counts["positive"], counts["negative"], strict=True)]
    rows.append(draw.pooled("detection_f1", "mean", both, _mean_f1))
    rows.append(draw.mean("detection_f1", "mean", [_mean_f1(row) for row in both]))
    return rows


def _matched(truth: Found, predicted: Found, number: int | None) -> Numbers:
    """Cells found, invented and missed, of one class or whatever their class."""
    true, found = (p if number is None else p[k == number] for p, k in (truth, predicted))
    paired = len(match_points(found, true, RADIUS_PX))
    return float(paired), float(len(found) - paired), float(len(true) - paired)


def _f1(counts: Numbers) -> float:
    """F1, not a number where there is nothing to find."""
    score = score_counts(*(int(n) for n in counts)).f1
    return math.nan if score is None else score


def _mean_f1(counts: Numbers) -> float:
    """The mean F1 of the classes that are there."""
    return _mean_of_classes((_f1(counts[:3]), _f1(counts[3:])))
