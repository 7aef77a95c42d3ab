"""A contact sheet: what a network was most certain of, field by field, for a person to agree or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from workers.outputs.picture import INK, MARGIN_PX, PAPER, RGB, TEXT_PX, Caption, resize, write_picture

FIELD_UM = 40.0
"""Side of a field: a figure in division and its neighbours."""
SIDE_PX = 200
"""Of a field on the sheet."""
COLUMNS = 5
SMALL_PX = 18
LINE_PX = 24


@dataclass(frozen=True, eq=False)
class Figure:
    """One field of the sheet."""

    pixels: RGB
    captions: tuple[str, ...]
    """Lines below it."""


@dataclass(frozen=True, eq=False)
class FigureRow:
    """Fields that belong together, under one title."""

    title: str
    figures: Sequence[Figure]


def write_figures(path: Path, rows: Sequence[FigureRow], title: str) -> None:
    """Write a sheet of fields as a PNG: each at `SIDE_PX`, what it is about in the middle, `COLUMNS` side by side.

    Parameters
    ----------
    rows
        At least one; its fields are square and `FIELD_UM` wide.
    """
    blocks = [_draw_row(row) for row in rows]
    write_picture(path, np.concatenate(blocks), Caption(title, (), FIELD_UM / SIDE_PX))


def _draw_row(row: FigureRow) -> RGB:
    lines = max((len(figure.captions) for figure in row.figures), default=0)
    step_x, step_y = SIDE_PX + MARGIN_PX, SIDE_PX + lines * LINE_PX + MARGIN_PX
    deep = -(-len(row.figures) // COLUMNS)
    top = TEXT_PX + 2 * MARGIN_PX
    sheet = Image.new("RGB", (MARGIN_PX + COLUMNS * step_x, top + deep * step_y), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, top // 2), row.title, INK, ImageFont.load_default(TEXT_PX), anchor="lm")
    font = ImageFont.load_default(SMALL_PX)
    for index, figure in enumerate(row.figures):
        x, y = MARGIN_PX + index % COLUMNS * step_x, top + index // COLUMNS * step_y
        sheet.paste(Image.fromarray(resize(figure.pixels, SIDE_PX, SIDE_PX)), (x, y))
        for line, text in enumerate(figure.captions):
            draw.text((x, y + SIDE_PX + (line + 0.5) * LINE_PX), text, INK, font, anchor="lm")
    return np.asarray(sheet)
