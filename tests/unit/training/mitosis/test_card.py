"""What a card and a title say of a network: never more than its numbers do."""

import pytest

from training.metrics.intervals import Estimate
from training.mitosis.card import is_useful, verdict
from training.mitosis.config import Config
from training.mitosis.evaluate import NetworkReport
from training.mitosis.package import package_measure, title
from training.mitosis.parts import FINAL
from training.mitosis.scores import Scores


def scores(low, value, high):
    told = Estimate(value=value, low=low, high=high, n=20)
    return Scores(f1=told, precision=told, recall=told, false_per_mm2=told, tp=3, fp=20, fn=52, images=20, area_mm2=2.0)


def report(real=None, phantom=None):
    return NetworkReport(
        thresholds={FINAL: 0.9},
        real=real,
        real_cases={},
        phantom=phantom,
        curve_real=[],
        curve_phantom=[],
        images=[],
    )


@pytest.mark.parametrize(("high", "useful"), [(0.49, False), (0.5, True)])
def test_a_network_whose_interval_lies_low_is_told_to_be_of_no_use(high, useful):
    network = report(scores(0.1, 0.2, high))
    assert is_useful(network) == useful
    assert "3 of 55 mitoses" in verdict(network)
    assert ("does not find mitoses on real slides" in verdict(network)) != useful


@pytest.mark.parametrize("high", [0.3, 0.8])
def test_grades_are_stated_only_where_the_network_is_of_use(high):
    measure = package_measure(Config(), report(scores(0.1, 0.2, high)))
    assert (measure.theta1, measure.theta2) == ((6, 20) if high > 0.5 else (None, None))
    assert measure.hotspot_mm2 == 2
    assert measure.detection_threshold == 0.9


def test_without_real_mitoses_nothing_is_claimed():
    network = report(phantom=scores(0.8, 0.9, 0.95))
    assert not is_useful(network)
    assert "never held against real mitoses" in verdict(network)
    assert title(network) == "Mitotic figures in H&E (F1 0.90 on phantoms)"


def test_the_title_tells_real_and_drawn_apart():
    told = title(report(scores(0, 0.08, 0.17), scores(0.7, 0.74, 0.76)))
    assert told == "Mitotic figures in H&E (F1 0.08 on real cases, F1 0.74 on phantoms)"
