"""Regions of two sections: where they are put, and what is counted in both."""

from pathlib import Path

import numpy as np
import pytest

from models.dab import BLUE, BROWN, dab_classes
from models.manifest import OutputSpec
from models.measures_spec import AreasMeasure
from tests.array_slide import ArraySlide
from tests.unit.outputs.samples import CLASSES, store
from workers.engine.fractions import AreasSource
from workers.engine.keep import Target
from workers.geometry import Box, Frame
from workers.outputs.maps import MapSpec
from workers.outputs.spec import NOT_ANALYSED
from workers.paired.rois import Roi, choose_rois, compare_roi, fitting_rois, pixels_at

STRIDE, MPP = 4, 0.5
"""Map px are 2 um, so that each is looked at on 4 x 4 points 0.5 um apart."""
BROWN_RGB, BLUE_RGB, WHITE = (110, 60, 30), (70, 90, 170), (245, 245, 245)
DENSITIES = (0.35, 0.45)


class Moved:
    """A second slide that lies `shift` level-0 px further to the right and down."""

    def __init__(self, moving: ArraySlide, shift: tuple[float, float]) -> None:
        self.moving, self._shift = moving, np.array(shift)

    def map_points(self, points: np.ndarray) -> np.ndarray:
        return points + self._shift


def source_of(folder: Path, values: np.ndarray, shard: int = 8) -> AreasSource:
    height, width = values.shape
    frame = Frame(MPP, width * STRIDE, height * STRIDE, MPP, Box(0, 0, width * STRIDE, height * STRIDE))
    spec = MapSpec("map", "classes", 1, STRIDE, width, height, shard, shard // 2, NOT_ANALYSED, CLASSES)
    store(folder, spec, values, frame)
    output = OutputSpec(name="map", kind="classes", activation="softmax", channels=3, classes=CLASSES, stride_px=STRIDE)
    measure = AreasMeasure(output="map", positive="nucleus", negative="border")
    return AreasSource(measure, Target(spec, output, lambda raw, output: raw), folder, frame)


def test_colours_of_this_test_are_what_they_are_taken_for():
    assert dab_classes(np.array([[BROWN_RGB, BLUE_RGB, WHITE]], dtype=np.uint8)).tolist() == [[BROWN, BLUE, 0]]


def test_regions_lie_side_by_side_on_tissue(tmp_path):
    values = np.zeros((20, 30), dtype=np.uint8)
    values[:, 22:] = NOT_ANALYSED
    source = source_of(tmp_path, values)
    # 10 x 8 map px: three columns, of which the last is a fifth tissue, and two rows
    rois = choose_rois(source, source.roles, 9, (20.0, 16.0), seed=0)
    assert [(roi.box.x, roi.box.y) for roi in rois] == [(0, 0), (10, 0), (0, 8), (10, 8)]
    assert {roi.tissue for roi in rois} == {1.0}
    some = choose_rois(source, source.roles, 2, (20.0, 16.0), seed=1)
    assert len(some) == 2 and set(some) < set(rois)
    assert some == choose_rois(source, source.roles, 2, (20.0, 16.0), seed=1)
    assert choose_rois(source, source.roles, 9, (500.0, 16.0), seed=0) == ()


def test_regions_are_halved_until_there_are_enough(tmp_path):
    source = source_of(tmp_path, np.zeros((500, 1000), dtype=np.uint8), shard=512)
    rois, size_um = fitting_rois(source, source.roles, 4, seed=0)
    assert size_um == (1889 / 2, 966 / 2)
    assert len(rois) == 4
    rois, size_um = fitting_rois(source, source.roles, 10_000, seed=0)
    assert min(size_um) >= 60 > min(size_um) / 2


def test_both_sections_are_counted_where_they_lie_on_each_other(tmp_path):
    values = np.zeros((12, 12), dtype=np.uint8)
    values[2:6, 2:6], values[6:8, 2:6] = 1, 2
    shift = (8, 4)
    ihc = np.full((12 * STRIDE + shift[1], 12 * STRIDE + shift[0], 3), WHITE, dtype=np.uint8)
    ihc[2 * STRIDE + 4 : 6 * STRIDE + 4, 2 * STRIDE + 8 : 4 * STRIDE + 8] = BROWN_RGB
    ihc[2 * STRIDE + 4 : 6 * STRIDE + 4, 4 * STRIDE + 8 : 5 * STRIDE + 8] = BLUE_RGB
    source = source_of(tmp_path, values)
    roi = Roi(Box(0, 0, 12, 12), 1.0)
    pair = compare_roi(source, source.roles, roi, Moved(ArraySlide(ihc, MPP), shift), DENSITIES)
    assert pair.common == 1
    assert (pair.he.d_pos, pair.he.d_neg, pair.he.r_pos) == pytest.approx((16 / 144, 8 / 144, 2 / 3))
    assert (pair.ihc.d_pos, pair.ihc.d_neg, pair.ihc.r_pos) == pytest.approx((8 / 144, 4 / 144, 2 / 3))


def test_what_one_section_lacks_counts_in_neither(tmp_path):
    values = np.ones((8, 8), dtype=np.uint8)
    values[:, 6:] = NOT_ANALYSED
    # the second slide ends two map px further up
    ihc = np.full((6 * STRIDE, 8 * STRIDE, 3), BROWN_RGB, dtype=np.uint8)
    source = source_of(tmp_path, values)
    pair = compare_roi(source, source.roles, Roi(Box(0, 0, 8, 8), 0.75), Moved(ArraySlide(ihc, MPP), (0, 0)), DENSITIES)
    assert pair.common == 6 * 6 / 64
    assert (pair.he.d_pos, pair.ihc.d_pos, pair.ihc.r_pos) == (1, 1, 1)


def test_pixels_are_those_that_hold_the_points():
    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    points = np.array([(0.0, 0.0), (4.99, 3.99), (5.0, 1.0), (-0.01, 1.0), (2.5, 1.0)])
    pixels, seen = pixels_at(ArraySlide(rgb, 0.25), points, 0.25)
    assert seen.tolist() == [True, True, False, False, True]
    assert pixels[seen].tolist() == [rgb[0, 0].tolist(), rgb[3, 4].tolist(), rgb[1, 2].tolist()]
    assert (pixels[~seen] == 255).all()
