"""Numbers of a detector: counts per image, F1 against threshold, the threshold to use, intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics.detection import f1_curve, match_points
from training.metrics.intervals import Estimate, bootstrap
from training.mitosis.detect import Detections
from training.mitosis.parts import POSITIVE
from training.sets.marks import MarkedImage

Points = NDArray[np.float64]


@dataclass(frozen=True)
class ImageCounts:
    """Detections of one image held against its marks, at a threshold."""

    image: str
    case: str
    source: str
    synthetic: bool
    area_mm2: float
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class Scores:
    """Estimates over images of one kind; a ratio that does not exist (nothing found, nothing to find) is left out."""

    f1: Estimate | None
    precision: Estimate | None
    recall: Estimate | None
    false_per_mm2: Estimate
    tp: int
    fp: int
    fn: int
    images: int
    area_mm2: float


def truth_px(image: MarkedImage, mpp: float) -> Points:
    """(n, 2) centres of the mitoses in px of the frame at `mpp`."""
    return image.points_px(POSITIVE) * (image.mpp / mpp)


def count_image(image: MarkedImage, found: Detections, threshold: float, mpp: float, match_um: float) -> ImageCounts:
    """The counts of an image: a detection belongs to one mark at most, within `match_um` of it."""
    kept, truth = found.points_px[found.probability >= threshold], truth_px(image, mpp)
    paired = len(match_points(kept, truth, match_um / mpp))
    return ImageCounts(
        image=image.name,
        case=image.case,
        source=image.source,
        synthetic=image.synthetic,
        area_mm2=image.width_px * image.height_px * (image.mpp / 1000) ** 2,
        tp=paired,
        fp=len(kept) - paired,
        fn=len(truth) - paired,
    )


def curve_of(
    images: Sequence[MarkedImage], found: Sequence[Detections], thresholds: Sequence[float], mpp: float, match_um: float
) -> list[float]:
    """F1 over all these images at each threshold; empty where there is no mitosis to find."""
    truth = [truth_px(image, mpp) for image in images]
    if not sum(map(len, truth)):
        return []
    places, values = [f.points_px for f in found], [f.probability for f in found]
    return [score.f1 or 0.0 for score in f1_curve(places, values, truth, thresholds, match_um / mpp)]


def choose_threshold(curves: Sequence[Sequence[float]], thresholds: Sequence[float]) -> float:
    """The threshold of the highest mean over the curves that exist; of equal ones the middle one, far from both edges.

    Raises
    ------
    ValueError
        No curve exists: the validation images hold no mitosis.
    """
    known = [curve for curve in curves if len(curve)]
    if not known:
        raise ValueError("no validation image holds a mitosis: a threshold cannot be chosen")
    mean = np.mean(known, axis=0)
    best = np.flatnonzero(mean >= mean.max() - 1e-12)
    return float(thresholds[int(best[len(best) // 2])])


def summarise(counts: Sequence[ImageCounts], seed: int) -> Scores:
    """Pooled ratios with 95 % intervals, bootstrapped over images."""
    tp, fp, fn = (sum(getattr(row, name) for row in counts) for name in ("tp", "fp", "fn"))
    return Scores(
        f1=bootstrap(counts, _f1, seed) if tp + fn else None,
        precision=bootstrap(counts, _precision, seed) if tp + fp else None,
        recall=bootstrap(counts, _recall, seed) if tp + fn else None,
        false_per_mm2=bootstrap(counts, _false_per_mm2, seed),
        tp=tp,
        fp=fp,
        fn=fn,
        images=len(counts),
        area_mm2=sum(row.area_mm2 for row in counts),
    )


def _f1(counts: Sequence[ImageCounts]) -> float:
    hits = 2 * sum(row.tp for row in counts)
    return _part(hits, hits + sum(row.fp + row.fn for row in counts))


def _precision(counts: Sequence[ImageCounts]) -> float:
    return _part(sum(row.tp for row in counts), sum(row.tp + row.fp for row in counts))


def _recall(counts: Sequence[ImageCounts]) -> float:
    return _part(sum(row.tp for row in counts), sum(row.tp + row.fn for row in counts))


def _false_per_mm2(counts: Sequence[ImageCounts]) -> float:
    return sum(row.fp for row in counts) / sum(row.area_mm2 for row in counts)


def _part(part: int, whole: int) -> float:
    """Of a resampled set without anything to divide by: 0, which widens the interval rather than narrowing it."""
    return part / whole if whole else 0.0
