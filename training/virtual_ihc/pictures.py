"""Rows of pictures side by side: what one looks at after each epoch and in the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.virtual_ihc.report import SlideRow

Picture = NDArray[np.uint8]
GAP_PX, TITLE_PX = 6, 16
RESIDUAL_GAIN = 3.0
SHOWN_PX, DETAIL_PX = 420, 240
VIEWS = ("H&E", "virtual Ki-67", "true Ki-67")
BLUE, BROWN, GREY = "#3e60be", "#b23c28", "#777777"


def draw_rows(rows: Sequence[Sequence[Picture]], titles: Sequence[str], path: Path) -> None:
    """Pictures of one size in rows, under the titles of their columns, written as PNG."""
    height, width = rows[0][0].shape[:2]
    columns = len(titles)
    sheet = Image.new(
        "RGB",
        (columns * (width + GAP_PX) - GAP_PX, TITLE_PX + len(rows) * (height + GAP_PX) - GAP_PX),
        (255, 255, 255),
    )
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((column * (width + GAP_PX) + 2, 2), title, fill=(0, 0, 0))
        for row, pictures in enumerate(rows):
            corner = (column * (width + GAP_PX), TITLE_PX + row * (height + GAP_PX))
            sheet.paste(Image.fromarray(pictures[column]), corner)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def residual(one: Picture, other: Picture) -> Picture:
    """How much two pictures differ, enlarged: black where they are equal (figure 4 of the paper)."""
    gap = np.abs(one.astype(np.float64) - other).mean(axis=2, keepdims=True) * RESIDUAL_GAIN
    return np.repeat(np.clip(np.rint(gap), 0, 255).astype(np.uint8), 3, axis=2)


def thumbnail(picture: Picture, side_px: int) -> Picture:
    """The picture with its longer side at most so long."""
    image = Image.fromarray(picture)
    image.thumbnail((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(image)


def draw_views(views: Sequence[Sequence[Picture]], folder: Path) -> None:
    """Slides in H&E, virtual and true Ki-67: small ones in `slides.png`, their middles in full in `details.png`."""
    draw_rows([[thumbnail(part, SHOWN_PX) for part in view] for view in views], VIEWS, folder / "slides.png")
    details = []
    for view in views:
        height, width = view[0].shape[:2]
        side = min(DETAIL_PX, height, width)
        y, x = (height - side) // 2, (width - side) // 2
        details.append([part[y : y + side, x : x + side] for part in view])
    draw_rows(details, VIEWS, folder / "details.png")


def draw_indices(slides: Sequence["SlideRow"], path: Path) -> None:
    """The Ki-67 index of each slide as the virtual stain gives it, against the truth; the true stain's beside it."""
    figure = _figure(5.2, 5.0)
    axes = figure.add_subplot()
    true = [slide.true_index for slide in slides]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    axes.plot(true, [slide.real_index for slide in slides], "o", color=BLUE, label="true Ki-67 stain, by its colours")
    axes.plot(true, [slide.virtual_index for slide in slides], "o", color=BROWN, label="virtual stain, by its colours")
    top = max([0.1, *true, *(slide.real_index for slide in slides), *(slide.virtual_index for slide in slides)]) * 1.1
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_xlabel("positive part of the nuclei, truth")
    axes.set_ylabel("brown / (brown + blue)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def draw_log(rows: Sequence[dict[str, float]], path: Path) -> None:
    """The paper's figure 3: its four numbers of the way there and back, over the epochs."""
    figure = _figure(9.0, 6.0)
    for place, name in enumerate(("ssim", "ms_ssim", "psnr_db", "mae")):
        axes = figure.add_subplot(2, 2, place + 1)
        for stain, colour in (("he", BLUE), ("ki67", BROWN)):
            axes.plot([r["epoch"] for r in rows], [r[f"{stain}_{name}"] for r in rows], color=colour, label=stain)
        axes.set_title(f"{name}, reconstructed against source", fontsize=9)
        axes.set_xlabel("epoch")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in))
