"""Square fields on a slide: drawn on a picture, and as GeoJSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from workers.outputs.circles import WHITE
from workers.outputs.files import write_whole
from workers.outputs.geojson import DECIMALS
from workers.outputs.picture import RGB, Colour
from workers.outputs.place import Place

MEASUREMENTS = {"d_pos": "D_pos", "d_neg": "D_neg", "r_pos": "R_pos", "tissue_mm2": "Tissue mm^2"}
"""What is told of a field beside its place, and how QuPath shows it."""
FONT_LINES, LEAST_FONT_PX = 9, 18
"""The number of a field is so many times as high as its line is wide, and at least so high."""


def draw_squares(pixels: RGB, squares: Sequence[Mapping[str, Any]], scale: float, colour: Colour, line_px: int) -> RGB:
    """The picture with squares and their numbers on it, in white under their colour.

    Parameters
    ----------
    squares
        Each with `x_px`, `y_px` and `side_px`, level-0 px.
    scale
        Px of the picture per level-0 px.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for number, square in enumerate(squares, start=1):
        left, top = square["x_px"] * scale, square["y_px"] * scale
        box = (left, top, left + square["side_px"] * scale, top + square["side_px"] * scale)
        draw.rectangle(box, outline=WHITE, width=3 * line_px)
        inner = (box[0] + line_px, box[1] + line_px, box[2] - line_px, box[3] - line_px)
        draw.rectangle(inner, outline=colour, width=line_px)
        place = (left + 4 * line_px, top + 4 * line_px)
        draw.text(
            place,
            str(number),
            colour,
            font_size=max(LEAST_FONT_PX, FONT_LINES * line_px),
            stroke_width=line_px,
            stroke_fill=WHITE,
        )
    return np.asarray(picture)


def write_squares(path: Path, squares: Sequence[Mapping[str, Any]], place: Place, *, name: str, colour: Colour) -> None:
    """Write squares as annotations for QuPath: `name` and their number, in level-0 px, with what they hold."""
    features = [_annotation(square, f"{name} {rank}", name, colour) for rank, square in enumerate(squares, start=1)]
    document = {"type": "FeatureCollection", "histoserve": place.metadata(), "features": features}
    write_whole(path, json.dumps(document, indent=1, ensure_ascii=False).encode())


def _annotation(square: Mapping[str, Any], title: str, name: str, colour: Colour) -> dict[str, Any]:
    corners = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    ring = [
        [
            round(square[axis] + part * square["side_px"], DECIMALS)
            for axis, part in zip(("x_px", "y_px"), corner, strict=True)
        ]
        for corner in corners
    ]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "name": title,
            "classification": {"name": name, "color": list(colour)},
            "measurements": {text: square[key] for key, text in MEASUREMENTS.items()},
        },
    }
