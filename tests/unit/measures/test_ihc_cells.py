"""Cells of an IHC mask found in blocks are those of the whole mask, whatever the blocks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.deepliif.making import PALETTE, mask_of
from workers.deepliif.cells import find_cells
from workers.deepliif.thresholds import Thresholds
from workers.geometry import Box
from workers.measures.cell_outlines import bridge
from workers.measures.ihc_cells import IhcPictures, IhcTally, stream_ihc_cells

ALL = Thresholds(noise_px=0)


def reader(picture):
    return lambda box: picture[box.y : box.bottom, box.x : box.right]


def streamed(seg, block_px, largest_px, thresholds=ALL, **pictures):
    """(rows, tally): x, y, size, positive and negative px of each cell, and what else was asked for."""
    tally = IhcTally()
    image = Box(0, 0, seg.shape[1], seg.shape[0])
    shown = IhcPictures(reader(seg), *(reader(pictures[n]) if n in pictures else None for n in ("marker", "slide")))
    rows = []
    for cells in stream_ihc_cells(shown, image, thresholds, block_px=block_px, largest_px=largest_px, tally=tally):
        columns = [cells.x, cells.y, cells.size_px, cells.positive_px, cells.negative_px]
        columns += [column for column in (cells.marker, cells.od) if column is not None]
        rows += zip(*(column.tolist() for column in columns), strict=True)
    return sorted(rows), tally


def whole(seg, largest_px, marker, slide):
    """(rows of the cells that are small enough, how many components are not), of the whole mask at once."""
    cells, _ = find_cells(seg, ALL, marker=marker, ihc=slide)
    small = (cells.box_px[:, 2:] - cells.box_px[:, :2] < largest_px).all(axis=1)
    places = cells.sum_px / cells.size_px[:, None] + 0.5
    columns = (*places.T, cells.size_px, cells.positive_px, cells.negative_px, cells.marker, cells.od)
    return sorted(zip(*(column[small].tolist() for column in columns), strict=True)), int((~small).sum())


def random_mask(rng, kind):
    height, width = rng.integers(1, 48, 2)
    if kind == "noise":
        share = rng.choice([0.05, 0.2, 0.35, 0.5, 0.65, 0.9])
        picks = np.where(rng.random((height, width)) < share, rng.integers(2, 9, (height, width)), 0)
        return PALETTE[picks]
    seg = np.zeros((height, width, 3), np.uint8)
    ys, xs = np.mgrid[:height, :width]
    for _ in range(rng.integers(1, 8)):
        y, x, radius = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1, 24)
        colour = (255, 0, 0) if rng.random() < 0.5 else (0, 0, 255)
        seg[np.abs(np.hypot(ys - y, xs - x) - radius) < rng.uniform(0.7, 2)] = colour
    seg[rng.random((height, width)) < 0.03] = 0
    return seg


@pytest.mark.parametrize("kind", ["noise", "rings"])
@given(seed=st.integers(0, 2**32 - 1), block_px=st.integers(5, 30), largest_px=st.integers(2, 14))
@settings(max_examples=6)
def test_blocks_give_the_cells_of_the_whole(kind, seed, block_px, largest_px):
    check_blocks(np.random.default_rng(seed), kind, block_px, largest_px)


def check_blocks(rng, kind, block_px, largest_px):
    """One random mask, in blocks and as a whole."""
    seg = random_mask(rng, kind)
    marker, slide = (rng.integers(0, 256, seg.shape, dtype=np.uint8) for _ in range(2))
    wanted, giants = whole(seg, largest_px, marker, slide)
    rows, tally = streamed(seg, block_px, largest_px, marker=marker, slide=slide)
    assert rows == wanted
    assert (tally.found, tally.too_large) == (len(wanted), giants)


def test_a_gland_is_one_giant_with_all_that_lies_in_it():
    # a ring of 20 px around a lumen that holds one cell, over several blocks of 8 px
    seg = np.zeros((24, 24, 3), np.uint8)
    seg[2:22, 2:22] = (0, 0, 255)
    seg[3:21, 3:21] = 0
    seg[10:13, 10:13] = (255, 0, 0)
    rows, tally = streamed(seg, 8, 6)
    assert (rows, tally.too_large, tally.too_large_px) == ([], 1, 400)
    # one gap, and the lumen is outside: the cell in it is one
    seg[2:4, 10] = 0
    rows, tally = streamed(seg, 8, 6)
    assert (rows, tally.too_large) == ([(11.5, 11.5, 9, 9, 0)], 1)
    # the ring has 76 pixels, one less with the gap
    assert (tally.cells_px, tally.too_large_px) == (75 + 9, 75)


def test_a_cell_on_the_corner_of_four_blocks_is_there_once():
    seg = np.zeros((16, 16, 3), np.uint8)
    seg[6:10, 6:10] = (255, 0, 0)
    seg[7:9, 7:9] = 0
    rows, tally = streamed(seg, 8, 6)
    # the hole belongs to the cell and to no class; the mean, 7.5, is rounded to the even 8
    assert rows == [(8.0, 8.0, 16, 12, 0)]
    assert (tally.found, tally.noise, tally.too_large) == (1, 0, 0)


def test_noise_is_counted_and_given_up():
    seg = mask_of(["rr......", "rr...bbb", ".....bbb", "........"])
    rows, tally = streamed(seg, 8, 6, Thresholds())
    assert rows == [(6.5, 2.0, 6, 0, 6)]
    assert (tally.found, tally.noise) == (1, 1)


def test_what_was_not_analysed_holds_no_cell():
    seg = np.full((12, 12, 3), (255, 0, 0), np.uint8)
    seg[:, 4:] = 0

    def read(box):
        return None if box.x >= 4 else seg[box.y : box.bottom, box.x : box.right]

    pictures = IhcPictures(read)
    found = list(stream_ihc_cells(pictures, Box(0, 0, 12, 12), ALL, block_px=4, largest_px=12))
    assert [cells.size_px.tolist() for cells in found] == [[48]]


def test_means_are_of_the_cell_s_pixels():
    seg = mask_of(["rr..", "rr..", "...."])
    marker = np.zeros((3, 4, 3), np.uint8)
    marker[0, :2, 1] = (10, 20)
    marker[1, :2, 0] = (30, 40)
    slide = np.full((3, 4, 3), 255, np.uint8)
    slide[0, 0] = (70, 20, 5)
    pictures = IhcPictures(reader(seg), reader(marker), reader(slide))
    (cells,) = stream_ihc_cells(pictures, Box(0, 0, 4, 3), ALL)
    assert (cells.marker.tolist(), cells.marker_mean.tolist()) == ([40], [25.0])
    # three pixels are white; the fourth's densities, unmixed by solving for the three stains
    vectors = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    amounts = np.linalg.solve(vectors.T, [math.log10(256 / (value + 1)) for value in (70, 20, 5)])
    assert cells.dab_od[0] == pytest.approx(amounts[2] / 4, abs=1e-4)


def test_outlines_are_closed_around_corners():
    seg = mask_of(["r....", ".r...", "..r..", "....."])
    (cells,) = stream_ihc_cells(IhcPictures(reader(seg)), Box(0, 0, 5, 4), ALL)
    assert cells.size_px.tolist() == [3]
    points = cells.points
    assert len({tuple(point) for point in points.tolist()}) == len(points)
    # three pixels and two bridges, by the shoelace rule; half pixels are cut off or filled in
    ahead = np.roll(points, -1, axis=0)
    assert abs((points[:, 0] * ahead[:, 1] - points[:, 1] * ahead[:, 0]).sum()) / 2 == pytest.approx(5, abs=2)


def test_bridges_are_below_and_of_the_same_cell():
    labels = np.array([[1, 0, 0, 2], [0, 1, 2, 0], [0, 0, 0, 0]], np.int32)
    assert bridge(labels).tolist() == [[1, 0, 0, 2], [1, 1, 2, 2], [0, 0, 0, 0]]
