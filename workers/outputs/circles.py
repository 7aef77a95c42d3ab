"""A circle drawn on a picture."""

import numpy as np
from PIL import Image, ImageDraw

from workers.outputs.picture import RGB, Colour

WHITE: Colour = (255, 255, 255)


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
