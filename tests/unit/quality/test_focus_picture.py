"""The picture of the focus shows each square where it lies, those that were cut at the border included."""

from dataclasses import replace

import numpy as np
from PIL import Image

from tests.unit.quality.paintings import disc, glass, slide, stain
from workers.geometry import Box
from workers.quality import FocusReport, FocusSquare, assess, write_pictures
from workers.quality.pictures import SHARP_COLOUR


def _framed(path):
    """Rows and columns in which the picture is the colour of sharp squares, above its legend."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    rows, columns = np.nonzero((pixels == SHARP_COLOUR).all(axis=2))
    frame = rows < rows.max() - 60
    return rows[frame], columns[frame]


def test_a_cut_square_is_drawn_with_its_own_sides(tmp_path):
    canvas = glass(400, 600)
    canvas = stain(canvas, disc(canvas.shape, 300, 200, 150), {"eosin": 0.4})
    painted = slide(canvas, 0.5)
    square = FocusSquare(Box(100, 60, 256, 80), 0.9)
    report = replace(assess(painted), focus=FocusReport((square,), 0.5))
    rows, columns = _framed(write_pictures(tmp_path, painted, report)[2])
    # A pixel of the picture is a pixel of this slide.
    assert columns.max() - columns.min() + 1 == 256
    assert rows.max() - rows.min() + 1 == 80
