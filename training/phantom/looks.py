"""How a slide was stained and scanned: stain vectors, their strengths and the white of the lamp."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import normal, stream, uniform
from training.phantom.spec import LOOKS, PhantomSpec, Stain

Vector = NDArray[np.float32]

# Estimated by the method of Macenko et al. 2009 (doi 10.1109/ISBI.2009.5193250) from the real images named beside each.
_HE: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, float], tuple[int, ...]]] = {
    "grey": ((0.67, 0.64, 0.38), (0.28, 0.90, 0.33), (1.00, 0.78), (252, 250, 254)),  # BreCaHAD case 11
    "violet": ((0.66, 0.69, 0.30), (0.35, 0.89, 0.27), (1.32, 0.66), (244, 240, 248)),  # BreCaHAD case 12
    "rose": ((0.64, 0.66, 0.39), (0.30, 0.89, 0.35), (1.04, 0.74), (249, 246, 252)),  # BreCaHAD case 13
    "warm": ((0.57, 0.70, 0.43), (0.30, 0.84, 0.46), (0.80, 0.62), (246, 242, 246)),  # TNBC 1028, 1030
    "plum": ((0.69, 0.65, 0.32), (0.39, 0.81, 0.43), (1.45, 0.85), (240, 236, 248)),  # OpenSlide OS-1
}
_COUNTERSTAIN = (0.84, 0.49, 0.21)  # OpenSlide OS-2
_DAB = (0.28, 0.51, 0.81)  # between OS-2 and Ruifrok and Johnston 2001, PMID 11531144
_IHC_WHITE = (236, 235, 242)
_FLAT_WHITE = (201, 211, 208)
"""The background that DeepLIIF gives its hematoxylin channel."""
_DARK = {"dapi": (10, 10, 10), "lap2": (0, 0, 0), "marker": (10, 10, 10), "mask": (0, 0, 0)}


@dataclass(frozen=True)
class Look:
    """Stain vectors (unit optical density per unit of matter, RGB) and the colour of bare glass."""

    hematoxylin: Vector
    second: Vector
    """Eosin in H&E, DAB in IHC."""
    glass: Vector
    """RGB, 0 to 255; the background of the dark channels."""


def look_of(spec: PhantomSpec, stain: Stain) -> Look:
    """The look of one stain of a phantom: the named one, moved by `spec.variation` as the seed says."""
    if stain in _DARK:
        zero = np.zeros(3, dtype=np.float32)
        return Look(zero, zero, np.array(_DARK[stain], dtype=np.float32))
    places = np.arange(12)
    u, v, pick = uniform(stream(spec.seed, f"look/{stain}"), places, places, 3)
    draw = np.clip(normal(u, v), -2.0, 2.0) * spec.variation
    if stain == "he":
        names = LOOKS[1:]
        name = names[int(pick[0] * len(names))] if spec.look == "auto" else spec.look
        first, second, strength, white = _HE[name]
    elif stain == "hematoxylin":
        first, second, strength, white = _COUNTERSTAIN, _DAB, (0.85, 0.0), _FLAT_WHITE
        draw = np.zeros(12)
    else:
        first, second, strength, white = _COUNTERSTAIN, _DAB, (0.72, 2.3), _IHC_WHITE
    glass = np.clip(np.array(white) + 3.0 * draw[9:12], 200, 255)
    return Look(
        _vector(first, strength[0], draw[0:4]),
        _vector(second, strength[1], draw[4:8]),
        np.rint(glass).astype(np.float32),
    )


def _vector(direction: tuple[float, ...], strength: float, draw: NDArray[np.float64]) -> Vector:
    """A direction turned a little and a strength changed a little."""
    turned = np.maximum(np.array(direction) + 0.025 * draw[:3], 0.02)
    vector: Vector = (turned / np.linalg.norm(turned) * strength * np.exp(0.12 * draw[3])).astype(np.float32)
    return vector
