"""The detail: the field with the most cells at full resolution, outlines drawn, for a person to judge the cells by."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from workers.geometry import Box
from workers.outputs.labels import Labels
from workers.outputs.picture import RGB, Caption, write_picture
from workers.outputs.place import Place

FIELD_PX = 512
"""Side of the field, map px."""
ZOOM = 3
HEADER = struct.Struct("<BIII")
POINT = struct.Struct("<BIdd")
RING_UM, CORNERS = 8.0, 24
"""A point is shown as a ring of that radius around it, so that what it stands for stays visible."""


def densest_field(table: Path, place: Place, width_px: int, height_px: int, field_px: int = FIELD_PX) -> Box:
    """The field with the most cells, in map px, inside of the map; of equals the upper left one.

    Fields are compared on a grid of an eighth of their side. The table is read row group by row group.

    Parameters
    ----------
    table
        The Parquet file of the cells.
    """
    step = max(1, field_px // 8)
    counts = np.zeros((-(-height_px // step) + 1, -(-width_px // step) + 1), dtype=np.int64)
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(columns=["x_px", "y_px"]):
            xs, ys = (batch[name].to_numpy() / place.scale for name in ("x_px", "y_px"))
            np.add.at(counts, ((ys // step).astype(np.int64), (xs // step).astype(np.int64)), 1)
    span = field_px // step
    sums = np.pad(counts, ((1, span), (1, span))).cumsum(axis=0).cumsum(axis=1)
    fields = sums[span:, span:] - sums[:-span, span:] - sums[span:, :-span] + sums[:-span, :-span]
    row, column = divmod(int(np.argmax(fields)), fields.shape[1])
    x, y = (max(0, min(v * step, limit - field_px)) for v, limit in ((column, width_px), (row, height_px)))
    return Box(x, y, field_px, field_px).intersect(Box(0, 0, width_px, height_px))


def write_detail(
    path: Path,
    pixels: RGB,
    box: Box,
    table: Path,
    *,
    place: Place,
    labels: Labels,
    title: str,
    mark: Sequence[str] = (),
) -> None:
    """Write a crop of the slide with the outlines of its cells as a PNG, `ZOOM` times enlarged.

    Parameters
    ----------
    pixels
        uint8, (box.height, box.width, 3): the slide in `box`, at the map's mpp.
    box
        In map px.
    table
        The Parquet file of the cells.
    mark
        Lines in a band above the crop.
    """
    crop = Image.fromarray(pixels).resize((box.width * ZOOM, box.height * ZOOM), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(crop)
    colours = {item.name: item.colour for item in (labels.default, *labels.classes)}
    shown: dict[str, tuple[int, int, int]] = {}
    for name, outline in read_outlines(table, place, box):
        corners = ((outline - (box.x, box.y)) * ZOOM).ravel().tolist()
        # White under the colour: a violet line alone is lost on violet tissue.
        draw.line([*corners, *corners[:4]], fill=(255, 255, 255), width=4, joint="curve")
        draw.line([*corners, *corners[:4]], fill=colours[name], width=2, joint="curve")
        shown[name] = colours[name]
    legend = [(name, colour) for name, colour in colours.items() if name in shown]
    write_picture(path, np.asarray(crop), Caption(title, legend, place.mpp / ZOOM, mark))


def read_outlines(table: Path, place: Place, box: Box) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """(class, outline (n, 2)) of each cell whose centroid lies in `box`, of a point a ring around it; all in map px."""
    left, top, right, bottom = (v * place.scale for v in (box.x, box.y, box.right, box.bottom))
    with pq.ParquetFile(table) as file:
        for group in range(file.num_row_groups):
            places = file.read_row_group(group, columns=["x_px", "y_px"])
            xs, ys = places["x_px"].to_numpy(), places["y_px"].to_numpy()
            inside = np.flatnonzero((xs >= left) & (xs < right) & (ys >= top) & (ys < bottom))
            if len(inside):
                rows = file.read_row_group(group, columns=["class", "outline"]).take(inside)
                for name, shape in zip(rows["class"].to_pylist(), rows["outline"].to_pylist(), strict=True):
                    yield name, _outline(shape, place)


def _outline(shape: bytes, place: Place) -> NDArray[np.float64]:
    if len(shape) != POINT.size:
        return np.frombuffer(shape, dtype="<f8", offset=HEADER.size).reshape(-1, 2) / place.scale
    _, _, x, y = POINT.unpack(shape)
    turn = np.linspace(0, 2 * np.pi, CORNERS)
    ring = np.stack((np.cos(turn), np.sin(turn)), axis=1) * (RING_UM / place.mpp)
    return np.asarray(ring + np.array([x, y]) / place.scale)
