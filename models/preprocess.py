"""From RGB tiles to what a network eats. Shared by training and use."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.manifest import InputSpec

Tiles = NDArray[np.uint8]


def to_input(tiles: Tiles, spec: InputSpec) -> NDArray[np.float32] | Tiles:
    """The network's input for RGB tiles, uint8 (N, H, W, 3): (value * scale - mean) / std in the layout it wants.

    A network that takes bytes gets them as they are, in its layout. Stain normalisation is not done here: it is fitted
    per slide (`models.stain`).
    """
    if spec.resize_px is not None:
        tiles = resize_tiles(tiles, spec.resize_px)
    ordered = tiles if spec.layout == "NHWC" else np.ascontiguousarray(tiles.transpose(0, 3, 1, 2))
    if spec.dtype == "uint8":
        return ordered
    shape = (1, 1, 1, 3) if spec.layout == "NHWC" else (1, 3, 1, 1)
    mean, std = (np.asarray(v, np.float64).reshape(shape) for v in (spec.mean, spec.std))
    factor, offset = (spec.scale / std).astype(np.float32), (mean / std).astype(np.float32)
    values = ordered.astype(np.float32)
    values *= factor
    values -= offset
    return values


def resize_tiles(tiles: Tiles, side_px: int) -> Tiles:
    """Tiles resized to a square of `side_px`, bilinear with antialiasing, as torchvision's Resize does for images."""
    if tiles.shape[1:3] == (side_px, side_px):
        return tiles
    size = (side_px, side_px)
    return np.stack([np.asarray(Image.fromarray(t).resize(size, Image.Resampling.BILINEAR)) for t in tiles])
