"""The colours in which a map is shown."""

import numpy as np
from numpy.typing import NDArray

from workers.outputs.spec import MapSpec

Values = NDArray[np.uint8]

WHITE = (255, 255, 255)
HEAT_STOPS = ((0, WHITE), (64, (254, 224, 144)), (128, (253, 141, 60)), (192, (215, 48, 39)), (255, (103, 0, 31)))
"""From white through yellow and red to dark: monotonous in lightness, so that it survives a copy in grey."""


def paint(values: Values, spec: MapSpec) -> Values:
    """A map as RGB, (h, w, 3): classes in their colours, heat on a ramp from white to dark red, images as they are.

    Raises
    ------
    ValueError
        The map holds probabilities of several classes, which no single picture shows.
    """
    if spec.kind == "image":
        return np.ascontiguousarray(values.transpose(1, 2, 0))
    return np.take(palette(spec), values, axis=0)


def palette(spec: MapSpec) -> Values:
    """The colour of each value of a map without channels, (256, 3); what was not analysed is white."""
    if spec.kind == "heat":
        return _ramp()
    if spec.kind != "classes":
        raise ValueError(f"a map of {spec.kind} has no palette")
    colours = np.full((256, 3), 255, dtype=np.uint8)
    for value, item in enumerate(spec.classes):
        colours[value] = item.colour
    return colours


def _ramp() -> Values:
    places = [place for place, _ in HEAT_STOPS]
    channels = [np.interp(np.arange(256), places, [colour[i] for _, colour in HEAT_STOPS]) for i in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)
