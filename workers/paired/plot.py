"""The correlation plot: D_pos, D_neg and R_pos of each region in one section against the other."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from workers.outputs.picture import GREY, INK, PAPER, RGB, Caption, write_picture
from workers.paired.report import MEASURES, CorrelationPart, Paired

Floats = NDArray[np.float64]

SIDE_PX, MARGIN_PX, GUTTER_PX = 440, 80, 30
"""Of a panel; left of and below it; above it and right of it."""
TICKS = 5
DOT_PX, TEXT_PX = 6, 18
DOTS, LINE, FAINT = (62, 96, 190), (178, 60, 40), (222, 222, 222)
NAMES = {"d_pos": "D_pos", "d_neg": "D_neg", "r_pos": "R_pos"}


def draw_correlations(path: Path, paired: Paired) -> None:
    """Write the plot of three panels as a PNG; dashed is where both sections say the same."""
    panels = [_panel(name, paired) for name in MEASURES]
    width, height = paired.roi_um
    title = f"{len(paired.rois)} regions of {width:.0f} x {height:.0f} um: Ki-67 section across, {paired.package} up"
    write_picture(path, np.concatenate(panels, axis=1), Caption(title, (("region", DOTS), ("fitted line", LINE)), None))


def axis_end(largest: float) -> float:
    """The smallest 1, 2, 2.5 or 5 times ten to the n that is not below the largest value."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= largest * (1 - 1e-9))


def fitted_line(x: Floats, y: Floats) -> tuple[float, float] | None:
    """(slope, start) of the least squares line; None where x does not vary."""
    spread = x - x.mean()
    if len(x) < 2 or not spread.any():
        return None
    slope = float(spread @ y / (spread @ spread))
    return slope, float(y.mean() - slope * x.mean())


def _panel(name: str, paired: Paired) -> RGB:
    pairs = [(getattr(roi.ihc, name), getattr(roi.he, name)) for roi in paired.rois]
    points = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
    end = axis_end(float(points.max(initial=0.0)))
    sheet = Image.new("RGB", (MARGIN_PX + SIDE_PX + GUTTER_PX, 2 * GUTTER_PX + SIDE_PX + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN_PX, GUTTER_PX), _title(name, paired.correlations[name]), INK, _font(), anchor="lm")
    _draw_axes(draw, end)
    for x, y in points:
        centre = _place(x / end, y / end)
        draw.ellipse((centre[0] - DOT_PX, centre[1] - DOT_PX, centre[0] + DOT_PX, centre[1] + DOT_PX), DOTS, PAPER)
    line = fitted_line(points[:, 0], points[:, 1]) if len(points) else None
    if line is not None:
        ends = (float(points[:, 0].min()), float(points[:, 0].max()))
        draw.line([_place(x / end, (line[0] * x + line[1]) / end) for x in ends], LINE, 3)
    return np.asarray(sheet)


def _title(name: str, found: CorrelationPart) -> str:
    if found.r is None or found.low is None or found.high is None:
        return f"{NAMES[name]}: no correlation, {found.n} regions"
    return f"{NAMES[name]}: r = {found.r:.2f} ({found.low:.2f} to {found.high:.2f}), {found.n} regions"


def _draw_axes(draw: ImageDraw.ImageDraw, end: float) -> None:
    for tick in range(TICKS + 1):
        part = tick / TICKS
        text = f"{end * part:.3g}"
        draw.line([_place(part, 0), _place(part, 1)], FAINT)
        draw.line([_place(0, part), _place(1, part)], FAINT)
        x, y = _place(part, 0)
        draw.text((x, y + 14), text, GREY, _font(), anchor="mm")
        x, y = _place(0, part)
        draw.text((x - 8, y), text, GREY, _font(), anchor="rm")
    for dash in range(0, 40, 2):
        draw.line([_place(dash / 40, dash / 40), _place((dash + 1) / 40, (dash + 1) / 40)], GREY, 2)
    draw.line([_place(0, 1), _place(0, 0), _place(1, 0)], INK, 2)
    x, y = _place(0.5, 0)
    draw.text((x, y + 42), "Ki-67 section", INK, _font(), anchor="mm")


def _place(x: float, y: float) -> tuple[float, float]:
    """Px of a point of the panel, both from 0 to 1."""
    return MARGIN_PX + x * SIDE_PX, 2 * GUTTER_PX + (1 - y) * SIDE_PX


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(TEXT_PX)
