import pytest
from pydantic import ValidationError

from training.deepliif.config import EXPERIMENTS, Config, TrainConfig
from training.deepliif.train import rate_of
from training.loop.config import experiment_path, load_toml


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_kept_here_is_a_recipe(path):
    config = load_toml(path, Config)
    assert config.data.side_px % 2**config.nets.levels == 0


def test_the_papers_recipe_has_the_papers_numbers():
    config = load_toml(experiment_path(EXPERIMENTS, "paper"), Config)
    train, nets = config.train, config.nets
    assert (train.rate, train.constant_epochs, train.decay_epochs, train.batch) == (2e-4, 100, 100, 1)
    assert (train.reconstruction, train.smooth_l1, train.stage, train.adversarial) == (100, "paper", "joint", 1)
    assert (nets.blocks, nets.levels, nets.translator_width, nets.segmenter_width) == (9, 9, 64, 64)
    assert nets.weights == (0.25, 0.15, 0.25, 0.1, 0.25) and not nets.many_to_one
    assert config.data.side_px == 512 and config.synthetic.neg_to_pos == (0.5, 0.7, 0.9)
    assert (nets.discriminator_width, nets.discriminator_layers, nets.spectral_norm) == (64, 3, False)


def test_the_rate_stands_and_then_falls_to_zero():
    rate = rate_of(TrainConfig())
    wanted = {0: 2e-4, 99: 2e-4, 100: 2e-4, 150: 1e-4, 199: 2e-6, 200: 0.0}
    assert {epoch: rate(epoch) for epoch in wanted} == pytest.approx(wanted)


def test_a_rate_without_a_fall_stays():
    assert rate_of(TrainConfig(constant_epochs=3, decay_epochs=0))(2) == 2e-4


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"nets": {"levels": 9}, "data": {"side_px": 256}}, "no multiple of 512"),
        ({"data": {"phantom": {"side_px": 256}}}, "smaller than the pictures"),
        ({"train": {"constant_epochs": 0, "decay_epochs": 0}}, "nothing would be trained"),
        ({"nets": {"modalities": ["dapi", "dapi"]}}, "once each"),
        ({"nets": {"weights": [1, 1]}}, "weights are 5"),
        ({"nets": {"unheard_of": 1}}, "Extra inputs"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changed, says):
    with pytest.raises(ValidationError, match=says):
        Config.model_validate(changed)


def test_where_it_runs_and_how_it_is_used_does_not_change_the_recipe():
    plain = Config()
    assert plain.digest() == Config.model_validate({"package": {"mode": "compat"}}).digest()
    assert plain.digest() != Config.model_validate({"train": {"rate": 1e-4}}).digest()
    assert plain.data_digest() == Config.model_validate({"train": {"rate": 1e-4}}).data_digest()
    assert plain.data_digest() != Config.model_validate({"data": {"boundary_px": 1}}).data_digest()


def test_an_unknown_experiment_is_named():
    with pytest.raises(FileNotFoundError, match=r"no experiment 'nope'.*paper"):
        experiment_path(EXPERIMENTS, "nope")
