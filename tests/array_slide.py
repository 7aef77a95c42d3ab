"""A slide made of an array: every rule of `Slide.read`, in arithmetic slow enough to trust."""

import numpy as np

from workers.geometry import Box
from workers.slides.slide import Level, SlideInfo


class ArraySlide:
    """RGB pixels with a stated mpp; other resolutions are nearest pixels, so that a value never depends on the box."""

    def __init__(self, rgb: np.ndarray, mpp: float, bounds: Box | None = None) -> None:
        height, width = rgb.shape[:2]
        self._rgb = rgb
        self._info = SlideInfo(
            format="array",
            vendor="none",
            reader="tests",
            width_px=width,
            height_px=height,
            levels=(Level(0, width, height, 1.0),),
            mpp=mpp,
            mpp_source="override",
            mpp_stated=None,
            objective_power=None,
            bounds=bounds or Box(0, 0, width, height),
            has_icc=False,
            compression="none",
        )

    @property
    def info(self) -> SlideInfo:
        return self._info

    def read(self, box: Box, mpp: float) -> np.ndarray:
        scale = mpp / self._info.mpp
        columns = np.floor((np.arange(box.x, box.right) + 0.5) * scale).astype(int)
        rows = np.floor((np.arange(box.y, box.bottom) + 0.5) * scale).astype(int)
        out = np.full((box.height, box.width, 3), 255, dtype=np.uint8)
        inside_x = (columns >= 0) & (columns < self._info.width_px)
        inside_y = (rows >= 0) & (rows < self._info.height_px)
        out[np.ix_(inside_y, inside_x)] = self._rgb[np.ix_(rows[inside_y], columns[inside_x])]
        return out

    def close(self) -> None:
        """Nothing to release."""
