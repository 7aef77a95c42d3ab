"""A felt pen's line around the tissue, as a pathologist draws it on the glass."""

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, stream, uniform
from training.phantom.layout import PEN_AWAY_UM, PEN_WIDTH_UM, outer_depth_um
from training.phantom.noise import smooth_noise
from training.phantom.spec import PhantomSpec

Map = NDArray[np.float32]
_COLOURS = ((36, 58, 140), (28, 104, 64), (38, 36, 42))
OPACITY = 0.82


def ink_depth_um(spec: PhantomSpec, x_um: Floats, y_um: Floats) -> Floats:
    """How deep inside the line each point lies, in um; negative off it. The line is broken in places."""
    wobble = 70.0 * smooth_noise(stream(spec.seed, "pen"), x_um, y_um, 1400.0)
    away = np.abs(outer_depth_um(spec, x_um, y_um) + PEN_AWAY_UM + wobble)
    lifted = smooth_noise(stream(spec.seed, "pen-lifted"), x_um, y_um, 2600.0) - 1.1
    return PEN_WIDTH_UM / 2 - away - 400.0 * np.maximum(lifted, 0.0)


def under_ink(spec: PhantomSpec, light: Map, ink: Map) -> Map:
    """The light (3, h, w) that is left where `ink` (h, w), 0 to 1, covers the glass."""
    place = np.zeros(1, dtype=np.int64)
    pick = int(uniform(stream(spec.seed, "pen-colour"), place, place)[0, 0] * len(_COLOURS))
    colour = np.array(_COLOURS[pick], dtype=np.float32)[:, None, None]
    cover = np.float32(OPACITY) * ink
    left: Map = light * (1.0 - cover) + colour * cover
    return left
