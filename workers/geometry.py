"""Boxes and scales. Geometry is (x, y), (width, height); arrays are (H, W, C)."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Box:
    """A half-open rectangle [x, x + width) by [y, y + height), in pixels of a frame that its user names."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def is_empty(self) -> bool:
        """True where the box holds no pixel."""
        return self.width <= 0 or self.height <= 0

    def grow(self, margin_px: int) -> "Box":
        """The box with a margin on each side."""
        return Box(self.x - margin_px, self.y - margin_px, self.width + 2 * margin_px, self.height + 2 * margin_px)

    def shift(self, dx: int, dy: int) -> "Box":
        """The box moved by (dx, dy)."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)

    def intersect(self, other: "Box") -> "Box":
        """The part common to both; empty (zero sides) where they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width = max(0, min(self.right, other.right) - x)
        height = max(0, min(self.bottom, other.bottom) - y)
        return Box(x, y, width, height)

    def contains(self, other: "Box") -> bool:
        """True where every pixel of `other` is in this box."""
        return self.x <= other.x and self.y <= other.y and self.right >= other.right and self.bottom >= other.bottom

    def divide(self, stride: int) -> "Box":
        """The box in a frame `stride` times coarser; its sides must lie on that grid."""
        values = (self.x, self.y, self.width, self.height)
        if any(v % stride for v in values):
            raise ValueError(f"{self} does not lie on a grid of {stride} px")
        return Box(*(v // stride for v in values))


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


def round_down(value: int, step: int) -> int:
    """The largest multiple of `step` that is not above `value`."""
    return value // step * step


@dataclass(frozen=True)
class Frame:
    """A slide's pixels at one mpp: the coordinate system of everything the engine computes.

    The origin is level 0's origin; pixel (i, j) covers level-0 columns [i, i+1) * scale and rows [j, j+1) * scale.
    """

    mpp: float
    width_px: int
    height_px: int
    level0_mpp: float
    bounds: Box
    """The scanned part of the slide, in level-0 px."""

    @property
    def scale(self) -> float:
        """Level-0 pixels per frame pixel."""
        return self.mpp / self.level0_mpp

    @property
    def box(self) -> Box:
        """The whole frame."""
        return Box(0, 0, self.width_px, self.height_px)
