"""Nuclei drawn onto a canvas: how much hematoxylin, how deep inside which nucleus, each pixel is."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream, uniform
from training.phantom.figures import draw_figure
from training.phantom.noise import Textures
from training.phantom.nucleus import Nuclei
from training.phantom.outline import distance_inside

Map = NDArray[np.float32]
STEP_PX = 8
BATCH = 64
OUTSIDE_UM = -9.0


@dataclass(frozen=True)
class Canvas:
    """A window of the slide, (height, width) px whose first pixel is (x_px, y_px), and what was drawn on it."""

    x_px: int
    y_px: int
    mpp: float
    chromatin: Map
    """Hematoxylin of nuclei."""
    cover: Map
    """How much of the pixel is nucleus, 0 to 1."""
    inside: Map
    """Distance in um from the outline of the nucleus that the pixel belongs to; negative outside."""
    owner: NDArray[np.int32]
    """1 + index of that nucleus; 0 outside of all."""
    aura: Map
    """Around dying and dividing cells: above zero pink, below zero clear."""

    @staticmethod
    def blank(x_px: int, y_px: int, size: tuple[int, int], mpp: float) -> "Canvas":
        """An empty canvas of (height, width)."""
        zeros = [np.zeros(size, dtype=np.float32) for _ in range(3)]
        inside = np.full(size, OUTSIDE_UM, dtype=np.float32)
        return Canvas(x_px, y_px, mpp, zeros[0], zeros[1], inside, np.zeros(size, dtype=np.int32), zeros[2])


@dataclass(frozen=True)
class Patches:
    """Small squares (n, s, s) around nuclei, first pixels at (left, top) of the slide."""

    left: NDArray[np.int64]
    top: NDArray[np.int64]
    inside: Map
    chromatin: Map
    cover: Map


def stamp(canvas: Canvas, nuclei: Nuclei, at_px: tuple[Floats, Floats], grain: Textures, seed: int) -> None:
    """Draw the nuclei centred at slide coordinates `at_px`.

    Small before large, then in the order given, figures last: two that lie over each other come in the same order
    whatever window they are drawn in.
    """
    ordinary = np.flatnonzero(~nuclei.special)
    for which in _batches(nuclei, ordinary, canvas.mpp):
        part, at = nuclei.take(which), (at_px[0][which], at_px[1][which])
        patches = _plain(part, at, canvas.mpp, grain, seed)
        for n, index in enumerate(which):
            _press(canvas, patches, n, int(index))
    for index in np.flatnonzero(nuclei.special):
        one = np.array([index])
        part, at = nuclei.take(one), (at_px[0][one], at_px[1][one])
        patches, aura = _special(part, at, canvas.mpp, grain)
        _press(canvas, patches, 0, int(index))
        _breathe(canvas, patches, aura)


def _batches(nuclei: Nuclei, which: NDArray[np.int64], mpp: float) -> Iterator[NDArray[np.int64]]:
    """Nuclei of about one size together, so that a batch shares one patch size."""
    sides = _side_px(nuclei.major[which], mpp)
    for side in np.unique(sides):
        same = which[sides == side]
        for start in range(0, len(same), BATCH):
            yield same[start : start + BATCH]


def _side_px(major_um: Floats, mpp: float) -> NDArray[np.int64]:
    reach = (1.25 * major_um + 0.8) / mpp + 1.5
    sides: NDArray[np.int64] = (np.ceil(2 * reach / STEP_PX) * STEP_PX).astype(np.int64)
    return sides


def _grid(
    nuclei: Nuclei, at: tuple[Floats, Floats], side: int, mpp: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Map, Map]:
    """First pixels and each pixel's place in the nucleus' own axes, in um."""
    left = np.floor(at[0]).astype(np.int64) - side // 2
    top = np.floor(at[1]).astype(np.int64) - side // 2
    steps = np.arange(side) + 0.5
    x = (((left - at[0])[:, None] + steps) * mpp).astype(np.float32)[:, None, :]
    y = (((top - at[1])[:, None] + steps) * mpp).astype(np.float32)[:, :, None]
    cos = np.cos(nuclei.angle).astype(np.float32)[:, None, None]
    sin = np.sin(nuclei.angle).astype(np.float32)[:, None, None]
    return left, top, x * cos + y * sin, y * cos - x * sin


def _plain(nuclei: Nuclei, at: tuple[Floats, Floats], mpp: float, grain: Textures, seed: int) -> Patches:
    side = int(_side_px(nuclei.major, mpp)[0])
    left, top, u, v = _grid(nuclei, at, side, mpp)
    inside = distance_inside(u, v, (nuclei.major, nuclei.minor, nuclei.waves))
    width = np.maximum(nuclei.soft, mpp).astype(np.float32)[:, None, None]
    cover = np.clip(inside / width + 0.5, 0.0, 1.0)
    clumps = _texture(grain.chromatin, nuclei.grain, side)
    dark, coarse = (s.astype(np.float32)[:, None, None] for s in (nuclei.dark, nuclei.coarse))
    rim = np.clip(1.0 - np.abs(inside - 0.45) / 0.75, 0.0, 1.0)
    chromatin = dark * (0.66 + coarse * clumps + 0.36 * rim)
    chromatin += _nucleoli(nuclei, u, v, seed)
    return Patches(left, top, inside, np.maximum(chromatin, 0.12) * cover, cover)


def _nucleoli(nuclei: Nuclei, u: Map, v: Map, seed: int) -> Map:
    """Up to two dark dots inside each nucleus."""
    draws = uniform(stream(seed, "nucleoli"), nuclei.grain, nuclei.grain, 6)
    total = np.zeros_like(u)
    for n, strength in enumerate((1.0, 0.7)):
        along, aside, size = draws[3 * n : 3 * n + 3]
        present = nuclei.nucleolus * strength * (1.0 if n == 0 else (size > 0.5))
        cu = ((along - 0.5) * nuclei.major).astype(np.float32)[:, None, None]
        cv = ((aside - 0.5) * nuclei.minor).astype(np.float32)[:, None, None]
        spread = (0.45 + 0.3 * size).astype(np.float32)[:, None, None]
        near = np.clip(1.0 - ((u - cu) ** 2 + (v - cv) ** 2) / (4.0 * spread * spread), 0.0, 1.0)
        total += (1.5 * present).astype(np.float32)[:, None, None] * near * near
    return total


def _texture(texture: Map, grain: NDArray[np.int64], side: int) -> Map:
    """A window of the repeated texture for each nucleus, at a place of its own; (n, side, side)."""
    size = texture.shape[0]
    rows = (grain[:, None] % size + np.arange(side)) % size
    columns = (grain[:, None] // size % size + np.arange(side)) % size
    window: Map = texture.ravel()[rows[:, :, None] * size + columns[:, None, :]]
    return window


def _special(nuclei: Nuclei, at: tuple[Floats, Floats], mpp: float, grain: Textures) -> tuple[Patches, Map]:
    side = int(_side_px(np.maximum(nuclei.major, nuclei.minor) + 5.0, mpp)[0])
    left, top, u, v = _grid(nuclei, at, side, mpp)
    threads = _texture(grain.threads, nuclei.grain, side)[0]
    inside, chromatin, aura = draw_figure(nuclei, u[0], v[0], threads)
    cover = np.clip(inside / max(float(nuclei.soft[0]), mpp) + 0.5, 0.0, 1.0).astype(np.float32)
    return Patches(left, top, inside[None], (chromatin * cover)[None], cover[None]), aura


def _window(canvas: Canvas, patches: Patches, n: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """The part of the canvas under a patch, and the part of the patch over the canvas; None where they do not meet."""
    side = patches.inside.shape[1]
    height, width = canvas.cover.shape
    x, y = int(patches.left[n]) - canvas.x_px, int(patches.top[n]) - canvas.y_px
    x0, x1, y0, y1 = max(x, 0), min(x + side, width), max(y, 0), min(y + side, height)
    if x0 >= x1 or y0 >= y1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def _press(canvas: Canvas, patches: Patches, n: int, index: int) -> None:
    """Add one nucleus: light passes both where two lie over each other; the pixel belongs to the deeper one."""
    found = _window(canvas, patches, n)
    if found is None:
        return
    there, here = found
    new, old = patches.chromatin[n][here], canvas.chromatin[there]
    canvas.chromatin[there] = np.maximum(new, old) + 0.35 * np.minimum(new, old)
    np.maximum(canvas.cover[there], patches.cover[n][here], out=canvas.cover[there])
    depth = patches.inside[n][here]
    nearer = depth > canvas.inside[there]
    np.copyto(canvas.inside[there], depth, where=nearer)
    np.copyto(canvas.owner[there], index + 1, where=nearer & (depth > 0))


def _breathe(canvas: Canvas, patches: Patches, aura: Map) -> None:
    found = _window(canvas, patches, 0)
    if found is not None:
        there, here = found
        canvas.aura[there] += aura[here]
