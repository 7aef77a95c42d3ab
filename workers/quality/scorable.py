"""Whether a number can be defended for a slide: what speaks against it, all at once, before anything is computed.

A slide that a package cannot be asked of gets a reason and no number. The resolution is looked at before this, where
the slide is opened; colours unlike those the package has seen are told as a warning of the result and refuse nothing
(`models.seen`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import LittleTissueError, NotScorableError, OutOfFocusError, Reason, WrongStainError
from models.manifest import Manifest
from workers.quality.focus import BLURRED
from workers.quality.report import QualityReport
from workers.quality.tissue import TissueMask

STAIN_CONFIDENCE = 0.8
"""A stain guess at least this sure, and other than the package's, speaks against a run."""
MOST_BLURRED = 0.5
"""More than this part of the judged squares blurred, and what was measured is mostly blur."""
LEAST_MM2 = {"areas": 0.01, "points": 0.01, "cells": 0.002}
"""By kind of measure. 0.01 mm2 of a tumour holds 50 to 100 nuclei: of a share of one half in 50 the 95 % interval is
0.37 to 0.63 (Wilson), and of fewer no share is worth telling. Single cells are of use in smaller fields."""
OTHER_LEAST_MM2 = 0.002

_ERRORS: dict[str, type[NotScorableError]] = {
    kind.slug: kind for kind in (WrongStainError, OutOfFocusError, LittleTissueError)
}
REMEDIES = {
    "wrong-stain": "Use a package for this stain.",
    "out-of-focus": "Scan the slide again.",
    "little-tissue": "Give a larger region, or a slide with more tissue.",
}
FORCE_REMEDY = "Or set the parameter `force` (--set force=true): the result will say so, and by whom."


def find_reasons(quality: QualityReport, manifest: Manifest, analysed_mm2: float) -> tuple[Reason, ...]:
    """All that speaks against scoring a slide with a package: stain, focus, too little tissue.

    Parameters
    ----------
    analysed_mm2
        Tissue that would be analysed, as `tissue_in` measures it.
    """
    found = (_stain(quality, manifest), _focus(quality), _tissue(manifest, analysed_mm2))
    return tuple(reason for reason in found if reason is not None)


def check_scorable(reasons: Sequence[Reason], *, force: bool) -> None:
    """Return where nothing speaks against a run, or where it is forced and may be.

    Raises
    ------
    NotScorableError
        Of the one reason there is, or of several; it carries them all.
    """
    if not reasons or (force and all(reason.forcible for reason in reasons)):
        return
    remedy = " ".join([*(REMEDIES[reason.slug] for reason in reasons), FORCE_REMEDY])
    kind = _ERRORS[reasons[0].slug] if len(reasons) == 1 else NotScorableError
    raise kind(" ".join(reason.text for reason in reasons), remedy, reasons)


def tissue_in(tissue: TissueMask, cells: NDArray[np.bool_], cell_um: float) -> float:
    """mm2 of the tissue mask that lie in the chosen cells of a grid, a mask pixel being where its centre is.

    Parameters
    ----------
    cells
        (rows, columns) of squares with a side of `cell_um`; the grid begins at the slide's origin.
    """
    height, width = tissue.mask.shape
    rows, columns = (
        np.minimum(((np.arange(side) + 0.5) * tissue.mpp / cell_um).astype(np.int64), limit - 1)
        for side, limit in ((height, cells.shape[0]), (width, cells.shape[1]))
    )
    kept = cells[np.ix_(rows, columns)] & tissue.mask
    return float(kept.sum()) * (tissue.mpp / 1000) ** 2


def least_mm2(manifest: Manifest) -> float:
    """The least tissue that a package scores: its own number, or the largest of its measures'; 0 without a measure."""
    if manifest.min_tissue_mm2 is not None:
        return manifest.min_tissue_mm2
    return max((LEAST_MM2.get(measure.kind, OTHER_LEAST_MM2) for measure in manifest.measures), default=0.0)


def _stain(quality: QualityReport, manifest: Manifest) -> Reason | None:
    guess = quality.stain
    if manifest.stain in ("any", guess.stain) or guess.confidence < STAIN_CONFIDENCE:
        return None
    text = (
        f"The slide looks like {guess.stain} (confidence {guess.confidence:.2f}); {manifest.reference} is for "
        f"{manifest.stain}."
    )
    return Reason("wrong-stain", text, guess.stain, manifest.stain, forcible=True)


def _focus(quality: QualityReport) -> Reason | None:
    focus, blurred = quality.focus, quality.focus.blurred
    if blurred is None or blurred <= MOST_BLURRED:
        return None
    text = (
        f"{blurred:.0%} of the sampled tissue is blurred (sharpness below {BLURRED:g}; median {focus.median:.2f}, "
        f"{len(focus.squares)} squares); at most {MOST_BLURRED:.0%} may be."
    )
    return Reason("out-of-focus", text, round(blurred, 4), MOST_BLURRED, forcible=True)


def _tissue(manifest: Manifest, analysed_mm2: float) -> Reason | None:
    least = least_mm2(manifest)
    if analysed_mm2 >= least:
        return None
    text = f"Only {analysed_mm2:.2g} mm2 of tissue would be analysed; {manifest.reference} needs {least:g} mm2."
    return Reason("little-tissue", text, round(analysed_mm2, 6), least, forcible=True)
