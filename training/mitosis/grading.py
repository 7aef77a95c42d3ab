"""From mitoses to a grade: the count in the hotspot, two thresholds, and how well grades agree."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics.agreement import kappa_value, quadratic_kappa, spearman, spearman_value
from workers.measures.grades import THETA_1, THETA_2, grade
from workers.measures.hotspots import HOTSPOT_MM2, PERCENT, densest_disc, percentile_count

Points = NDArray[np.float64]
Numbers = NDArray[np.float64]
STEP_UM = 50.0
GRADES = (1, 2, 3)


@dataclass(frozen=True)
class HotspotCounts:
    """How many mitoses a circle of 2 mm2 holds on a slide; the percentile is the paper's proliferation score."""

    percentile_95: float
    """Over the positions whose circle holds a mitosis; 0 where none does."""
    densest: int
    """In the circle that holds the most, wherever it lies."""
    x_um: float | None
    y_um: float | None
    """Its place; None where there is no mitosis."""
    positions: int
    """Where counts were taken."""


@dataclass(frozen=True, eq=False)
class GradedSlide:
    """A slide's mitoses as found and in truth, and where counts are taken."""

    name: str
    found_um: Points
    truth_um: Points
    positions_um: Points
    """(m, 2): centres of circles on tissue, e.g. by `grid_positions`."""


@dataclass(frozen=True)
class Thetas:
    """Thresholds of the count, and the kappa they reach on the slides they were chosen on."""

    theta1: float
    theta2: float
    kappa: float | None
    """None where all slides are of one true grade: nothing can be chosen then, and the paper's thresholds stay."""


def grid_positions(
    width_um: float, height_um: float, step_um: float = STEP_UM, tissue: NDArray[np.bool_] | None = None
) -> Points:
    """(m, 2): centres of the squares of a grid over the slide, of those on tissue where a mask is given.

    The paper counts at each unique position of a slid circle; with 0.25 um steps that is each px. A grid of `step_um`
    misses little: the circle's radius is 798 um.

    Parameters
    ----------
    tissue
        bool (rows, columns): a mask that is stretched over the slide; None takes all places.

    Raises
    ------
    ValueError
        The step is not above 0, or the mask is not two-dimensional.
    """
    if not step_um > 0:
        raise ValueError(f"the step is {step_um} um: give one above 0")
    columns, rows = (max(1, round(side / step_um)) for side in (width_um, height_um))
    xs, ys = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    parts = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    if tissue is not None:
        mask = np.asarray(tissue, bool)
        if mask.ndim != 2:
            raise ValueError(f"the mask has shape {mask.shape}: give (rows, columns)")
        cells = (parts * (mask.shape[1], mask.shape[0])).astype(np.int64)
        parts = parts[mask[cells[:, 1], cells[:, 0]]]
    return parts * (width_um, height_um)


def hotspot_counts(points_um: Points, positions_um: Points, area_mm2: float = HOTSPOT_MM2) -> HotspotCounts:
    """The 95th percentile of the counts over the positions, and the true densest circle beside it.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section IV.D.
    """
    count = percentile_count(points_um, positions_um, area_mm2, PERCENT)
    disc = densest_disc(points_um, area_mm2)
    if disc is None:
        return HotspotCounts(0.0, 0, None, None, len(positions_um))
    return HotspotCounts(count or 0.0, disc.count, disc.x_um, disc.y_um, len(positions_um))


def tune_thetas(counts: Sequence[float] | Numbers, grades: Sequence[int] | NDArray[np.integer]) -> Thetas:
    """The thresholds of the highest quadratic weighted kappa with the true grades.

    Every pair of counts that occur is tried, and 0: other thresholds grade no slide differently. Of equal pairs the
    middle one is taken, ordered by theta1, then theta2. Tune on other slides than those that are reported.

    Raises
    ------
    ValueError
        There is no slide, or not one grade for each.
    """
    values, truth = np.asarray(counts, np.float64), np.asarray(grades, np.int64)
    if not len(values) or len(values) != len(truth):
        raise ValueError(f"{len(values)} counts and {len(truth)} grades: give one grade for each of at least one slide")
    tried = np.unique(np.append(values, 0.0)).tolist()
    pairs = [(low, high) for low in tried for high in tried if low <= high]
    kappas = [kappa_value(_grades(values, *pair), truth) for pair in pairs]
    known = [kappa for kappa in kappas if kappa is not None]
    # Of slides of one true grade, thresholds that grade all of them rightly have no kappa, and wrong ones have 0.
    if not known or len(np.unique(truth)) == 1:
        return Thetas(THETA_1, THETA_2, None)
    best = [
        pair for pair, kappa in zip(pairs, kappas, strict=True) if kappa is not None and kappa >= max(known) - 1e-12
    ]
    return Thetas(*best[len(best) // 2], max(known))


def tune_delta(
    scores: Sequence[Sequence[float]], truth: Sequence[float], deltas: Sequence[float]
) -> tuple[float, float]:
    """(delta, Spearman): the detection threshold at which the slides' scores correlate best with the true ones.

    Of equal thresholds the middle one is taken.

    Parameters
    ----------
    scores
        For each delta, the score of every slide (its hotspot count with the detections of at least that delta).
    truth
        The true score of every slide.

    Raises
    ------
    ValueError
        No threshold gives scores that vary, or the true scores do not: a correlation does not exist.
    """
    found = [spearman_value(row, truth) for row in scores]
    known = [value for value in found if value is not None]
    if len(found) != len(deltas) or not known:
        raise ValueError("delta cannot be tuned: give a row of scores for each delta, of slides whose counts vary")
    best = [d for d, value in zip(deltas, found, strict=True) if value is not None and value >= max(known) - 1e-12]
    return best[len(best) // 2], max(known)


def grade_report(
    slides: Sequence[GradedSlide], thetas: tuple[float, float] = (THETA_1, THETA_2), seed: int = 0
) -> dict[str, Any]:
    """Counts, grades and scores of slides as found against those of the truth, as plain values for a report.

    Both are graded in the same way, by the 95th percentile and `thetas`. Kappa is over grades, Spearman over scores;
    `densest` has the same two for the true densest circle. Intervals are drawn by slide. What does not exist (all
    slides of one grade, fewer than three) is None with a reason.

    Raises
    ------
    ValueError
        There is no slide.
    """
    if not slides:
        raise ValueError("there is no slide to grade")
    rows, pairs = [], []
    for slide in slides:
        found = hotspot_counts(slide.found_um, slide.positions_um)
        truth = hotspot_counts(slide.truth_um, slide.positions_um)
        pairs.append((found, truth))
        grades = {"found": grade(found.percentile_95, *thetas), "truth": grade(truth.percentile_95, *thetas)}
        rows.append({"slide": slide.name, "found": asdict(found), "truth": asdict(truth), "grade": grades})
    by_percentile = np.array([(f.percentile_95, t.percentile_95) for f, t in pairs])
    by_densest = np.array([(f.densest, t.densest) for f, t in pairs], np.float64)
    return {
        "thetas": list(thetas),
        "slides": rows,
        "percentile_95": _agreement(by_percentile, thetas, seed),
        "densest": _agreement(by_densest, thetas, seed),
    }


def _agreement(counts: Numbers, thetas: tuple[float, float], seed: int) -> dict[str, Any]:
    """Of (n, 2): found and true."""
    found, truth = (_grades(counts[:, side], *thetas) for side in (0, 1))
    return {
        "kappa": asdict(quadratic_kappa(found, truth, seed)),
        "spearman": asdict(spearman(counts[:, 0], counts[:, 1], seed=seed)),
        "mean_error": float((counts[:, 0] - counts[:, 1]).mean()),
        "mean_absolute_error": float(np.abs(counts[:, 0] - counts[:, 1]).mean()),
        "same_grade": int((found == truth).sum()),
    }


def _grades(counts: Numbers, theta1: float, theta2: float) -> NDArray[np.int64]:
    return np.array([grade(float(count), theta1, theta2) for count in counts], np.int64)
