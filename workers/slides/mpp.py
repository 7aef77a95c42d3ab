"""How large a pixel is, and who says so."""

import math
from dataclasses import dataclass

from models.errors import MppMissingError, MppOutOfRangeError
from workers.slides.slide import MppSource

FINEST_MPP, COARSEST_MPP = 0.05, 20.0
"""What a brightfield scanner can resolve, and what is no longer a microscope's image."""
SQUARE_WITHIN = 0.01
_REMEDY = "State the true resolution with `--mpp` (micrometres per level-0 pixel)."


@dataclass(frozen=True)
class Resolution:
    """Micrometres per level-0 pixel, who said so, and what the file says."""

    mpp: float
    source: MppSource
    stated: float | None


def resolve_mpp(
    stated: tuple[float, float] | None, override: float | None, objective_power: float | None = None
) -> Resolution:
    """The resolution to work with: the caller's override, else what the file states where that is plausible.

    An objective's power alone is not taken for a resolution (a 20x scanner may be 0.46 or 0.55 um/px), it is only
    mentioned in the remedy.

    Raises
    ------
    MppMissingError
        Neither the file nor the caller states it.
    MppOutOfRangeError
        It is outside of 0.05 to 20 um/px, or pixels are not square within 1 %.
    """
    usable = stated is not None and all(math.isfinite(value) and value > 0 for value in stated)
    if override is not None:
        _refuse_implausible(override, override, "The given resolution")
        return Resolution(override, "override", sum(stated) / 2 if usable and stated else None)
    if not usable or stated is None:
        hint = f" A {objective_power:g}x objective often means {10 / objective_power:.3g}." if objective_power else ""
        raise MppMissingError("The file states no micrometres per pixel.", _REMEDY + hint)
    _refuse_implausible(*stated, "The file's resolution")
    return Resolution(sum(stated) / 2, "metadata", sum(stated) / 2)


def _refuse_implausible(mpp_x: float, mpp_y: float, whose: str) -> None:
    if not (math.isfinite(mpp_x) and FINEST_MPP <= mpp_x <= COARSEST_MPP and FINEST_MPP <= mpp_y <= COARSEST_MPP):
        raise MppOutOfRangeError(
            f"{whose} is {mpp_x:.4g} x {mpp_y:.4g} um/px; {FINEST_MPP} to {COARSEST_MPP} is plausible.", _REMEDY
        )
    if abs(mpp_x / mpp_y - 1) > SQUARE_WITHIN:
        raise MppOutOfRangeError(
            f"{whose} is {mpp_x:.4g} x {mpp_y:.4g} um/px: its pixels are not square within {SQUARE_WITHIN:.0%}.",
            _REMEDY,
        )
