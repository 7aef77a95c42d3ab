import math

import numpy as np
import pytest

from training.metrics.deepliif import ScoredImage, cell_classes, d6_table, percent_positive
from training.metrics.image_quality import mse, ssim
from training.metrics.pixel_classes import PixelCounts, count_pixels, pix_acc, pix_dice, pix_iou, share_right

TRUTH = np.array([[1, 1, 0, 2], [1, 0, 0, 2]])
FOUND = np.array([[1, 2, 0, 2], [1, 1, 0, 0]])


def test_pixels_by_hand():
    # Positive: 2 right, (1, 1) invented, (1, 0) missed. Negative: 1 right, (1, 0) invented, (3, 1) missed. So a pixel
    # of the wrong class counts against both classes.
    positive, negative = count_pixels(TRUTH, FOUND, 1), count_pixels(TRUTH, FOUND, 2)
    assert (positive, negative) == (PixelCounts(2, 1, 1), PixelCounts(1, 1, 1))
    assert (pix_acc(positive), pix_acc(negative)) == (0.5, pytest.approx(1 / 3))
    assert (pix_dice(positive), pix_dice(negative)) == (pytest.approx(2 / 3), 0.5)
    assert share_right(TRUTH, FOUND) == 5 / 8
    assert positive + negative == PixelCounts(3, 2, 2)
    assert pix_acc(PixelCounts(0, 0, 0)) == pix_dice(PixelCounts(0, 0, 0)) == 1.0


def test_the_papers_pixel_accuracy_of_a_class_is_its_iou():
    counts = PixelCounts(5, 3, 4)
    union = np.array([1] * 12)
    assert pix_iou(counts) == pix_acc(counts) == 5 / union.size
    # So it cannot be 94 % where the IoU is 53 %; it rises and falls with Dice.
    assert pix_dice(counts) == pytest.approx(2 * pix_acc(counts) / (1 + pix_acc(counts)))


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot be compared"):
        count_pixels(TRUTH, FOUND[:1], 1)


def test_mean_squared_error_by_hand():
    black = np.zeros((2, 2, 3), np.uint8)
    one = black.copy()
    one[0, 0] = (255, 51, 0)
    assert mse(black, one) == pytest.approx((1 + 0.2**2) / 12)
    assert mse(one, one) == 0


def test_structural_similarity_of_flat_pictures_by_hand():
    # Without variance only the luminance is left: (2 a b + C1) / (a a + b b + C1), C1 = (0.01 x 255) squared.
    a, b = np.full((12, 12), 100, np.uint8), np.full((12, 12), 150, np.uint8)
    c1 = 2.55**2
    assert ssim(a, b) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))
    assert ssim(a, a) == 1
    coloured = np.stack([b, a, a], axis=2)
    assert ssim(np.stack([a] * 3, axis=2), coloured) == pytest.approx((ssim(a, b) + 2) / 3)


def test_structural_similarity_weighs_by_a_gaussian_and_counts_as_a_population():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 11, 11)).astype(np.uint8)
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / np.outer(line, line).sum()
    x, y = a.astype(float), b.astype(float)
    mx, my = (window * x).sum(), (window * y).sum()
    vx, vy, xy = (window * x * x).sum() - mx**2, (window * y * y).sum() - my**2, (window * x * y).sum() - mx * my
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(a, b) == pytest.approx(expected)


def test_pictures_of_other_shapes_or_types_are_refused():
    a = np.zeros((12, 12), np.uint8)
    for measure in (mse, ssim):
        with pytest.raises(ValueError, match="cannot be compared"):
            measure(a, a[1:])
        with pytest.raises(ValueError, match="give uint8"):
            measure(a, a.astype(float))


def image(cells, modalities=None):
    """Cells as 2 x 2 squares: (x, y, class)."""
    classes, instances = np.zeros((2, 40, 60), np.int64)
    for number, (x, y, kind) in enumerate(cells, start=1):
        classes[y : y + 2, x : x + 2] = kind
        instances[y : y + 2, x : x + 2] = number
    return ScoredImage(classes, instances, modalities or {})


def test_cells_have_the_class_of_most_of_their_pixels():
    cells = image([(0, 0, 1), (10, 4, 2)])
    cells.classes[4, 10:12] = 1  # two of four: as many as negative ones
    centres, kinds = cell_classes(cells)
    assert centres.tolist() == [[0.5, 0.5], [10.5, 4.5]]
    assert kinds.tolist() == [1, 1]
    assert cell_classes(image([]))[0].shape == (0, 2)


def rows(truth, predicted):
    return {(row.metric, row.of, row.how): row.estimate for row in d6_table(truth, predicted, seed=1, repeats=50)}


def test_a_table_by_hand():
    picture = np.full((40, 60, 3), 100, np.uint8)
    truth = [image([(0, 0, 1), (20, 0, 2)], {"dapi": picture}), image([(0, 0, 1)])]
    # One cell moved by a pixel, one of the wrong class, and one invented in the second image.
    found = [image([(1, 0, 1), (20, 0, 1)], {"dapi": picture}), image([(0, 0, 1), (30, 30, 2)])]
    table = rows(truth, found)
    # Positive pixels: 2 right, 6 invented, 2 missed; then 4 right. Negative: 4 missed; then 4 invented.
    assert table["pix_acc", "positive", "pooled"].value == pytest.approx(6 / 14)
    assert table["iou", "positive", "per image"].value == pytest.approx((2 / 10 + 1) / 2)
    assert table["dice", "positive", "pooled"].value == pytest.approx(12 / 20)
    assert table["dice", "negative", "pooled"].value == 0
    assert table["dice", "mean", "pooled"].value == pytest.approx(6 / 20)
    assert table["share_right", "all", "pooled"].value == pytest.approx(1 - (8 + 4) / 4800)
    # Positive: 2 common of 6 joined, the other cell's 4 added; then 1. All: 2 + 4 of 6 + 4; then 4 of 4 + 4.
    assert table["aji", "positive", "per image"].value == pytest.approx((2 / 10 + 1) / 2)
    assert table["aji", "all", "per image"].value == pytest.approx((6 / 10 + 4 / 8) / 2)
    assert table["aji", "negative", "per image"].value == 0
    # 50 % against 100 %, 100 % against 50 %: 50 points each, but 2 of 3 against 3 of 4 together.
    assert table["score_gap", "all", "per image"].value == 50
    assert table["score_gap", "all", "pooled"].value == pytest.approx(75 - 200 / 3)
    # Positive: 2 found, 1 invented. Negative: 1 missed, 1 invented. All, whatever the class: 3 found, 1 invented.
    assert table["detection_f1", "positive", "pooled"].value == pytest.approx(4 / 5)
    assert table["detection_f1", "negative", "pooled"].value == 0
    assert table["detection_f1", "mean", "pooled"].value == pytest.approx(2 / 5)
    assert table["detection_f1", "all", "pooled"].value == pytest.approx(6 / 7)
    # The second image has no true negative cell, so there is no F1 of negative cells in it.
    assert table["detection_f1", "negative", "per image"].n == 1
    assert (table["mse", "dapi", "per image"].value, table["ssim", "dapi", "per image"].value) == (0, 1)
    assert table["mse", "dapi", "per image"].n == 1
    assert table["iou", "mean", "pooled"].n == 2


@pytest.mark.parametrize(("away", "expected"), [(10, 1.0), (11, 0.0)])
def test_a_cell_is_found_within_ten_pixels(away, expected):
    table = rows([image([(0, 0, 1)])], [image([(away, 0, 1)])])
    assert table["detection_f1", "positive", "pooled"].value == expected


def test_a_class_that_is_nowhere_has_no_f1_and_no_aji():
    table = rows([image([(0, 0, 1)])], [image([(0, 0, 1)])])
    assert math.isnan(table["detection_f1", "negative", "pooled"].value)
    assert math.isnan(table["aji", "negative", "per image"].value) and table["aji", "negative", "per image"].n == 0
    assert table["aji", "mean", "per image"].value == table["detection_f1", "mean", "pooled"].value == 1


def test_intervals_come_from_the_images():
    same, other = image([(0, 0, 1)]), image([(30, 30, 1)])
    estimate = rows([same] * 6, [same] * 3 + [other] * 3)["iou", "positive", "per image"]
    assert estimate.value == 0.5 and 0 <= estimate.low < 0.5 < estimate.high <= 1


def test_a_table_needs_pairs():
    with pytest.raises(ValueError, match="at least one image"):
        d6_table([], [])
    with pytest.raises(ValueError, match="shorter"):
        d6_table([image([])], [])
    assert percent_positive(0, 0) == 0
