"""Cells in DeepLIIF's mask: which pixels belong to them, and one row of facts for each.

Whole arrays are worked on, in bands of rows where numbers wider than a byte are needed. Memory beside the inputs is
about 7 bytes a pixel, of which the map of cells (4) stays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.deepliif.thresholds import Thresholds

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
Labels = NDArray[np.int32]

UNKNOWN, POSITIVE, NEGATIVE = 0, 1, 2
BAND_PIXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Cells:
    """All components of a mask, noise included, in raster order of their first pixels; one row each."""

    width_px: int
    height_px: int
    first: Ints
    """(n,): the raster-first pixel, y * width + x."""
    size_px: Ints
    """(n,): all pixels, holes included."""
    positive_px: Ints
    negative_px: Ints
    centre_px: Ints
    """(n, 2): mean x and y, rounded half to even."""
    box_px: Ints
    """(n, 4): lowest x, y and highest x, y, inclusive."""
    marker: Ints | None = None
    """(n,): the brightest marker in the cell."""
    od: Ints | None = None
    """(n,): the mean optical density in 1/100."""
    marker_histogram: Ints | None = None
    """(256,): pixels of the whole marker image by value."""
    sum_px: Ints | None = None
    """(n, 2): x and y of all pixels, added up."""

    def __len__(self) -> int:
        """Number of components."""
        return len(self.first)

    @property
    def is_voted_positive(self) -> Mask:
        """Whether at least as many pixels are positive as negative."""
        return self.positive_px >= self.negative_px


def classify_pixels(seg: Bytes, thresholds: Thresholds) -> Bytes:
    """uint8 (H, W): 1 positive, 2 negative, 0 unknown, of a mask (H, W, 3) with red positive and blue negative."""
    classes = np.zeros(seg.shape[:2], np.uint8)
    for band in _bands(classes):
        red, green, blue = seg[band, :, 0], seg[band, :, 1], seg[band, :, 2]
        is_cell = (red.astype(np.uint16) + blue > thresholds.seg) & (green <= thresholds.green)
        classes[band] = np.where(red >= blue, np.uint8(POSITIVE), np.uint8(NEGATIVE)) * is_cell
    return classes


def fill_holes(classes: Bytes) -> Mask:
    """Which pixels belong to cells: the classified ones, and the unknown ones they close in (by their sides)."""
    regions: Labels = ndimage.label(classes == UNKNOWN)[0]
    is_outside = np.zeros(int(regions.max(initial=0)) + 1, bool)
    for edge in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        is_outside[edge] = True
    is_outside[0] = False
    return ~is_outside[regions]


def find_cells(
    seg: Bytes, thresholds: Thresholds, *, marker: Bytes | None = None, ihc: Bytes | None = None
) -> tuple[Cells, Labels]:
    """The components of a mask, and the map of them: row k of the table is k + 1 in the int32 map, background 0.

    Parameters
    ----------
    seg
        uint8 (H, W, 3): red positive, blue negative, green boundary.
    thresholds
        Only `seg` and `green` matter here; all others are for scoring.
    marker
        uint8 (H, W) or (H, W, 3): the marker image.
    ihc
        uint8 (H, W, 3): the stained image, for the optical density.

    Raises
    ------
    ValueError
        An image has another type or shape.
    """
    _check(seg, marker, ihc)
    classes = classify_pixels(seg, thresholds)
    cells = label_cells(fill_holes(classes))
    return measure_cells(cells, classes, marker, ihc), cells


def label_cells(is_cell: Mask) -> Labels:
    """int32 (H, W): the components of cells' pixels, by sides and corners, from 1 on."""
    labels: Labels = ndimage.label(is_cell, np.ones((3, 3)))[0]
    return labels


def optical_density(rgb: Bytes) -> Ints:
    """100 times the optical densities of the three channels together, rounded; black is taken as 1."""
    density = np.log10(255.0 / np.maximum(np.arange(256), 1))
    total: Ints = np.rint(100 * (density[rgb[..., 0]] + density[rgb[..., 1]] + density[rgb[..., 2]])).astype(np.int64)
    return total


def brightest(marker: Bytes) -> Bytes:
    """The marker as one channel: the brightest of three."""
    if marker.ndim == 2:
        return marker
    return np.maximum(np.maximum(marker[..., 0], marker[..., 1]), marker[..., 2])


class _Sums:
    """Running facts of each component, band after band."""

    def __init__(self, count: int, shape: tuple[int, int]) -> None:
        self.width = shape[1]
        self.size, self.positive, self.negative, self.x, self.y, self.od = np.zeros((6, count + 1), np.int64)
        self.first, self.last = np.full(count + 1, shape[0] * shape[1]), np.zeros(count + 1, np.int64)
        self.left, self.right = np.full(count + 1, shape[1]), np.full(count + 1, -1)
        self.marker = np.zeros(count + 1, np.int64)
        self.histogram = np.zeros(256, np.int64)

    def add(self, top: int, labels: Labels, classes: Bytes, marker: Bytes | None, ihc: Bytes | None) -> None:
        """Take one band whose first row is `top`."""
        y, x = np.nonzero(labels)
        cell = labels[y, x]
        lowest = int(cell.min(initial=len(self.size)))
        if marker is not None:
            value = brightest(marker)
            self.histogram += np.bincount(value.ravel(), minlength=256)
        if not len(cell):
            return
        here = np.s_[lowest : int(cell.max()) + 1]
        own, length = cell - lowest, int(cell.max()) - lowest + 1
        self._count(here, own, length, classes[y, x])
        self.x[here] += np.bincount(own, x, length).astype(np.int64)
        self.y[here] += np.bincount(own, y + top, length).astype(np.int64)
        place = (y + top) * self.width + x
        self.last[cell] = place
        # Of several values for one place the last one stays, so backwards the first pixel stays.
        first = np.full(length, np.iinfo(np.int64).max)
        first[own[::-1]] = place[::-1]
        self.first[here] = np.minimum(self.first[here], first)
        np.minimum.at(self.left, cell, x)
        np.maximum.at(self.right, cell, x)
        if marker is not None:
            np.maximum.at(self.marker, cell, value[y, x].astype(np.int64))
        if ihc is not None:
            self.od[here] += np.bincount(own, optical_density(ihc[y, x]), length).astype(np.int64)

    def _count(self, here: slice, own: NDArray[np.int32], length: int, kind: Bytes) -> None:
        both = np.bincount(own * 3 + kind, minlength=3 * length).reshape(length, 3)
        self.size[here] += both.sum(1)
        self.positive[here] += both[:, POSITIVE]
        self.negative[here] += both[:, NEGATIVE]


def measure_cells(labels: Labels, classes: Bytes, marker: Bytes | None, ihc: Bytes | None) -> Cells:
    """One row for each number of the map, which is renumbered if it is not in raster order.

    Parameters
    ----------
    labels
        As `label_cells` gives them.
    classes
        As `classify_pixels` gives them.
    marker, ihc
        As `find_cells` takes them.
    """
    count = int(labels.max(initial=0))
    sums = _Sums(count, classes.shape)
    for band in _bands(classes):
        pictures = (None if picture is None else picture[band] for picture in (marker, ihc))
        sums.add(band.start, labels[band], classes[band], *pictures)
    order = np.argsort(sums.first[1:], kind="stable") + 1
    if (order[1:] < order[:-1]).any():
        labels[...] = np.concatenate(([0], np.argsort(order) + 1)).astype(np.int32)[labels]
    size, height, width = sums.size[order], *classes.shape
    tops, bottoms = sums.first[order] // width, sums.last[order] // width
    return Cells(
        width_px=width,
        height_px=height,
        first=sums.first[order],
        size_px=size,
        positive_px=sums.positive[order],
        negative_px=sums.negative[order],
        centre_px=np.stack((_mean(sums.x[order], size), _mean(sums.y[order], size)), axis=1),
        box_px=np.stack((sums.left[order], tops, sums.right[order], bottoms), axis=1),
        sum_px=np.stack((sums.x[order], sums.y[order]), axis=1),
        marker=None if marker is None else sums.marker[order],
        od=None if ihc is None else _mean(sums.od[order], size),
        marker_histogram=None if marker is None else sums.histogram,
    )


def _mean(total: Ints, count: Ints) -> Ints:
    """The mean, rounded half to even. A half is a float, and nothing else comes nearer to it than 1 / (2 count)."""
    return np.rint(total / count).astype(np.int64)


def _bands(picture: Bytes) -> list[slice]:
    height, width = picture.shape
    rows = max(1, BAND_PIXELS // max(1, width))
    return [slice(top, min(height, top + rows)) for top in range(0, height, rows)]


def _check(seg: Bytes, marker: Bytes | None, ihc: Bytes | None) -> None:
    for name, picture in (("mask", seg), ("marker", marker), ("stained image", ihc)):
        if picture is None:
            continue
        shape = (*seg.shape[:2], 3)
        if picture.dtype != np.uint8 or (picture.shape != shape and (name != "marker" or picture.shape != shape[:2])):
            raise ValueError(f"the {name} is {picture.dtype} {picture.shape}: give uint8 {shape}")
    if not seg.size:
        raise ValueError("the mask has no pixel")
