"""Two areas set against the tissue and against each other: densities and the ratio of the positive one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fractions:
    """Parts of an area; None where what they are parts of is nothing."""

    d_pos: float | None
    """S_pos / S_ROI."""
    d_neg: float | None
    """S_neg / S_ROI."""
    r_pos: float | None
    """S_pos / (S_pos + S_neg)."""


def area_fractions(positive_mm2: float, negative_mm2: float, roi_mm2: float) -> Fractions:
    """The densities of the positive and the negative area in a region of interest, and the positive one's ratio.

    No area at all has no ratio: zero would say that all of it is negative.

    Raises
    ------
    ValueError
        An area is negative.

    References
    ----------
    Liu et al. 2020, doi:10.3389/fmolb.2020.00183.
    """
    if min(positive_mm2, negative_mm2, roi_mm2) < 0:
        raise ValueError(f"areas of {positive_mm2}, {negative_mm2} and {roi_mm2} mm2: none can be negative")
    both = positive_mm2 + negative_mm2
    return Fractions(
        d_pos=positive_mm2 / roi_mm2 if roi_mm2 else None,
        d_neg=negative_mm2 / roi_mm2 if roi_mm2 else None,
        r_pos=positive_mm2 / both if both else None,
    )
