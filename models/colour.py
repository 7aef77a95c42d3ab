"""Colour spaces of bright-field slides: optical density, hematoxylin-eosin-DAB, CIELAB.

Optical density here is -ln((value + 1) / 256): 0 for white, finite for black, additive in the amount of dye.
"""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

DENSITY_OF_BYTE: Floats = (-np.log((np.arange(256) + 1) / 256)).astype(np.float32)
_MEASURED = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
HED_VECTORS: Floats = (_MEASURED / np.linalg.norm(_MEASURED, axis=1, keepdims=True)).astype(np.float32)
"""Red, green and blue densities of hematoxylin, eosin and DAB as Ruifrok and Johnston measured them, unit vectors."""

_LINEAR_OF_BYTE: Floats = np.where(
    np.arange(256) <= 0.04045 * 255, np.arange(256) / 255 / 12.92, ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4
).astype(np.float32)
_XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_STEPS = 1 << 14
_KNEE = 6 / 29


def optical_density(rgb: Bytes) -> Floats:
    """Optical densities, float32, of RGB bytes of the same shape (..., 3)."""
    return np.asarray(DENSITY_OF_BYTE[rgb])


def from_density(density: Floats) -> Bytes:
    """RGB bytes of optical densities (..., 3): the inverse of `optical_density`, clipped to 0..255."""
    return np.asarray(np.clip(np.rint(np.exp(-density) * 256 - 1), 0, 255), dtype=np.uint8)


def to_hed(rgb: Bytes) -> Floats:
    """Amounts of hematoxylin, eosin and DAB (..., 3), in optical density, of RGB bytes.

    References
    ----------
    Ruifrok and Johnston 2001, Quantification of histochemical staining by color deconvolution, Anal Quant Cytol Histol
    23:291-299, PMID 11531144 (the journal has no DOI).
    """
    return np.asarray(optical_density(rgb) @ np.linalg.inv(HED_VECTORS), dtype=np.float32)


def from_hed(amounts: Floats) -> Bytes:
    """RGB bytes of amounts of hematoxylin, eosin and DAB (..., 3): the inverse of `to_hed`."""
    return from_density(amounts @ HED_VECTORS)


def to_lab(rgb: Bytes) -> Floats:
    """CIELAB (L 0..100, a, b), float32 (..., 3), of sRGB bytes under D65.

    References
    ----------
    CIE 15:2018 (doi:10.25039/TR.015.2018); IEC 61966-2-1 for sRGB.
    """
    white = _XYZ_OF_RGB.sum(axis=1)
    relative = _LINEAR_OF_BYTE[rgb] @ (_XYZ_OF_RGB / white[:, np.newaxis]).T.astype(np.float32)
    f = np.where(relative > _KNEE**3, np.cbrt(relative), relative / (3 * _KNEE**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def from_lab(lab: Floats) -> Bytes:
    """sRGB bytes of CIELAB (..., 3), clipped to what sRGB can show: the inverse of `to_lab`."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    relative = np.where(f > _KNEE, f * f * f, (f - np.float32(4 / 29)) * np.float32(3 * _KNEE**2))
    white = _XYZ_OF_RGB.sum(axis=1)
    linear = relative @ (np.linalg.inv(_XYZ_OF_RGB) * white).T.astype(np.float32)
    return np.asarray(_BYTE_OF_LINEAR[np.clip(linear * _STEPS, 0, _STEPS).astype(np.int32)])


def _bytes_of_linear() -> Bytes:
    """The sRGB curve as a table: fine enough that a step is a tenth of a byte where the curve is steepest."""
    linear = (np.arange(_STEPS + 1) + 0.5) / _STEPS
    curve = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(np.rint(curve * 255), 0, 255), dtype=np.uint8)


_BYTE_OF_LINEAR = _bytes_of_linear()
