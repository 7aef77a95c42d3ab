"""Circles on a slide: drawn on a picture, and as GeoJSON."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from workers.outputs.files import write_whole
from workers.outputs.geojson import DECIMALS
from workers.outputs.picture import RGB, Colour
from workers.outputs.place import Place

WHITE: Colour = (255, 255, 255)
CORNERS = 72
"""Of a circle as a polygon: it lies within 0.1 % of the radius."""


def draw_circle(pixels: RGB, centre: tuple[float, float], radius_px: float, colour: Colour, width_px: int) -> RGB:
    """The picture with a circle on it, in white under its colour; what lies outside of the picture is cut.

    Parameters
    ----------
    centre
        (x, y) in px of the picture.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for ink, width in ((WHITE, 2 * width_px), (colour, width_px)):
        reach = radius_px + width / 2
        box = (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach)
        draw.ellipse(box, outline=ink, width=width)
    return np.asarray(picture)


def write_circles(path: Path, circles: Sequence[Mapping[str, Any]], place: Place, *, name: str, colour: Colour) -> None:
    """Write circles as annotations for QuPath: `name` and their number, in level-0 px, with what they count.

    Parameters
    ----------
    circles
        Each with `x_px`, `y_px`, `radius_px` and `count`, and a `name` where it has one of its own.
    """
    features = [
        _annotation(circle, circle.get("name", f"{name} {rank}"), name, colour)
        for rank, circle in enumerate(circles, start=1)
    ]
    document = {"type": "FeatureCollection", "histoserve": place.metadata(), "features": features}
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False).encode())


def _annotation(circle: Mapping[str, Any], title: str, name: str, colour: Colour) -> dict[str, Any]:
    turns = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
    ring = [
        [
            round(circle["x_px"] + circle["radius_px"] * math.cos(turn), DECIMALS),
            round(circle["y_px"] + circle["radius_px"] * math.sin(turn), DECIMALS),
        ]
        for turn in turns
    ]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "objectType": "annotation",
            "name": title,
            "classification": {"name": name, "color": list(colour)},
            "measurements": {"Count": circle["count"]},
        },
    }
