"""What a labelled image is, whatever file its labels came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mark:
    """One labelled object: its centre in level-0 px, and the sides of its box where the labels give boxes."""

    x_px: float
    y_px: float
    label: str
    width_px: float = 0.0
    height_px: float = 0.0


@dataclass(frozen=True)
class MarkedImage:
    """A slide or region with its marks."""

    name: str
    case: str
    """The patient, as far as the data tells: all splits are by case."""
    source: str
    """The data set, for reports that keep sets apart."""
    synthetic: bool
    path: Path
    """Anything `workers.slides.open_slide` opens."""
    mpp: float
    """um per level-0 px; authoritative, whatever the file says."""
    width_px: int
    height_px: int
    marks: tuple[Mark, ...]

    def points_px(self, *labels: str) -> NDArray[np.float64]:
        """(n, 2) centres of the marks with one of these labels, of all marks where none is named."""
        chosen = [(m.x_px, m.y_px) for m in self.marks if not labels or m.label in labels]
        return np.array(chosen, dtype=np.float64).reshape(-1, 2)
