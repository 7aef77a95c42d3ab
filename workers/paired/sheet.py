"""Some regions as a person sees them: H&E, its class map, the Ki-67 section laid onto it, and that one's colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.dab import BLUE, BROWN
from workers.engine.fractions import AreasSource
from workers.geometry import Box
from workers.outputs.colours import palette
from workers.outputs.maps import read_box
from workers.outputs.picture import RGB, Caption, resize, write_picture
from workers.paired.rois import Densities, RoiPair, colours_at, pixels_at
from workers.registration.slides import SlideRegistration

SIDE_PX = 480
"""The longer side of a panel."""
MOST_UM = 500.0
"""No more than this of a region is shown, so that nuclei show."""
GAP_PX = 6
DAB_COLOURS = {"blue": (62, 96, 190), "brown": (140, 80, 30)}
REST = (236, 234, 238)


def write_pairs(
    path: Path, source: AreasSource, pairs: Sequence[RoiPair], laid: SlideRegistration, densities: Densities
) -> None:
    """Write the middles of the regions with the lowest, the middle and the highest R_pos of the IHC, one row each."""
    ranked = sorted(pairs, key=lambda pair: pair.ihc.r_pos or 0.0)
    rows = [_row(source, ranked[place], laid, densities) for place in (0, len(ranked) // 2, len(ranked) - 1)]
    shown = [(f"{item.name} (H&E)", item.colour) for item in source.spec.classes if not item.background]
    legend = [*shown, *((f"{name} (IHC)", colour) for name, colour in DAB_COLOURS.items())]
    mpp = _middle(source, ranked[0]).width * source.place.mpp / _panel_size(source, ranked[0])[0]
    title = "H&E, class map, Ki-67 section, its colours: lowest, middle and highest R_pos of the section"
    write_picture(path, np.concatenate(rows), Caption(title, legend, mpp))


def _row(source: AreasSource, pair: RoiPair, laid: SlideRegistration, densities: Densities) -> RGB:
    box, size = _middle(source, pair), _panel_size(source, pair)
    stride = source.spec.stride_px
    fine = Box(box.x * stride, box.y * stride, box.width * stride, box.height * stride)
    he = resize(laid.fixed.read(fine, source.frame.mpp), *size)
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count)
        for count, side in zip(size[::-1], (box.height, box.width), strict=True)
    )
    values = read_box(source.maps, source.spec, box)[rows.astype(int)[:, None], columns.astype(int)]
    ys, xs = np.meshgrid(rows, columns, indexing="ij")
    points = np.column_stack([xs.ravel() + box.x, ys.ravel() + box.y]) * source.place.scale
    there = laid.map_points(points)
    ihc = pixels_at(laid.moving, there, source.frame.mpp)[0].reshape(he.shape)
    brown_blue = colours_at(laid.moving, there, source.frame.mpp, densities)[0].reshape(values.shape)
    colours = np.full((3, 3), REST, dtype=np.uint8)
    colours[BLUE], colours[BROWN] = DAB_COLOURS["blue"], DAB_COLOURS["brown"]
    panels = [he, palette(source.spec)[values], ihc, colours[brown_blue]]
    return np.concatenate([_framed(panel) for panel in panels], axis=1)


def _middle(source: AreasSource, pair: RoiPair) -> Box:
    """The middle of a region, map px."""
    box, most = pair.roi.box, max(1, round(MOST_UM / source.place.mpp))
    width, height = min(box.width, most), min(box.height, most)
    return Box(box.x + (box.width - width) // 2, box.y + (box.height - height) // 2, width, height)


def _panel_size(source: AreasSource, pair: RoiPair) -> tuple[int, int]:
    box = _middle(source, pair)
    scale = SIDE_PX / max(box.width, box.height)
    return max(1, round(box.width * scale)), max(1, round(box.height * scale))


def _framed(panel: NDArray[np.uint8]) -> RGB:
    return np.pad(panel, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255)
