"""A Ki-67 section laid onto the H&E section of the same tissue: coarse pose, then a dynamic warp (row B7)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantom.section import to_slide
from training.phantom.spec import PhantomSpec
from training.virtual_ihc.config import KI67
from workers.geometry import Box
from workers.registration.align import register
from workers.registration.errors import RegistrationFailedError
from workers.registration.result import Registration
from workers.slides.slide import Slide, frame_size

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
ROWS = 256


@dataclass(frozen=True, eq=False)
class Laid:
    """A section as it lies on the other."""

    picture: Picture
    """In the frame of the fixed section; white where the moving one has nothing."""
    common: NDArray[np.bool_]
    """Where both are."""
    registration: Registration


def whole(slide: Slide, mpp: float) -> Picture:
    """All of a slide at a resolution."""
    width_px, height_px = frame_size(slide.info, mpp)
    return slide.read(Box(0, 0, width_px, height_px), mpp)


def lay(fixed: Slide, moving: Slide, mpp: float, registration_mpp: float) -> Laid:
    """The moving section in the frame of the fixed one at `mpp`, found at `registration_mpp`.

    Raises
    ------
    RegistrationFailedError
        The sections cannot be laid onto each other, or not so that it can be trusted.

    References
    ----------
    Liu et al. 2020: "a coarse pose transformation matrix ... then dynamically warps the Ki-67".
    """
    found = register(whole(fixed, registration_mpp), whole(moving, registration_mpp), registration_mpp)
    if not found.quality.trusted:
        raise RegistrationFailedError(
            f"The sections do not lie on each other: {'; '.join(found.quality.reasons)}.", "Look at both slides."
        )
    picture = whole(moving, mpp)
    width_px, height_px = frame_size(fixed.info, mpp)
    laid = np.full((height_px, width_px, 3), 255, np.uint8)
    common = np.zeros((height_px, width_px), np.bool_)
    for top in range(0, height_px, ROWS):
        rows = slice(top, min(top + ROWS, height_px))
        laid[rows], common[rows] = _sampled(picture, found, mpp, rows, width_px)
    return Laid(laid, common, found)


def error_um(spec: PhantomSpec, found: Registration, x_um: Points, y_um: Points) -> float:
    """Median distance between where points of the tissue were put and where the phantom has them."""
    there_um = found.map_points(np.stack([x_um, y_um], axis=1) / found.mpp) * found.mpp
    x, y = to_slide(spec, spec.section(KI67), x_um, y_um)
    return float(np.median(np.hypot(there_um[:, 0] - x, there_um[:, 1] - y)))


def _sampled(
    picture: Picture, found: Registration, mpp: float, rows: slice, width_px: int
) -> tuple[Picture, NDArray[np.bool_]]:
    """Rows of the laid picture, linearly interpolated, and which of their px the moving section has."""
    y, x = np.mgrid[rows, 0:width_px]
    centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1) * (mpp / found.mpp)
    there = (found.map_points(centres) * (found.mpp / mpp) - 0.5).T[::-1]
    values = [
        ndimage.map_coordinates(picture[..., channel].astype(np.float32), there, order=1, mode="nearest")
        for channel in range(3)
    ]
    bounds = np.array(picture.shape[:2])[:, None] - 1
    inside = np.logical_and.reduce((there >= 0) & (there <= bounds), axis=0)
    laid = np.where(np.asarray(inside)[:, None], np.rint(np.stack(values, axis=1)), 255).astype(np.uint8)
    return laid.reshape(*x.shape, 3), np.asarray(inside, np.bool_).reshape(x.shape)
