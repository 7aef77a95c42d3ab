"""The quality of a slide as three pictures: where tissue was seen, which stain, how sharp."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from workers.geometry import Box
from workers.outputs.picture import RGB, Caption, write_picture
from workers.quality.focus import SHARP
from workers.quality.report import QualityReport
from workers.slides import Slide, frame_size

SIDE_PX = 1200
MIN_SQUARE_PX = 10
TISSUE_COLOUR = (0, 170, 60)
PEN_COLOUR = (255, 170, 0)
SHARP_COLOUR, BLURRED_COLOUR = (0, 150, 60), (220, 40, 40)
STAIN_COLOURS = {
    "hematoxylin": (80, 60, 160),
    "eosin": (230, 110, 160),
    "dab": (140, 80, 30),
    "other": (128, 128, 128),
}


def write_pictures(folder: Path, slide: Slide, report: QualityReport) -> tuple[Path, ...]:
    """The paths of tissue.png, stain.png and focus.png in `folder`."""
    mpp = max(max(slide.info.width_px, slide.info.height_px) * slide.info.mpp / SIDE_PX, slide.info.mpp)
    width, height = frame_size(slide.info, mpp)
    thumbnail = slide.read(Box(0, 0, width, height), mpp)
    paths = tuple(folder / name for name in ("tissue.png", "stain.png", "focus.png"))
    _write_tissue(paths[0], thumbnail, report, mpp)
    _write_stain(paths[1], report)
    _write_focus(paths[2], thumbnail, report, mpp, slide.info.mpp)
    return paths


def _write_tissue(path: Path, thumbnail: RGB, report: QualityReport, mpp: float) -> None:
    tissue = report.tissue
    rows, columns = (np.arange(n) for n in thumbnail.shape[:2])
    ratio = mpp / tissue.mpp
    place = np.ix_(_nearest(rows, ratio, tissue.mask.shape[0]), _nearest(columns, ratio, tissue.mask.shape[1]))
    mask, pen = tissue.mask[place], tissue.pen[place]
    picture = thumbnail.copy()
    picture[~mask & ~pen] = (picture[~mask & ~pen] * 0.6 + 255 * 0.4).astype(np.uint8)
    picture[mask & ~ndimage.binary_erosion(mask, iterations=2)] = TISSUE_COLOUR
    picture[pen] = (picture[pen] * 0.4 + np.array(PEN_COLOUR) * 0.6).astype(np.uint8)
    legend = (
        (f"tissue {report.tissue_mm2:.3g} mm2 ({report.tissue_fraction:.0%})", TISSUE_COLOUR),
        (f"ink or padding {report.pen_fraction:.1%}", PEN_COLOUR),
    )
    write_picture(path, picture, Caption(title="Tissue", legend=legend, mpp=mpp))


def _write_stain(path: Path, report: QualityReport) -> None:
    """Bars: the parts of the stained pixels that have each stain's hue."""
    stain = report.stain
    parts = {"hematoxylin": stain.hematoxylin, "eosin": stain.eosin, "dab": stain.dab, "other": stain.other}
    canvas = Image.new("RGB", (600, 40 * len(parts) + 20), "white")
    draw = ImageDraw.Draw(canvas)
    for row, (name, part) in enumerate(parts.items()):
        top = 15 + 40 * row
        draw.rectangle((130, top, 130 + round(400 * part), top + 25), fill=STAIN_COLOURS[name])
        draw.text((10, top + 5), name, fill="black", font_size=15)
        draw.text((540, top + 5), f"{part:.0%}", fill="black", font_size=15)
    title = f"Stain: {stain.stain}, confidence {stain.confidence:.2f}"
    write_picture(path, np.asarray(canvas), Caption(title=title, legend=(), mpp=None))


def _write_focus(path: Path, thumbnail: RGB, report: QualityReport, mpp: float, level0_mpp: float) -> None:
    """Each sampled square where it lies, drawn no smaller than can be seen."""
    canvas = Image.fromarray(thumbnail)
    draw = ImageDraw.Draw(canvas)
    scale = level0_mpp / mpp
    for square in report.focus.squares:
        box, colour = square.box, SHARP_COLOUR if square.sharpness >= SHARP else BLURRED_COLOUR
        # At the border of the scan a square is cut.
        width, height = (max(side * scale, MIN_SQUARE_PX) for side in (box.width, box.height))
        x, y = (box.x + box.width / 2) * scale - width / 2, (box.y + box.height / 2) * scale - height / 2
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=2)
        if width > 30:
            draw.text((x + 5, y + 3), f"{square.sharpness:.2f}", fill=colour, font_size=14)
    judged, count = report.focus.in_focus, len(report.focus.squares)
    title = "Focus: not judged" if judged is None else f"Focus: {judged:.0%} of {count} squares are sharp"
    legend = ((f"sharp (at least {SHARP})", SHARP_COLOUR), ("blurred", BLURRED_COLOUR))
    write_picture(path, np.asarray(canvas), Caption(title=title, legend=legend, mpp=mpp))


def _nearest(indices: NDArray[np.int64], ratio: float, limit: int) -> NDArray[np.int64]:
    return np.asarray(np.minimum(((indices + 0.5) * ratio).astype(np.int64), limit - 1))
