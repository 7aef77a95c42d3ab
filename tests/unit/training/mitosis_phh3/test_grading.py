"""Grades, thresholds and reports of hotspot counts."""

import numpy as np
import pytest

from training.mitosis.grading import (
    GradedSlide,
    grade_report,
    grid_positions,
    hotspot_counts,
    tune_delta,
    tune_thetas,
)
from workers.measures.grades import grade
from workers.measures.hotspots import disc_counts

SIDE_UM = 4000.0


def cluster(count, x=2000.0, y=2000.0, seed=0):
    return np.random.default_rng(seed).normal((x, y), 120.0, (count, 2))


def test_positions_are_the_middles_of_a_grid():
    assert grid_positions(200, 100, 100).tolist() == [[50, 50], [150, 50]]


def test_positions_keep_to_tissue():
    mask = np.array([[True, False], [False, True]])
    assert grid_positions(200, 200, 100, mask).tolist() == [[50, 50], [150, 150]]


def test_the_percentile_is_over_positions_that_hold_a_mitosis():
    points, positions = cluster(20), grid_positions(SIDE_UM, SIDE_UM, 200)
    counts = disc_counts(points, positions)
    found = hotspot_counts(points, positions)
    assert (counts == 0).sum() > 0
    assert found.percentile_95 == np.percentile(counts[counts > 0], 95)
    assert found.densest == 20


def test_an_outlier_moves_the_densest_circle_and_hardly_the_percentile():
    even, positions = grid_positions(8000, 8000, 800), grid_positions(8000, 8000, 250)
    spike = np.concatenate([even, np.full((30, 2), 4000.0)])
    before, after = hotspot_counts(even, positions), hotspot_counts(spike, positions)
    assert after.densest >= before.densest + 29
    assert after.percentile_95 <= before.percentile_95 + 1


def test_a_slide_without_mitoses_counts_nothing_and_has_no_place():
    found = hotspot_counts(np.zeros((0, 2)), grid_positions(SIDE_UM, SIDE_UM, 500))
    assert (found.percentile_95, found.densest, found.x_um) == (0.0, 0, None)


def test_tuning_finds_thresholds_that_part_the_grades():
    counts, grades = [0, 3, 5, 9, 12, 15, 30, 40], [1, 1, 1, 2, 2, 2, 3, 3]
    found = tune_thetas(counts, grades)
    assert found.kappa == 1
    assert 5 <= found.theta1 < 9
    assert 15 <= found.theta2 < 30


def test_tuning_is_no_worse_than_any_pair_of_thresholds():
    from training.metrics.agreement import kappa_value

    numbers = np.random.default_rng(3)
    grades = numbers.integers(1, 4, 15)
    counts = np.maximum(0, grades * 4 + numbers.integers(-6, 7, 15))
    best = tune_thetas(counts, grades).kappa
    for low in range(25):
        for high in range(low, 25):
            assert (kappa_value([grade(c, low, high) for c in counts], grades) or 0) <= best + 1e-9


def test_on_slides_of_one_grade_nothing_is_tuned():
    found = tune_thetas([5, 9, 30], [1, 1, 1])
    assert (found.theta1, found.theta2, found.kappa) == (6, 20, None)


def test_delta_of_the_highest_spearman_the_middle_of_equals():
    truth, good, bad = [1, 2, 3, 4], [2, 4, 6, 8], [4, 1, 2, 3]
    assert tune_delta([bad, good, good, good, bad], truth, [0.8, 0.9, 0.92, 0.94, 0.99]) == (0.92, 1.0)


def test_delta_cannot_be_tuned_on_slides_that_are_alike():
    with pytest.raises(ValueError, match="cannot be tuned"):
        tune_delta([[3, 3, 3]], [1, 2, 3], [0.9])


def slides_of(counts, errors):
    positions = grid_positions(SIDE_UM, SIDE_UM, 400)
    return [
        GradedSlide(str(i), cluster(n + error, seed=i), cluster(n, seed=i), positions)
        for i, (n, error) in enumerate(zip(counts, errors, strict=True))
    ]


def test_a_perfect_detector_agrees_perfectly():
    report = grade_report(slides_of([0, 4, 10, 30], [0] * 4))
    assert report["percentile_95"]["kappa"]["value"] == 1
    assert report["percentile_95"]["spearman"]["value"] == pytest.approx(1)
    assert report["percentile_95"]["same_grade"] == 4
    assert [row["grade"]["truth"] for row in report["slides"]] == [1, 1, 2, 3]


def test_errors_show():
    report = grade_report(slides_of([0, 4, 10, 30], [25, 10, 0, -25]))
    assert report["percentile_95"]["kappa"]["value"] < 0
    assert report["densest"]["mean_error"] == pytest.approx(2.5)
    assert report["densest"]["mean_absolute_error"] == pytest.approx(15)


def test_one_grade_and_few_slides_are_told_and_are_no_number():
    import json

    alike = grade_report(slides_of([1, 2, 3], [0, 0, 0]))
    assert alike["percentile_95"]["kappa"]["value"] is None
    assert "one grade" in alike["percentile_95"]["kappa"]["reason"]
    few = grade_report(slides_of([1, 30], [0, 0]))
    assert "too few" in few["percentile_95"]["spearman"]["reason"]
    assert "NaN" not in json.dumps([alike, few])


def test_no_slide_is_refused():
    with pytest.raises(ValueError, match="no slide"):
        grade_report([])
