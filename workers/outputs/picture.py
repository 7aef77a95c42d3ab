"""A picture for people: pixels with a title above, and a legend, a scale bar and the notice below."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from workers.outputs.files import write_whole
from workers.result import NOTICE

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]

MIN_WIDTH_PX = 720
"""A narrower picture is set on a white sheet of this width, so that the words fit."""
TEXT_PX, MARGIN_PX, BAND_PX = 22, 14, 50
INK, PAPER, GREY = (30, 30, 30), (255, 255, 255), (110, 110, 110)


@dataclass(frozen=True)
class Caption:
    """The words around a picture."""

    title: str
    legend: Sequence[tuple[str, Colour]]
    mpp: float | None
    """Of the picture's pixels; None where it is no place on a slide, which gets no scale bar."""


def write_picture(path: Path, pixels: RGB, caption: Caption) -> None:
    """Write pixels with their caption as a PNG."""
    height, width = pixels.shape[:2]
    sheet_width = max(width, MIN_WIDTH_PX)
    rows = _legend_rows(caption.legend, sheet_width)
    sheet = Image.new("RGB", (sheet_width, height + BAND_PX * (2 + len(rows))), PAPER)
    sheet.paste(Image.fromarray(pixels), ((sheet_width - width) // 2, BAND_PX))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TEXT_PX)
    draw.text((MARGIN_PX, BAND_PX // 2), caption.title, INK, font, anchor="lm")
    middle = BAND_PX + height + BAND_PX // 2
    if caption.mpp is not None:
        _draw_scale_bar(draw, middle, caption.mpp, width)
    draw.text((sheet_width - MARGIN_PX, middle), NOTICE, GREY, font, anchor="rm")
    for index, row in enumerate(rows):
        _draw_legend(draw, middle + BAND_PX * (index + 1), row)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def scale_bar(mpp: float, width_px: int) -> tuple[float, str]:
    """(length in um, its name) of the longest 1, 2 or 5 times ten to the n that is not above a fifth of the width."""
    limit_um = mpp * width_px / 5
    power = 10.0 ** math.floor(math.log10(limit_um))
    length = max(step * power for step in (1, 2, 5) if step * power <= limit_um * (1 + 1e-9))
    name = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} um"
    return length, name


def resize(pixels: RGB, width_px: int, height_px: int) -> RGB:
    """Pixels at another size: means where it shrinks, smooth where it grows."""
    height, width = pixels.shape[:2]
    method = Image.Resampling.BOX if width_px < width or height_px < height else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize((width_px, height_px), method))


def _draw_scale_bar(draw: ImageDraw.ImageDraw, middle: int, mpp: float, width_px: int) -> None:
    length_um, name = scale_bar(mpp, width_px)
    right = MARGIN_PX + round(length_um / mpp)
    draw.rectangle((MARGIN_PX, middle - 3, right, middle + 3), INK)
    draw.text((right + MARGIN_PX, middle), name, INK, ImageFont.load_default(TEXT_PX), anchor="lm")


def _draw_legend(draw: ImageDraw.ImageDraw, middle: int, row: Sequence[tuple[int, str, Colour]]) -> None:
    font = ImageFont.load_default(TEXT_PX)
    for x, name, colour in row:
        draw.rectangle((x, middle - TEXT_PX // 2, x + TEXT_PX, middle + TEXT_PX // 2), colour, INK)
        draw.text((x + TEXT_PX + MARGIN_PX // 2, middle), name, INK, font, anchor="lm")


def _legend_rows(legend: Sequence[tuple[str, Colour]], width_px: int) -> list[list[tuple[int, str, Colour]]]:
    """The entries with their places, in as many rows as they need."""
    font = ImageFont.load_default(TEXT_PX)
    rows: list[list[tuple[int, str, Colour]]] = []
    x = width_px
    for name, colour in legend:
        needed = TEXT_PX + 2 * MARGIN_PX + math.ceil(font.getlength(name))
        if x + needed > width_px:
            rows.append([])
            x = MARGIN_PX
        rows[-1].append((x, name, colour))
        x += needed + MARGIN_PX
    return rows
