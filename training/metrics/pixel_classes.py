"""Agreement of two classified masks, pixel by pixel: what DeepLIIF's paper reports of each class.

By the paper's words a pixel of the wrong class is a false positive of one class and a false negative of the other, and
PixAcc of a class is TP / (TP + FP + FN). That is the class' IoU. Its tables, though, show 94 % beside an IoU of 53 %,
which no count of foreground pixels gives: `share_right`, which counts the background too, is the number of that kind.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.integer]


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of one class that were found, invented and missed."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        """Counts of both together."""
        return PixelCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def count_pixels(truth: Classes, predicted: Classes, number: int) -> PixelCounts:
    """Counts of the class `number` in two maps of classes.

    Raises
    ------
    ValueError
        The maps differ in shape.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"maps of shapes {truth.shape} and {predicted.shape} cannot be compared")
    true, found = truth == number, predicted == number
    both = int(np.count_nonzero(true & found))
    return PixelCounts(both, int(np.count_nonzero(found)) - both, int(np.count_nonzero(true)) - both)


def pix_acc(counts: PixelCounts) -> float:
    """TP / (TP + FP + FN), 0..1; 1 where the class is in neither map.

    References
    ----------
    Ghahremani et al. 2022 (DeepLIIF), doi:10.1038/s42256-022-00471-x.
    """
    total = counts.tp + counts.fp + counts.fn
    return counts.tp / total if total else 1.0


def pix_dice(counts: PixelCounts) -> float:
    """2 TP / (2 TP + FP + FN), 0..1; 1 where the class is in neither map.

    References
    ----------
    Dice 1945, doi:10.2307/1932409.
    """
    total = 2 * counts.tp + counts.fp + counts.fn
    return 2 * counts.tp / total if total else 1.0


def pix_iou(counts: PixelCounts) -> float:
    """Area common to both maps over the area of either, 0..1: the same number as `pix_acc`.

    References
    ----------
    Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    return pix_acc(counts)


def share_right(truth: Classes, predicted: Classes) -> float:
    """Share of all pixels, background included, that have their true class."""
    return float(np.count_nonzero(truth == predicted)) / truth.size
