"""From outputs to cells and to the rows of the table."""

import numpy as np
import pytest

from tests.unit.training.deepliif.made import picture_of, squares
from training.deepliif.config import NetsConfig
from training.deepliif.evaluate import answer_of, group_of, numbers_of, truth_of
from training.deepliif.infer import find_in, halo_px, mirrored, radius_px, sample_of, stride_px
from training.deepliif.report import Number, number_line
from training.deepliif.store import PictureRow

NARROW = NetsConfig(blocks=4, levels=5)


def cells():
    instances = squares(side=64, cell=14, gap=2)
    return picture_of(instances, np.arange(int(instances.max())) % 3 == 0)


def read(given, seg):
    return find_in({"seg": seg, "marker": given.panels.marker}, given.panels.ihc)


def test_the_true_mask_read_by_the_rules_is_the_truth():
    given = cells()
    truth, answer = truth_of(given, ()), answer_of(read(given, given.panels.seg), ())
    assert (truth.classes == answer.classes).all() and truth.classes.max() == 2
    assert (truth.instances > 0).sum() < (given.instances > 0).sum()
    rows = [(PictureRow("a", "a", "phantom", True, True), truth, answer)]
    table = {(n.metric, n.of): n.value for n in numbers_of(rows, 0, 10)}
    assert table["aji", "all"] == table["pix_acc", "mean"] == table["detection_f1", "mean"] == 1
    assert table["score_gap", "all"] == 0


def test_a_mask_of_one_class_misses_the_other():
    given = cells()
    seg = given.panels.seg.copy()
    seg[seg[..., 0] > 0] = (0, 0, 255)
    rows = [(PictureRow("a", "a", "nuclei_tnbc", True, False), truth_of(given, ()), answer_of(read(given, seg), ()))]
    table = {(n.metric, n.of): (n.value, n.data) for n in numbers_of(rows, 0, 10)}
    assert table["dice", "positive"] == (0, "held-out real nuclei turned IHC")
    assert table["aji", "all"][0] == 1 and table["score_gap", "all"][0] == pytest.approx(100 * given.positive.mean())


def test_phantoms_real_nuclei_and_own_panels_are_never_counted_together():
    sources = ("phantom", "nuclei_tnbc", "nuclei_dsb2018", "panels")
    groups = [group_of(PictureRow("a", "a", source, True, True)) for source in sources]
    assert groups == ["phantom", "real", "real", "panels"]


def test_a_number_that_does_not_exist_is_said_to_be_none():
    number = Number(data="d", metric="m", of="all", how="pooled", value=None, low=None, high=None, n=0, synthetic=True)
    assert number_line(number) == "| m | all | pooled | none |  | 0 |"


def test_the_halo_holds_all_that_a_pixel_sees():
    assert stride_px(NARROW) == 32
    assert radius_px(NARROW) <= halo_px(NARROW) < radius_px(NARROW) + 32
    assert radius_px(NetsConfig(modalities=(), levels=5)) < radius_px(NARROW)


def test_windows_are_mirrored_at_the_ends():
    row = np.repeat(np.arange(4, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert mirrored(row, (0, 1), (-2, 7))[0, 0, :, 0].tolist() == [1, 0, 0, 1, 2, 3, 3, 2, 1]


def test_statistics_are_taken_where_there_is_tissue():
    picture = np.full((1024, 1024, 3), 255, np.uint8)
    picture[512:, 512:] = np.random.default_rng(0).integers(0, 256, (512, 512, 3))
    sample = sample_of(picture)
    assert sample.shape == (1, 512, 512, 3) and (sample[0].numpy() == picture[512:, 512:]).all()
    assert sample_of(picture[:100, :100]).shape == (1, 512, 512, 3)
