"""Slides painted for the tests: glass, stained discs, strokes of ink."""

import numpy as np

from tests.array_slide import ArraySlide
from workers.geometry import Box
from workers.slides.slide import Level, SlideInfo

MPP = 8.0
GLASS = (242, 241, 242)
STAINS = {
    "hematoxylin": (0.650, 0.704, 0.286),
    "eosin": (0.072, 0.990, 0.105),
    "dab": (0.268, 0.570, 0.776),
}
"""Unit vectors of optical density in red, green, blue: Ruifrok and Johnston 2001 (eosin's is theirs)."""
INKS = {"blue": (35, 70, 190), "green": (30, 150, 110), "black": (15, 15, 18), "red": (215, 20, 35)}


def glass(height: int = 300, width: int = 400, level: tuple[int, int, int] = GLASS) -> np.ndarray:
    """Even glass, float32 (H, W, 3)."""
    return np.broadcast_to(np.array(level, dtype=np.float32), (height, width, 3)).copy()


def disc(shape: tuple[int, ...], x: float, y: float, radius: float) -> np.ndarray:
    """True inside a disc; pixel (i, j) lies at (i + 0.5, j + 0.5)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2


def band(shape: tuple[int, ...], top: int, bottom: int) -> np.ndarray:
    """True in the rows from `top` to `bottom`."""
    mask = np.zeros(shape[:2], dtype=bool)
    mask[top:bottom] = True
    return mask


def stain(canvas: np.ndarray, where: np.ndarray, amounts: dict[str, float], seed: int = 0) -> np.ndarray:
    """The canvas with light taken away as the stains' densities say, varying by a tenth from pixel to pixel."""
    amount = 1 + 0.1 * np.random.default_rng(seed).standard_normal(where.shape)
    density = sum(part * np.array(STAINS[name]) for name, part in amounts.items())
    passed = 10.0 ** (-amount[..., None] * density)
    return np.where(where[..., None], canvas * passed, canvas).astype(np.float32)


def draw(canvas: np.ndarray, where: np.ndarray, ink: str) -> np.ndarray:
    """The canvas under ink: what the ink lets through of what the canvas lets through."""
    return np.where(where[..., None], canvas * np.array(INKS[ink]) / 255, canvas).astype(np.float32)


def slide(canvas: np.ndarray, mpp: float = MPP, bounds: Box | None = None, noise: float = 0.0) -> ArraySlide:
    """A slide of a canvas, with grey noise of that many levels."""
    rough = canvas + noise * np.random.default_rng(1).standard_normal(canvas.shape)
    return ArraySlide(np.clip(np.rint(rough), 0, 255).astype(np.uint8), mpp, bounds)


class EndlessSlide:
    """A slide of any size whose pixels are arithmetic: glass, but for a stained square; counts the pixels it gave."""

    def __init__(self, side_px: int, mpp: float, square: Box) -> None:
        levels = (Level(0, side_px, side_px, 1.0),)
        bounds = Box(0, 0, side_px, side_px)
        self.info = SlideInfo(
            "array", "none", "tests", side_px, side_px, levels, mpp, "override", None, None, bounds, False, "none"
        )
        self._square = square
        self.most_px = 0

    def read(self, box: Box, mpp: float) -> np.ndarray:
        """Pixels of the box: those whose centre lies in the square are stained."""
        scale = mpp / self.info.mpp
        self.most_px = max(self.most_px, box.width * box.height)
        x, y = ((np.arange(a, b) + 0.5) * scale for a, b in ((box.x, box.right), (box.y, box.bottom)))
        inside = ((y >= self._square.y) & (y < self._square.bottom))[:, None] & (
            (x >= self._square.x) & (x < self._square.right)
        )
        return np.where(inside[..., None], np.uint8([200, 90, 160]), np.uint8(GLASS))

    def close(self) -> None:
        """Nothing to release."""
