"""Small patches of one structure picture found again in another: normalised cross-correlation, many at once.

References
----------
Lewis, Fast normalized cross-correlation, Vision Interface, 1995.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from workers.registration.maps import Points
from workers.registration.structure import Floats, Mask

CHUNK = 64
"""Patches in one batch of transforms: bounds memory."""
RIVAL_PART = 0.15
"""A second peak is a rival where it lies further from the first than this part of the patch."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Where each patch was found: centres (n, 2), shifts (n, 2) in px, correlation at the peak, and its lead over the
    best rival."""

    centres: Points
    shifts: Points
    peaks: Points
    leads: Points

    def __len__(self) -> int:
        return len(self.centres)


def patch_centres(
    tissue: Mask, patch_px: int, step_px: int, offset_px: int = 0, least: float = 0.25
) -> NDArray[np.int64]:
    """Centres (n, 2) on a grid whose patches lie inside the picture and hold tissue in a part of at least `least`."""
    half = patch_px // 2
    rows = np.arange(half + offset_px, tissue.shape[0] - half + 1, step_px)
    columns = np.arange(half + offset_px, tissue.shape[1] - half + 1, step_px)
    sums = np.pad(np.cumsum(np.cumsum(tissue, axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0)))
    y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    held = sums[y + half, x + half] - sums[y - half, x + half] - sums[y + half, x - half] + sums[y - half, x - half]
    return np.asarray(np.column_stack([x, y])[held >= least * (2 * half) ** 2])


def match_patches(fixed: Floats, moving: Floats, centres: NDArray[np.int64], patch_px: int, search_px: int) -> Matches:
    """For patches of `fixed`, the shift within `search_px` at which `moving` (same frame) correlates best."""
    half = patch_px // 2
    around = np.pad(moving, half + search_px)
    found = [_match(fixed, around, centres[i : i + CHUNK], half, search_px) for i in range(0, len(centres), CHUNK)] or [
        np.zeros((0, 4))
    ]
    table = np.concatenate(found)
    return Matches(centres.astype(np.float64), table[:, :2], table[:, 2], table[:, 3])


def _match(fixed: Floats, around: Floats, centres: NDArray[np.int64], half: int, search_px: int) -> Points:
    side, reach = 2 * half, 2 * (half + search_px)
    patches = _cut(fixed, centres - half, side)
    windows = _cut(around, centres, reach)
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    size = fft.next_fast_len(reach, real=True)
    spectrum = fft.rfft2(windows, (size, size)) * np.conj(fft.rfft2(patches, (size, size)))
    count = 2 * search_px + 1
    products = fft.irfft2(spectrum, (size, size))[:, :count, :count]
    first, second = (_box_sums(windows**power, side) for power in (1, 2))
    spread = np.maximum(second - first**2 / side**2, 1e-3 * side**2)
    own = np.maximum((patches**2).sum(axis=(1, 2)), 1e-3 * side**2)
    return _peaks(products / np.sqrt(spread * own[:, None, None]), search_px, RIVAL_PART * side)


def _cut(image: Floats, corners: NDArray[np.int64], side: int) -> Floats:
    view = np.lib.stride_tricks.sliding_window_view(image, (side, side))
    return np.asarray(view[corners[:, 1], corners[:, 0]])


def _box_sums(windows: Floats, side: int) -> Points:
    sums = np.pad(windows.astype(np.float64).cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    return np.asarray(sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side])


def _peaks(scores: Points, search_px: int, rival_px: float) -> Points:
    """Shift x, shift y (below a pixel by a parabola), peak and lead of each score map."""
    count, side = len(scores), scores.shape[1]
    best = scores.reshape(count, -1).argmax(axis=1)
    y, x = best // side, best % side
    peak = scores[np.arange(count), y, x]
    places = np.arange(side)
    near = (places[None, :, None] - y[:, None, None]) ** 2 + (places[None, None, :] - x[:, None, None]) ** 2
    rival = np.where(near > rival_px**2, scores, -1.0).max(axis=(1, 2))
    dx = x - search_px + _vertex(scores, y, x, 0, 1)
    dy = y - search_px + _vertex(scores, y, x, 1, 0)
    return np.column_stack([dx, dy, peak, peak - rival])


def _vertex(scores: Points, y: NDArray[np.int64], x: NDArray[np.int64], down: int, right: int) -> Points:
    """Offset of the parabola through a peak and its two neighbours; 0 on the rim."""
    last, rows = scores.shape[1] - 1, np.arange(len(scores))
    inside = (y >= down) & (y <= last - down) & (x >= right) & (x <= last - right)
    before = scores[rows, np.maximum(y - down, 0), np.maximum(x - right, 0)]
    after = scores[rows, np.minimum(y + down, last), np.minimum(x + right, last)]
    bend = before - 2 * scores[rows, y, x] + after
    offset = np.where(inside & (bend < -1e-9), (before - after) / np.minimum(2 * bend, -1e-9), 0.0)
    return np.asarray(np.clip(offset, -0.5, 0.5))
