"""Smooth noise at any point of the plane, and tileable textures for what is finer than a cell."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream, uniform

Texture = NDArray[np.float32]
TEXTURE_PX = 512
SCALE = 4.65
"""Brings the spread to one."""
SPACING = 1.3
"""Lattice points in parts of the wavelength: a wave takes about as much as lies between one point and the next."""
LARGEST_NOISE = SCALE * math.sqrt(0.5)
FIBRE_SHAPE = (1024, 512)
FIBRE_PITCH_UM = (0.22, 1.0)


def smooth_noise(key: int, x_um: Floats, y_um: Floats, wavelength_um: float) -> Floats:
    """Band-limited noise at the points, about zero mean and unit spread, within +-`LARGEST_NOISE`; shape of `x_um`.

    Lattice points have random slopes; between them a quintic blend. Each key turns its lattice by an angle of its own,
    so that no direction shows where fields meet.

    References
    ----------
    Perlin 2002, doi 10.1145/566654.566636.
    """
    turn = (key % 4096) / 4096 * 2 * math.pi
    spacing = SPACING * wavelength_um
    along, aside = math.cos(turn) / spacing, math.sin(turn) / spacing
    fx, fy = x_um * along - y_um * aside, x_um * aside + y_um * along
    ix, iy = np.floor(fx).astype(np.int64), np.floor(fy).astype(np.int64)
    if ix.size == 0:
        return np.zeros_like(fx)
    left, top = int(ix.min()), int(iy.min())
    columns, rows = np.arange(left, int(ix.max()) + 2), np.arange(top, int(iy.max()) + 2)
    angles = uniform(key, *np.meshgrid(columns, rows))[0].ravel() * (2 * np.pi)
    slopes = np.cos(angles) * SCALE, np.sin(angles) * SCALE
    at = (iy - top) * len(columns) + (ix - left)
    fx, fy = fx - ix, fy - iy
    blend_x, blend_y = _quintic(fx), _quintic(fy)
    upper = _between(slopes, at, fx, fy, blend_x)
    lower = _between(slopes, at + len(columns), fx, fy - 1.0, blend_x)
    return upper + (lower - upper) * blend_y


def _between(slopes: tuple[Floats, Floats], at: NDArray[np.int64], dx: Floats, dy: Floats, blend: Floats) -> Floats:
    """The blend of what the lattice points at `at` and one to the right say."""
    along, down = slopes
    one = along[at] * dx + down[at] * dy
    other = along[at + 1] * (dx - 1.0) + down[at + 1] * dy
    blended: Floats = one + (other - one) * blend
    return blended


def _quintic(t: Floats) -> Floats:
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@dataclass(frozen=True)
class Textures:
    """Tileable noise of unit spread at one mpp; what is finer than a cell is looked up here."""

    fine: Texture
    """Granules of about 0.7 um."""
    medium: Texture
    """Mottling of about 3 um."""
    chromatin: Texture
    """Clumps of about 1.2 um."""
    threads: Texture
    """Ridges, as condensing chromosomes show."""
    bundle: Texture
    """Bundles of collagen: 0.22 um a row across them, 1 um a column along."""
    thread: Texture
    """Fibres within, on the same grid."""
    white: Texture
    """Uncorrelated: the sensor's noise."""

    @staticmethod
    def window(texture: Texture, x_px: int, y_px: int, width: int, height: int) -> Texture:
        """The repeated texture from (x_px, y_px) on; (height, width)."""
        rows = np.arange(y_px, y_px + height) % texture.shape[0]
        columns = np.arange(x_px, x_px + width) % texture.shape[1]
        window: Texture = texture.take(rows, axis=0).take(columns, axis=1)
        return window


@lru_cache(maxsize=4)
def textures(seed: int, mpp: float) -> Textures:
    """The textures of a seed at an mpp; kept, because every block asks for them."""
    ridged = 1.0 - 2.2 * np.abs(_band(stream(seed, "threads"), mpp, (0.9, 2.2), TEXTURE_PX))
    return Textures(
        fine=_band(stream(seed, "fine"), mpp, (0.5, 1.4), TEXTURE_PX - 25),
        medium=_band(stream(seed, "medium"), mpp, (2.0, 7.0), TEXTURE_PX + 57),
        chromatin=_band(stream(seed, "chromatin"), mpp, (1.5, 4.5), TEXTURE_PX),
        threads=_unit(ridged),
        bundle=_fibre(stream(seed, "bundle"), (4.5, 45.0), 26.0),
        thread=_fibre(stream(seed, "thread"), (1.1, 5.0), 9.0),
        white=_generator(stream(seed, "white")).standard_normal((997, 1009), dtype=np.float32),
    )


def _generator(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def _band(key: int, mpp: float, band_um: tuple[float, float], size: int) -> Texture:
    """Noise of wavelengths within `band_um`; what the mpp cannot show is left out."""
    spectrum = np.fft.rfft2(_generator(key).standard_normal((size, size)))
    cycles_per_um = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) / mpp
    short, long = max(band_um[0], 2 * mpp), max(band_um[1], 4 * mpp)
    keep = np.exp(-((cycles_per_um * short * 0.7) ** 2)) * (1 - np.exp(-((cycles_per_um * long) ** 2)))
    return _unit(np.fft.irfft2(spectrum * keep, s=(size, size)))


def _fibre(key: int, across_um: tuple[float, float], along_um: float) -> Texture:
    """Noise of wavelengths within `across_um` down its rows, stretched to `along_um` along its columns."""
    spectrum = np.fft.rfft2(_generator(key).standard_normal(FIBRE_SHAPE))
    across = np.abs(np.fft.fftfreq(FIBRE_SHAPE[0]))[:, None] / FIBRE_PITCH_UM[0]
    along = np.fft.rfftfreq(FIBRE_SHAPE[1])[None] / FIBRE_PITCH_UM[1]
    band = np.exp(-((across * across_um[0]) ** 2)) * (1 - np.exp(-((across * across_um[1]) ** 2)))
    return _unit(np.fft.irfft2(spectrum * band * np.exp(-((along * along_um) ** 2)), s=FIBRE_SHAPE))


def _unit(values: NDArray[np.floating]) -> Texture:
    centred = values - values.mean()
    return np.ascontiguousarray(centred / max(float(centred.std()), 1e-9), dtype=np.float32)
