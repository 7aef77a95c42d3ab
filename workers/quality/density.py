"""Optical density of pictures: 0 is white, 1 lets a tenth of the light through."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Channels = tuple[Floats, Floats, Floats]


def densities(rgb: NDArray[np.uint8]) -> Channels:
    """Optical density of red, green and blue of uint8 (..., 3), float32 (...) each.

    References
    ----------
    Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution, 2001 (PMID 11531144).
    """
    table = -np.log10((np.arange(256, dtype=np.float32) + 1) / 256)
    return table[rgb[..., 0]], table[rgb[..., 1]], table[rgb[..., 2]]


def mean(channels: Channels) -> Floats:
    """The channels' mean: how much matter."""
    return (channels[0] + channels[1] + channels[2]) / np.float32(3)


def spread(channels: Channels) -> Floats:
    """The largest less the smallest channel: how coloured; grey has none."""
    red, green, blue = channels
    return np.asarray(np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue))
