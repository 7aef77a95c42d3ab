import numpy as np
import pytest
from hypothesis import given, settings

from tests.unit.deepliif import slow
from tests.unit.deepliif.making import mask_of, masks, picture_for
from workers.deepliif import cells as cells_module
from workers.deepliif.cells import classify_pixels, fill_holes, find_cells, optical_density
from workers.deepliif.thresholds import Thresholds

DEFAULTS = Thresholds()


@pytest.fixture(autouse=True, scope="module")
def _small_bands():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "BAND_PIXELS", 20)
        yield


@settings(max_examples=25, deadline=None)
@given(masks)
def test_the_table_is_that_of_the_slow_rules(seg):
    marker, ihc = picture_for(seg, 1), picture_for(seg, 2)
    cells, labels = find_cells(seg, DEFAULTS, marker=marker, ihc=ihc)
    kind = slow.classes(seg)
    found = slow.components(kind)
    assert len(cells) == len(found)
    for row, pixels in enumerate(found):
        expected = slow.facts(pixels, kind, marker, ihc)
        assert divmod(int(cells.first[row]), seg.shape[1]) == expected["first"][::-1]
        assert cells.size_px[row] == expected["size"]
        assert (cells.positive_px[row], cells.negative_px[row]) == expected["votes"]
        assert tuple(cells.centre_px[row]) == expected["centre"]
        assert tuple(cells.box_px[row]) == expected["box"]
        assert cells.marker[row] == expected["marker"]
        assert cells.od[row] == expected["od"]
        assert sorted(zip(*np.nonzero(labels == row + 1), strict=True)) == sorted((y, x) for x, y in pixels)
    assert cells.marker_histogram.tolist() == np.bincount(marker.max(2).ravel(), minlength=256).tolist()


@pytest.mark.parametrize(
    ("pixel", "kind"),
    [
        ((60, 0, 60), 0),  # the sum must be above 120
        ((61, 0, 60), 1),
        ((60, 80, 61), 2),
        ((255, 81, 0), 0),  # green may be 80, not more
        ((100, 0, 100), 1),  # as much red as blue is positive
        ((200, 0, 200), 1),  # 400 does not wrap to 144, nor
        ((150, 0, 150), 1),  # 300 to 44
    ],
)
def test_a_pixel_is_classified(pixel, kind):
    assert classify_pixels(np.uint8([[pixel]]), DEFAULTS).tolist() == [[kind]]


def test_thresholds_of_pixels_can_be_chosen():
    pixels = np.uint8([[(60, 0, 60), (255, 90, 0)]])
    assert classify_pixels(pixels, Thresholds(seg=119, green=90)).tolist() == [[1, 1]]


def test_a_hole_closed_by_sides_is_filled_and_a_gap_at_a_corner_does_not_open_it():
    ring = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.uint8)
    assert fill_holes(ring).sum() == 8 and fill_holes(ring)[2, 2]
    ring[2, 3] = 0
    assert not fill_holes(ring)[2, 2]


def test_a_green_boundary_alone_is_a_hole_or_background():
    cells, _ = find_cells(mask_of(["ggg..", "grg..", "ggg..", ".....", "rrr..", "rgr..", "rrr.."]), DEFAULTS)
    assert cells.size_px.tolist() == [1, 9]
    assert cells.positive_px.tolist() == [1, 8]


def test_centres_are_rounded_half_to_even():
    cells, _ = find_cells(mask_of(["rr..", "....", ".rr."]), DEFAULTS)
    assert cells.centre_px.tolist() == [[0, 0], [2, 2]]


def test_cells_that_touch_at_a_corner_are_one():
    cells, _ = find_cells(mask_of(["rr..", "..bb"]), DEFAULTS)
    assert cells.size_px.tolist() == [4]
    assert cells.is_voted_positive.tolist() == [True]


def test_a_mask_without_cells():
    cells, labels = find_cells(np.zeros((3, 4, 3), np.uint8), DEFAULTS, marker=np.zeros((3, 4), np.uint8))
    assert len(cells) == 0 and not labels.any() and cells.centre_px.shape == (0, 2)


def test_optical_density_of_known_pixels():
    assert optical_density(np.uint8([(255, 255, 255), (0, 255, 255), (26, 26, 26), (128, 255, 64)])).tolist() == [
        0,
        241,
        297,
        90,
    ]


@pytest.mark.parametrize("wrong", [{"marker": np.zeros((2, 2), np.uint8)}, {"ihc": np.zeros((3, 3), np.uint8)}])
def test_pictures_of_another_size_are_refused(wrong):
    with pytest.raises(ValueError, match=r"give uint8 \(3, 3, 3\)"):
        find_cells(np.zeros((3, 3, 3), np.uint8), DEFAULTS, **wrong)
