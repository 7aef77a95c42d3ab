"""The loop: resumed equals uninterrupted, foreign checkpoints are refused, the schedule is what it says."""

import csv
from itertools import pairwise

import pytest
import torch

from tests.unit.training.recipe import small_config, small_prepared
from training.nuclei.train import LOG_FIELDS, Run, learning_rate, load_network, train


def weights_of(path):
    return torch.load(path, weights_only=True)


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(tmp_path, monkeypatch):
    config, prepared = small_config(), small_prepared()
    whole = weights_of(train(prepared, config, tmp_path / "whole", None))

    real = torch.nn.utils.clip_grad_norm_
    calls = []

    def stops_at_the_fifth_step(*arguments, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(torch.nn.utils, "clip_grad_norm_", stops_at_the_fifth_step)
        train(prepared, config, tmp_path / "resumed", None)
    resumed = weights_of(train(prepared, config, tmp_path / "resumed", None))
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_the_log_has_a_line_per_checkpoint(tmp_path):
    train(small_prepared(), small_config(), tmp_path, 0)
    with Run.of(tmp_path, 0).log.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == LOG_FIELDS
    assert [row[0] for row in rows[1:]] == ["2", "4"]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    train(small_prepared(), small_config(), tmp_path, None)
    with pytest.raises(ValueError, match="another recipe"):
        train(small_prepared(), small_config(rate=0.5), tmp_path, None)


def test_trained_weights_load_into_a_network_that_predicts(tmp_path):
    config = small_config()
    net = load_network(config, train(small_prepared(), config, tmp_path, 1))
    assert not net.training
    assert net(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_the_rate_warms_up_and_falls_to_nothing():
    config = small_config(warmup=10, rate=1.0).train
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[:10] == [pytest.approx((i + 1) / 10) for i in range(10)]
    assert all(later <= earlier for earlier, later in pairwise(rates[9:]))
    assert rates[100] == pytest.approx(0)
