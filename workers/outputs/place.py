"""Where a map lies on its slide."""

from dataclasses import asdict, dataclass
from typing import Any

from workers.geometry import Box, Frame
from workers.result import NOTICE

Point = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """The way from a map's pixels to the slide's; corners of pixels to corners of pixels, never centres."""

    mpp: float
    """Of the map."""
    level0_mpp: float
    bounds: Box
    """The scanned part, level-0 px."""

    @property
    def scale(self) -> float:
        """Level-0 px per map px."""
        return self.mpp / self.level0_mpp

    @property
    def affine(self) -> list[list[float]]:
        """[[a, b, c], [d, e, f]]: (x, y) in map px lies at (a x + b y + c, d x + e y + f) in level-0 px."""
        return [[self.scale, 0.0, 0.0], [0.0, self.scale, 0.0]]

    def metadata(self) -> dict[str, Any]:
        """What every output carries."""
        return {
            "notice": NOTICE,
            "mpp": self.mpp,
            "level0_mpp": self.level0_mpp,
            "level0_affine": self.affine,
            "bounds": asdict(self.bounds),
        }


def place_of(frame: Frame, stride_px: int = 1) -> Place:
    """The place of a map whose pixel is `stride_px` frame pixels wide."""
    return Place(frame.mpp * stride_px, frame.level0_mpp, frame.bounds)
