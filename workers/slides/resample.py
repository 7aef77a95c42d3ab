"""Antialiased resampling in which a pixel's value depends on its place alone.

A separable tent filter, as wide as one output pixel on each side (bilinear interpolation where the output is finer).
Weights are integers that depend on the output pixel's absolute index, sums are exact integers: whatever box is
read, whatever order sums are taken in, the bytes are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from workers.slides.slide import RGB

WEIGHT_BITS = 11
KEPT_BITS = 4
"""Fractional bits kept between the two passes: 8 + 4 bits times 11 bits stays far below 31."""


@dataclass(frozen=True)
class Axis:
    """Which source pixels a run of output pixels needs along one axis, and with which weights."""

    start: int
    """First source pixel."""
    length: int
    """Source pixels from `start`."""
    weights: csr_array
    """int32 (outputs, length); every row sums to 2 ** WEIGHT_BITS."""


def plan_axis(first: int, count: int, scale: float) -> Axis:
    """The source pixels and weights of output pixels `first` .. `first + count - 1`.

    Output pixel i covers source [i * scale, (i + 1) * scale); its tent has its top in the middle of that and reaches
    `max(scale, 1)` source pixels to each side.

    Parameters
    ----------
    first, count
        Absolute indices along one axis; `first` may be negative.
    scale
        Source pixels per output pixel, > 0.
    """
    reach = max(scale, 1.0)
    centres = (np.arange(first, first + count, dtype=np.float64) + 0.5) * scale - 0.5
    lows = np.floor(centres - reach).astype(np.int64) + 1
    taps = int(np.ceil(2 * reach)) + 1
    sources = lows[:, None] + np.arange(taps)
    tents = np.maximum(0.0, 1.0 - np.abs(sources - centres[:, None]) / reach)
    whole = _round_to_sum(tents / tents.sum(axis=1, keepdims=True))
    start, stop = int(lows[0]), int(lows[-1]) + taps
    rows = np.repeat(np.arange(count, dtype=np.int32), taps)
    columns = (sources - start).astype(np.int32).ravel()
    matrix = csr_array((whole.ravel(), (rows, columns)), shape=(count, stop - start), dtype=np.int32)
    matrix.eliminate_zeros()
    return Axis(start, stop - start, matrix)


def _round_to_sum(weights: NDArray[np.float64]) -> NDArray[np.int32]:
    """Integers whose rows sum to 2 ** WEIGHT_BITS exactly; what rounding left over goes to the largest."""
    whole = np.rint(weights * (1 << WEIGHT_BITS)).astype(np.int32)
    largest = whole.argmax(axis=1)
    whole[np.arange(len(whole)), largest] += (1 << WEIGHT_BITS) - whole.sum(axis=1, dtype=np.int32)
    return whole


def resample(source: RGB, rows: Axis, columns: Axis) -> RGB:
    """The output pixels of two planned axes.

    Parameters
    ----------
    source
        uint8 (rows.length, columns.length, 3): the source pixels both plans name.

    Returns
    -------
    uint8 (outputs of rows, outputs of columns, 3).
    """
    height, width = source.shape[:2]
    down = rows.weights @ source.reshape(height, width * 3).astype(np.int32)
    shift = WEIGHT_BITS - KEPT_BITS
    down += 1 << (shift - 1)
    down >>= shift
    turned = np.ascontiguousarray(down.reshape(-1, width, 3).transpose(1, 0, 2)).reshape(width, -1)
    across = columns.weights @ turned
    shift = WEIGHT_BITS + KEPT_BITS
    across += 1 << (shift - 1)
    across >>= shift
    pixels = across.astype(np.uint8).reshape(columns.weights.shape[0], -1, 3)
    return np.ascontiguousarray(pixels.transpose(1, 0, 2))
