"""What a slide is to everyone else: a frame of pixels at a stated mpp, and a way to read a box of it."""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.geometry import Box

MppSource = Literal["metadata", "objective-power", "override"]
RGB = NDArray[np.uint8]
WHOLE_WITHIN = 1e-6
"""Frame pixels by which a side may exceed a whole number and still be that number: 4 * mpp / mpp is not always 4."""


@dataclass(frozen=True)
class Level:
    """One resolution of the pyramid; level 0 is the finest."""

    index: int
    width_px: int
    height_px: int
    downsample: float
    """Level-0 pixels per pixel of this level."""
    tile_width_px: int = 0
    tile_height_px: int = 0


@dataclass(frozen=True)
class SlideInfo:
    """All we say of a slide; no free text of the file, no label, no macro."""

    format: str
    """A short name: `aperio-svs`, `ndpi`, `leica-scn`, `philips-tiff`, `ome-tiff`, `generic-tiff`, `dicom-wsi`, `png`,
    `jpeg`, `openslide:<vendor>`."""
    vendor: str
    reader: str
    """The library whose metadata we trusted: `tiffslide`, `wsidicom`, `pydicom`, `pillow`, `openslide`."""
    width_px: int
    height_px: int
    """Level-0 size, area outside the bounds included."""
    levels: tuple[Level, ...]
    mpp: float
    """Micrometres per level-0 pixel (one number: pixels are square within 1 %, else the slide is refused)."""
    mpp_source: MppSource
    mpp_stated: float | None
    """What the file itself says, kept beside an override."""
    objective_power: float | None
    bounds: Box
    """The scanned part in level-0 px; the whole slide where the file names none."""
    has_icc: bool
    compression: str
    technical: dict[str, str] = field(default_factory=dict)
    """Allow-listed technical fields only (scanner model, software); never dates, names, labels or free text."""
    warnings: tuple[str, ...] = ()


class Slide(Protocol):
    """A slide open for reading. Safe to read from several threads at once."""

    @property
    def info(self) -> SlideInfo:
        """What is known of the slide."""
        ...

    def read(self, box: Box, mpp: float) -> RGB:
        """The pixels of `box` in the frame of the slide at `mpp`.

        Pixel (i, j) of that frame covers level-0 columns [i, i+1) * mpp / info.mpp and rows [j, j+1) * mpp / info.mpp:
        the frame's origin is level 0's origin. A pixel's value depends on the slide, mpp and (i, j) alone, never on the
        box it is read with. Outside the level, and where the file holds no tile, pixels are white (255). At an mpp that
        equals a level's (within 1e-6 relative) pixels are that level's, unresampled.

        Returns
        -------
        uint8, (box.height, box.width, 3), C-contiguous, RGB.

        Raises
        ------
        SlideUnreadableError
            A tile of the box cannot be decoded. Never blank pixels instead.
        """
        ...

    def close(self) -> None:
        """Release the file; reading afterwards raises."""
        ...


def frame_mpp(info: SlideInfo, wanted_mpp: float, tolerance: float = 0.02) -> float:
    """The mpp to work at for a network made for `wanted_mpp`.

    A level whose mpp lies within `tolerance` (relative) of the wanted one is used as it is: no resampling, and geometry
    stays exact because the frame carries the true mpp. Otherwise the wanted mpp itself, resampled.
    """
    near = [lvl.downsample * info.mpp for lvl in info.levels]
    best = min(near, key=lambda m: abs(m / wanted_mpp - 1))
    return best if abs(best / wanted_mpp - 1) <= tolerance else wanted_mpp


def frame_size(info: SlideInfo, mpp: float) -> tuple[int, int]:
    """(width, height) of the slide's frame at `mpp`: every level-0 pixel is inside."""
    scale = mpp / info.mpp
    sides = (math.ceil(side / scale - WHOLE_WITHIN) for side in (info.width_px, info.height_px))
    width_px, height_px = (max(1, side) for side in sides)
    return width_px, height_px
