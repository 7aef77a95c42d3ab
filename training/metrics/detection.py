"""Detections against true points: which belong together, and what precision, recall and F1 follow.

Where there is no true point, recall and F1 do not exist: one is no measure of an empty image, nor is zero. They are
None there, which no arithmetic takes: tell false positives per mm2 instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

Points = NDArray[np.float64]
Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class DetectionScore:
    """Counts of true positives, false positives and misses, and their ratios; see `score_counts`."""

    tp: int
    fp: int
    fn: int
    precision: float | None
    """None where nothing was found."""
    recall: float | None
    """None where there is nothing to find."""
    f1: float | None
    """None where there is nothing to find; 0 where nothing of it was found."""


def score_counts(tp: int, fp: int, fn: int) -> DetectionScore:
    """The score of counts: precision tp/(tp+fp), recall tp/(tp+fn), F1 2tp/(2tp+fp+fn); None where undefined."""
    return DetectionScore(
        tp=tp,
        fp=fp,
        fn=fn,
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / (tp + fn) if tp + fn else None,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fn else None,
    )


def match_points(found: Points, truth: Points, radius: float) -> Pairs:
    """int64 (k, 2): pairs (index of `found`, index of `truth`) by rising index of `found`, each point in one at most.

    As many pairs as can be made within the radius; of all such pairings, one of the least sum of distances. Taking the
    nearest first would do neither.

    Parameters
    ----------
    found, truth
        (n, 2) and (m, 2), in one unit with `radius`; a distance equal to the radius still counts.

    Raises
    ------
    ValueError
        An array is not (n, 2), or the radius is negative.

    References
    ----------
    Kuhn 1955 (the assignment problem), doi:10.1002/nav.3800020109; solved as in Crouse 2016,
    doi:10.1109/TAES.2016.140952.
    """
    found, truth = _points(found), _points(truth)
    if not radius >= 0:
        raise ValueError(f"the radius is {radius}: give one that is not negative")
    if not len(found) or not len(truth):
        return np.zeros((0, 2), np.int64)
    near = cKDTree(found).sparse_distance_matrix(cKDTree(truth), radius, output_type="coo_matrix")
    groups = [_assign(rows, columns, gaps) for rows, columns, gaps in _clusters(near)]
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *groups])
    return pairs[np.argsort(pairs[:, 0], kind="stable")]


def score_points(found: Points, truth: Points, radius: float) -> DetectionScore:
    """The score of one image's detections."""
    paired = len(match_points(found, truth, radius))
    return score_counts(paired, len(found) - paired, len(truth) - paired)


def f1_curve(
    found: Sequence[Points],
    confidence: Sequence[NDArray[np.floating]],
    truth: Sequence[Points],
    thresholds: Sequence[float],
    radius: float,
) -> tuple[DetectionScore, ...]:
    """For each threshold, the score of all images together: counts are summed, then the ratios are taken.

    Parameters
    ----------
    found, confidence, truth
        One entry per image: (n, 2), (n,) and (m, 2). Detections of at least the threshold count.

    Raises
    ------
    ValueError
        The three differ in length, or an image's confidences are not one for each detection.
    """
    for index, (places, values, _) in enumerate(zip(found, confidence, truth, strict=True)):
        if np.shape(values) != (len(places),):
            raise ValueError(f"image {index} has {len(places)} detections and confidences of shape {np.shape(values)}")
    curve = []
    for threshold in thresholds:
        kept = [places[values >= threshold] for places, values in zip(found, confidence, strict=True)]
        paired = sum(len(match_points(k, true, radius)) for k, true in zip(kept, truth, strict=True))
        curve.append(score_counts(paired, sum(map(len, kept)) - paired, sum(map(len, truth)) - paired))
    return tuple(curve)


def _points(places: Points) -> Points:
    places = np.asarray(places, np.float64)
    if places.ndim != 2 or places.shape[1] != 2:
        if not places.size:
            return places.reshape(0, 2)
        raise ValueError(f"points have shape {places.shape}: give (n, 2)")
    return places


def _clusters(near: coo_matrix) -> list[tuple[Pairs, Pairs, Points]]:
    """Rows, columns and distances of each set of points that hang together: pairings in one do not touch another."""
    rows, columns = near.row.astype(np.int64), near.col.astype(np.int64)
    size = near.shape[0] + near.shape[1]
    links = coo_matrix((np.ones(len(rows)), (rows, columns + near.shape[0])), shape=(size, size))
    member = connected_components(links, directed=False)[1][rows]
    order = np.argsort(member, kind="stable")
    cuts = np.flatnonzero(np.diff(member[order])) + 1
    parts = np.split(order, cuts) if len(order) else []
    return [(rows[part], columns[part], near.data[part]) for part in parts]


def _assign(rows: Pairs, columns: Pairs, gaps: Points) -> Pairs:
    """The best pairs of one cluster."""
    if len(rows) == 1:
        return np.stack((rows, columns), axis=1)
    true_rows, row = np.unique(rows, return_inverse=True)
    true_columns, column = np.unique(columns, return_inverse=True)
    # Leaving one pair more unmade must cost more than all distances together, so that the number of pairs comes first.
    unit = gaps / (gaps.max() or 1.0)
    forbidden = min(len(true_rows), len(true_columns)) + 1.0
    cost = np.full((len(true_rows), len(true_columns)), forbidden)
    cost[row, column] = unit
    chosen = np.stack(linear_sum_assignment(cost), axis=1)
    allowed = chosen[cost[chosen[:, 0], chosen[:, 1]] < forbidden]
    return np.stack((true_rows[allowed[:, 0]], true_columns[allowed[:, 1]]), axis=1)
