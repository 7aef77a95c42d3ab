"""DeepLIIF's score from the table of cells alone: other thresholds need no pixel again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.deepliif.cells import Cells
from workers.deepliif.thresholds import Thresholds, default_marker_threshold, default_size_threshold, is_no_noise

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Score:
    """Which cells count and which of them are positive, with the thresholds that were used."""

    is_counted: Mask
    """bool (n,), one for each row of the table."""
    is_positive: Mask
    """bool (n,): the class of each row, counted or not."""
    seg_thresh: int
    size_thresh: int
    size_thresh_upper: int | None
    marker_thresh: int | None

    @property
    def total(self) -> int:
        """Number of cells that count."""
        return int(self.is_counted.sum())

    @property
    def positive(self) -> int:
        """Number of positive cells that count."""
        return int((self.is_counted & self.is_positive).sum())

    @property
    def percent_positive(self) -> float:
        """Positive cells in 100, to one decimal; 0 where none is positive."""
        return round(100 * self.positive / self.total, 1) if self.positive else 0.0

    def numbers(self) -> dict[str, int | float | None]:
        """The score under DeepLIIF's names, in its order."""
        return {
            "num_total": self.total,
            "num_pos": self.positive,
            "num_neg": self.total - self.positive,
            "percent_pos": self.percent_positive if self.positive else 0,
            "seg_thresh": self.seg_thresh,
            "size_thresh": self.size_thresh,
            "size_thresh_upper": self.size_thresh_upper,
            "marker_thresh": self.marker_thresh,
        }


def score_cells(cells: Cells, thresholds: Thresholds) -> Score:
    """The score of a table of cells: the same as from the pixels, as long as `seg` and `green` are the table's.

    Raises
    ------
    ValueError
        A limit of optical density is given and the table has none.
    """
    kept = is_no_noise(cells.size_px, thresholds)
    size = thresholds.size_px
    if size == "default":
        size = default_size_threshold(cells.size_px[kept], thresholds.resolution)
    counted = kept & (cells.size_px > size)
    if thresholds.size_upper_px is not None:
        counted &= cells.size_px < thresholds.size_upper_px
    marker = _marker_threshold(cells, thresholds)
    positive = cells.is_voted_positive
    if marker is not None and cells.marker is not None:
        positive = positive | (cells.marker > marker)
    return Score(counted, positive & _dense(cells, thresholds), thresholds.seg, size, thresholds.size_upper_px, marker)


def _marker_threshold(cells: Cells, thresholds: Thresholds) -> int | None:
    if cells.marker_histogram is None or thresholds.marker is None:
        return None
    return default_marker_threshold(cells.marker_histogram) if thresholds.marker == "default" else thresholds.marker


def _dense(cells: Cells, thresholds: Thresholds) -> Mask:
    """Cells whose optical density leaves them positive."""
    dense = np.ones(len(cells), bool)
    if thresholds.od_lower is None and thresholds.od_upper is None:
        return dense
    if cells.od is None:
        raise ValueError("limits of optical density need cells found with the stained image")
    if thresholds.od_lower is not None:
        dense &= cells.od >= thresholds.od_lower
    if thresholds.od_upper is not None:
        dense &= cells.od <= thresholds.od_upper
    return dense
