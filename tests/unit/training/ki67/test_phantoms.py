"""The phantoms of a recipe, and the best that can be done on them."""

import numpy as np
import pytest

from tests.unit.training.ki67.test_recipe import recipe
from training.ki67.data import fair_shares
from training.ki67.phantoms import best_possible, pair_specs, specs_of
from training.ki67.quantify import shares


def test_pairs_are_never_trained_on():
    data = recipe("shipped").data
    training, pairs = specs_of(data.phantom), pair_specs(data.pairs, data.phantom)
    assert len(training) == 30
    assert len(pairs) == 32
    assert not {spec.seed for spec in training.values()} & {spec.seed for spec in pairs.values()}
    assert {spec.ki67_effect for spec in [*training.values(), *pairs.values()]} == {2.0}
    assert sorted(spec.ki67 for spec in pairs.values()) == pytest.approx(np.linspace(0.03, 0.6, 32), abs=1e-4)
    assert len({spec.sections for spec in pairs.values()}) == 32


def test_the_best_observer_weighs_the_odds_of_each_type():
    llr = np.array([0.5, -0.5, 0.5, np.inf, -np.inf, 0, 0, 0])
    kind = np.array(["tumour"] * 5 + ["stroma"] * 3)
    positive = np.array([True, False, False, True, False, False, False, True])
    # Two in five tumour cells are positive: 0.5 + ln(2 / 3) is above zero. Stroma tells nothing: most are negative.
    assert best_possible(llr, kind, positive).tolist() == [True, False, True, True, False, False, False, False]
    rare = np.array([True, False, False, False, False, False, False, False])
    assert best_possible(np.array([1.3, 0, 1.3, 0, 0, 0, 0, 0]), kind, rare).tolist() == [False] * 8


def test_shares_are_as_even_as_the_images_allow():
    assert fair_shares([100, 100, 100], 90) == [30, 30, 30]
    assert fair_shares([10, 100, 100], 90) == [10, 40, 40]
    assert fair_shares([10, 0, 20], 90) == [10, 0, 20]
    assert sum(fair_shares([7, 9, 11], 20)) == 20


def test_shares_of_area():
    classes = np.array([[0, 0, 1], [2, 2, 2]])
    assert shares(classes, positive=1, negative=0) == (1 / 6, 2 / 6, 1 / 3)
    assert shares(np.full((2, 2), 2), positive=1, negative=0) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="without area"):
        shares(np.zeros((0,)), 1, 0)
