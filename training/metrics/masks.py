"""Agreement of two masks, pixel by pixel."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def dice(truth: Mask, predicted: Mask) -> float:
    """Twice the common area over the sum of both areas, 0..1; 1 where both are empty.

    References
    ----------
    Dice 1945, doi:10.2307/1932409.
    """
    total = int(truth.sum()) + int(predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else 1.0


def iou(truth: Mask, predicted: Mask) -> float:
    """Common area over the area of the union, 0..1; 1 where both are empty.

    References
    ----------
    Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    union = int((truth | predicted).sum())
    return int((truth & predicted).sum()) / union if union else 1.0
