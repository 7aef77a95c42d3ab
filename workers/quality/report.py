"""The slide's quality in one value: tissue, ink, stain, focus, and what the reader of a number should know of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from workers.geometry import Box
from workers.quality.focus import MAX_FOCUS_MPP, FocusReport, estimate_focus
from workers.quality.stain import StainGuess, guess_stain
from workers.quality.tissue import TissueMask, find_tissue
from workers.slides import Slide

STAIN_STRIP_ROWS = 512
STAIN_PIXELS = 200_000
MUCH_PEN = 0.05
LITTLE_FOCUS = 0.8


@dataclass(frozen=True, eq=False)
class QualityReport:
    """What was found before anything was computed."""

    tissue: TissueMask
    stain: StainGuess
    focus: FocusReport
    warnings: tuple[tuple[str, str], ...]
    """(slug, text)."""

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue."""
        return self.tissue.tissue_mm2

    @property
    def tissue_fraction(self) -> float:
        """Part of the slide that is tissue."""
        return float(self.tissue.mask.mean())

    @property
    def pen_fraction(self) -> float:
        """Part of the slide that is ink or black padding."""
        return float(self.tissue.pen.mean())

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the masks."""
        return {
            "tissue_mm2": round(self.tissue_mm2, 6),
            "tissue_fraction": round(self.tissue_fraction, 6),
            "pen_fraction": round(self.pen_fraction, 6),
            "mask_mpp": self.tissue.mpp,
            "stain": self.stain.as_dict(),
            "focus": self.focus.as_dict(),
        }


def assess(slide: Slide) -> QualityReport:
    """Tissue, stain and focus of a slide; a few reads at low resolution and some dozens of small ones."""
    tissue = find_tissue(slide)
    stain = guess_stain(_tissue_pixels(slide, tissue))
    focus = estimate_focus(slide, tissue)
    return QualityReport(tissue, stain, focus, tuple(_warnings(tissue, focus)))


def _tissue_pixels(slide: Slide, tissue: TissueMask) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB of up to about `STAIN_PIXELS` tissue pixels at even steps, (N, 3), read strip by strip."""
    step = max(1, int(tissue.mask.sum()) // STAIN_PIXELS)
    height, width = tissue.mask.shape
    found = [np.zeros((0, 3), dtype=np.uint8)]
    for top in range(0, height, STAIN_STRIP_ROWS):
        mask = tissue.mask[top : top + STAIN_STRIP_ROWS]
        if mask.any():
            rgb = slide.read(Box(0, top, width, mask.shape[0]), tissue.mpp)
            found.append(rgb[mask][::step])
    return np.concatenate(found)


def _warnings(tissue: TissueMask, focus: FocusReport) -> list[tuple[str, str]]:
    told = []
    if (pen := float(tissue.pen.mean())) > MUCH_PEN:
        told.append(("pen", f"{pen:.0%} of the slide is ink or black padding; it is not analysed."))
    if focus.in_focus is None and focus.mpp > MAX_FOCUS_MPP:
        told.append(("focus-unknown", f"The finest level, {focus.mpp:.3g} um/px, is too coarse to judge the focus."))
    elif focus.in_focus is None and tissue.mask.any():
        told.append(("focus-unknown", "No place on the tissue had enough contrast to judge the focus."))
    elif focus.in_focus is not None and focus.in_focus < LITTLE_FOCUS:
        told.append(("out-of-focus", f"Only {focus.in_focus:.0%} of the sampled tissue is in focus."))
    return told
