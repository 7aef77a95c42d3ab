"""The scanner: its optics, where it lost focus, its sensor's noise."""

import math

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import stream, uniform
from training.phantom.noise import Textures, smooth_noise, textures
from training.phantom.spec import BRIGHT_FIELD, PhantomSpec, Stain
from training.phantom.tissue import threshold

Light = NDArray[np.float32]
RGB = NDArray[np.uint8]
DEFOCUS_UM = 1.6


def halo_px(spec: PhantomSpec) -> int:
    """Pixels beyond a block that its own pixels depend on."""
    sharp = len(_kernel(spec.blur_um / spec.mpp)) // 2
    return sharp + (len(_kernel(DEFOCUS_UM / spec.mpp)) // 2 if spec.defocus > 0 else 0)


def scan(
    spec: PhantomSpec, stain: Stain, light: Light, lit: NDArray[np.float32], box: tuple[int, int, int, int]
) -> RGB:
    """What the sensor gives for `box` (x, y, side, halo) of `light`; uint8 (side, side, 3).

    `lit` says how much of each pixel is tissue: bare glass carries no noise, so that empty tiles are all the same.
    """
    x_px, y_px, side, halo = box
    if stain == "mask":
        return _bytes(_inner(light, halo))
    seen = _blurred(light, spec.blur_um / spec.mpp)
    if spec.defocus > 0:
        amount = _defocus(spec, box, light.shape[1])
        if amount.any():
            seen = seen + (_blurred(seen, DEFOCUS_UM / spec.mpp) - seen) * amount
    seen = _inner(seen, halo)
    if spec.noise > 0 and stain in BRIGHT_FIELD:
        grain = textures(spec.seed, spec.mpp).white
        u, v = uniform(stream(spec.seed, f"noise/{stain}"), np.array([x_px]), np.array([y_px]), 2)[:, 0]
        for channel in range(3):
            at = int(u * 997) + 331 * channel, int(v * 1009)
            seen[channel] += spec.noise * Textures.window(grain, *at, side, side) * _inner(lit[None], halo)[0]
    return _bytes(seen)


def _defocus(spec: PhantomSpec, box: tuple[int, int, int, int], size: int) -> NDArray[np.float32]:
    """How far from focus each pixel is, 0 to 1, in patches of about a millimetre."""
    x_px, y_px, _, halo = box
    step = 16
    xs = (x_px - halo + np.arange(0, size + step, step)) * spec.mpp
    ys = (y_px - halo + np.arange(0, size + step, step)) * spec.mpp
    x, y = np.meshgrid(xs, ys)
    coarse = smooth_noise(stream(spec.seed, "focus"), x, y, 900.0) - threshold(spec.defocus)
    at = np.arange(size) / step
    low, t = at.astype(np.int64), (at % 1)[:, None]
    rows = coarse[low] * (1 - t) + coarse[low + 1] * t
    columns = rows[:, low] * (1 - t.T) + rows[:, low + 1] * t.T
    return np.clip(columns / 0.3, 0.0, 1.0).astype(np.float32)


def _kernel(sigma_px: float) -> NDArray[np.float32]:
    radius = math.ceil(2.5 * sigma_px) if sigma_px > 0.15 else 0
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma_px, 1e-3)) ** 2)
    kernel: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return kernel


def _blurred(light: Light, sigma_px: float) -> Light:
    """Gaussian blur of the last two axes; edges repeat (they lie in the halo)."""
    kernel = _kernel(sigma_px)
    radius = len(kernel) // 2
    if radius == 0:
        return light.copy()
    for axis in (1, 2):
        margin = [(0, 0)] * 3
        margin[axis] = (radius, radius)
        padded = np.pad(light, margin, mode="edge")
        size = light.shape[axis]
        light = kernel[radius] * _shifted(padded, axis, radius, size)
        for k in range(radius):
            both = _shifted(padded, axis, k, size) + _shifted(padded, axis, 2 * radius - k, size)
            light += kernel[k] * both
    return light


def _shifted(padded: Light, axis: int, start: int, size: int) -> Light:
    return padded[:, start : start + size] if axis == 1 else padded[:, :, start : start + size]


def _inner(light: Light, halo: int) -> Light:
    return light[:, halo : light.shape[1] - halo, halo : light.shape[2] - halo].copy() if halo else light.copy()


def _bytes(light: Light) -> RGB:
    levels = np.clip(light + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, 2))
