"""Validation F1, thresholds, counts per image."""

import numpy as np
import pytest

from tests.unit.training.mitosis.made import made_image
from training.mitosis.config import EvaluateConfig
from training.mitosis.detect import Detections, find_mitoses, thresholds_of
from training.mitosis.scores import choose_threshold, count_image, curve_of, summarise
from training.mitosis.validation import best_f1


def found(*rows):
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Detections(table[:, :2], table[:, 2])


def test_best_f1_over_thresholds():
    truth = np.array([True, False, True, False])
    assert best_f1(np.array([0.9, 0.8, 0.7, 0.1]), truth) == pytest.approx(0.8)
    # Equal probabilities stand or fall together.
    assert best_f1(np.array([0.5, 0.5, 0.5, 0.5]), truth) == pytest.approx(2 / 3)


def test_counts_of_an_image_one_to_one_within_the_distance():
    image = made_image("a", "1", mitoses=2)
    # 30 px are 7.5 um: the first is right, the second a double, the third too far, the fourth too weak.
    rows = found((60, 60, 0.95), (50, 85, 0.9), (181, 60, 0.9), (150, 60, 0.85))
    counts = count_image(image, rows, 0.88, 0.25, 7.5)
    assert (counts.tp, counts.fp, counts.fn) == (1, 2, 1)
    assert counts.area_mm2 == pytest.approx(0.1 * 0.075)


def test_the_curve_and_the_threshold_of_its_plateau():
    image, tried = made_image("a", "1", mitoses=1), (0.8, 0.85, 0.9, 0.95, 0.99)
    curve = curve_of([image], [found((50, 60, 0.96), (200, 200, 0.84))], tried, 0.25, 7.5)
    assert curve == pytest.approx([2 / 3, 1, 1, 1, 0])
    assert choose_threshold([curve, []], tried) == 0.9


def test_a_threshold_serves_real_and_synthetic_alike():
    assert choose_threshold([[0.9, 0.5, 0.0], [0.0, 0.5, 0.8]], (0.8, 0.9, 0.95)) == 0.9


def test_without_a_mitosis_there_is_no_threshold():
    assert curve_of([made_image("a", "1", mitoses=0)], [found()], (0.8,), 0.25, 7.5) == []
    with pytest.raises(ValueError, match="holds a mitosis"):
        choose_threshold([[], []], (0.8,))


def test_ratios_that_do_not_exist_are_left_out():
    counts = count_image(made_image("a", "1", mitoses=0), found((200, 200, 0.9)), 0.8, 0.25, 7.5)
    scores = summarise([counts], 1)
    assert scores.f1 is None and scores.recall is None
    assert scores.precision.value == 0
    assert scores.false_per_mm2.value == pytest.approx(1 / 0.0075)


def test_a_map_becomes_points_as_in_the_engine():
    heat = np.zeros((20, 30), np.float32)
    heat[4:6, 10:12] = 0.9
    heat[15, 20] = 0.85
    heat[15, 26] = 0.99
    rows = find_mitoses(heat, 0.25, EvaluateConfig(min_distance_px=40))
    # Pixel 26 suppresses pixel 20, 24 px to its left; map px are 4 px of the frame.
    assert rows.points_px.tolist() == [[106, 62], [44, 20]]
    assert rows.probability.tolist() == pytest.approx([0.99, 0.9], abs=1 / 255)


def test_thresholds_are_steps_of_the_stored_map():
    tried = thresholds_of(EvaluateConfig())
    assert tried[0] == pytest.approx(204 / 255) and tried[-1] == pytest.approx(254 / 255)
    assert len(tried) == 51
