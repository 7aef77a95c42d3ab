"""A picture for people: pixels with a title above, and a legend, a scale bar and the notice below."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
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
BAR_PX = 400
INK, PAPER, GREY = (30, 30, 30), (255, 255, 255), (110, 110, 110)
ALARM = (176, 32, 32)
"""The ground of a mark: what is above it was not measured."""


@dataclass(frozen=True, eq=False)
class ColourBar:
    """What the colours of a picture stand for, from 0 to 1."""

    title: str
    colours: RGB
    """uint8, (n, 3): from 0 to 1."""


@dataclass(frozen=True)
class Caption:
    """The words around a picture."""

    title: str
    legend: Sequence[tuple[str, Colour]]
    mpp: float | None
    """Of the picture's pixels; None where it is no place on a slide, which gets no scale bar."""
    mark: Sequence[str] = ()
    """Lines in a band above the pixels, which nobody can fail to see."""
    bar: ColourBar | None = None
    """Below the legend."""


def write_picture(path: Path, pixels: RGB, caption: Caption) -> None:
    """Write pixels with their caption as a PNG."""
    height, width = pixels.shape[:2]
    sheet_width = max(width, MIN_WIDTH_PX)
    rows = _legend_rows(caption.legend, sheet_width)
    top = BAND_PX + len(caption.mark) * _mark_row_px(sheet_width)
    bands = 1 + len(rows) + (caption.bar is not None)
    sheet = Image.new("RGB", (sheet_width, top + height + BAND_PX * bands), PAPER)
    sheet.paste(Image.fromarray(pixels), ((sheet_width - width) // 2, top))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(TEXT_PX)
    draw.text((MARGIN_PX, BAND_PX // 2), caption.title, INK, font, anchor="lm")
    _draw_mark(draw, caption.mark, sheet_width)
    middle = top + height + BAND_PX // 2
    if caption.mpp is not None:
        _draw_scale_bar(draw, middle, caption.mpp, width)
    draw.text((sheet_width - MARGIN_PX, middle), NOTICE, GREY, font, anchor="rm")
    for index, row in enumerate(rows):
        _draw_legend(draw, middle + BAND_PX * (index + 1), row)
    if caption.bar is not None:
        _draw_bar(sheet, middle + BAND_PX * (1 + len(rows)), caption.bar)
    write_whole(path, encode_png(np.asarray(sheet)))


def encode_png(pixels: RGB) -> bytes:
    """The pixels as a PNG, seven times as fast as at zlib's usual effort and 2 to 6 % larger for tissue.

    Tissue has next to nothing that repeats: what makes it smaller is the filter, not the search behind it.
    """
    png = imagecodecs.PNG
    return bytes(imagecodecs.png_encode(pixels, level=1, strategy=png.STRATEGY.RLE, filter=png.FILTER.PAETH))


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


def _mark_row_px(width_px: int) -> int:
    """The height of a line of a mark: it grows with the picture, so that it is still read when that is shown small."""
    return max(TEXT_PX + MARGIN_PX, width_px // 36)


def _draw_mark(draw: ImageDraw.ImageDraw, mark: Sequence[str], width_px: int) -> None:
    row_px = _mark_row_px(width_px)
    for index, line in enumerate(mark):
        top = BAND_PX + index * row_px
        draw.rectangle((0, top, width_px, top + row_px - 1), ALARM)
        text_px = 0.6 * row_px
        length = ImageFont.load_default(text_px).getlength(line)
        font = ImageFont.load_default(text_px * min(1.0, (width_px - 2 * MARGIN_PX) / length))
        draw.text((width_px // 2, top + row_px // 2), line, PAPER, font, anchor="mm")


def _draw_scale_bar(draw: ImageDraw.ImageDraw, middle: int, mpp: float, width_px: int) -> None:
    length_um, name = scale_bar(mpp, width_px)
    right = MARGIN_PX + round(length_um / mpp)
    draw.rectangle((MARGIN_PX, middle - 3, right, middle + 3), INK)
    draw.text((right + MARGIN_PX, middle), name, INK, ImageFont.load_default(TEXT_PX), anchor="lm")


def _draw_bar(sheet: Image.Image, middle: int, bar: ColourBar) -> None:
    """The title, the bar, and what its ends and its middle stand for."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_PX)
    draw.text((MARGIN_PX, middle), bar.title, INK, font, anchor="lm")
    left = 2 * MARGIN_PX + math.ceil(font.getlength(f"{bar.title} 0"))
    draw.text((left - MARGIN_PX // 2, middle), "0", INK, font, anchor="rm")
    size = min(BAR_PX, sheet.width - left - 4 * MARGIN_PX), TEXT_PX
    sheet.paste(
        Image.fromarray(bar.colours[None]).resize(size, Image.Resampling.BILINEAR), (left, middle - TEXT_PX // 2)
    )
    edges = (left - 1, middle - TEXT_PX // 2 - 1, left + size[0], middle + TEXT_PX // 2)
    draw.rectangle(edges, outline=INK)
    draw.text((left + size[0] // 2, middle), "0.5", INK, font, anchor="mm")
    draw.text((left + size[0] + MARGIN_PX // 2, middle), "1", INK, font, anchor="lm")


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
