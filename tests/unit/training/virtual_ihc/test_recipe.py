"""The recipe: the paper's numbers by default, four variants by options, what does not fit refused."""

import pytest
from pydantic import ValidationError

from training.loop.config import experiment_path, load_toml
from training.virtual_ihc.config import EXPERIMENTS, HE, KI67, Config
from training.virtual_ihc.phantoms import check_specs, held_out_specs, moved_specs, training_specs


def test_defaults_are_the_papers():
    config = Config()
    assert (config.data.tile_px, config.data.step_px, config.data.mpp) == (288, 144, 0.5)
    assert (config.loss.cycle, config.loss.structure) == (5, 5)
    assert (config.fit.batch, config.net.blocks, config.loss.adversarial) == (4, 10, "log")
    assert not config.loss.pool


def test_the_rate_falls_to_nine_tenths_every_second_epoch():
    rates = [Config().rate(done) for done in range(6)]
    assert rates == pytest.approx([2e-4, 2e-4, 1.8e-4, 1.8e-4, 1.62e-4, 1.62e-4])


@pytest.mark.parametrize("name", sorted(path.stem for path in EXPERIMENTS.glob("*.toml")))
def test_every_experiment_is_a_recipe(name):
    assert load_toml(experiment_path(EXPERIMENTS, name), Config).fit.epochs


def test_the_four_variants_differ_in_two_options_alone():
    names = ("plain", "skip", "ssim", "shipped")
    found = [load_toml(experiment_path(EXPERIMENTS, name), Config) for name in names]
    assert [(c.net.use_skip, c.loss.use_ssim) for c in found] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]
    assert len({config.variant() for config in found}) == 4
    off = {"net": {"use_skip"}, "loss": {"use_ssim"}}
    assert len({config.model_dump_json(exclude=off) for config in found}) == 1
    assert len({config.data_digest() for config in found}) == 1, "tiles are cut once for all four"


def test_where_it_runs_is_no_part_of_the_recipe():
    config = Config()
    elsewhere = config.model_copy(update={"device": config.device.model_copy(update={"devices": 2})})
    assert elsewhere.digest() == config.digest()
    other = config.model_copy(update={"loss": config.loss.model_copy(update={"cycle": 6.0})})
    assert other.digest() != config.digest()
    assert other.data_digest() == config.data_digest()


def test_an_unknown_experiment_is_told():
    with pytest.raises(FileNotFoundError, match="take one of"):
        experiment_path(EXPERIMENTS, "none")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fit": {"crop_px": 296}}, "larger than the tile"),
        ({"loss": {"window_px": 300}}, "does not fit"),
        ({"data": {"phantom": {"test": 3, "moved": 4}}}, "there are 3"),
        ({"data": {"tile_px": 100}}, "multiple of 8"),
    ],
)
def test_what_does_not_fit_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Config.model_validate(fields)


def test_no_phantom_is_in_two_places():
    config = Config().data.phantom
    groups = [training_specs(config, HE), training_specs(config, KI67), check_specs(config), held_out_specs(config)]
    seeds = [spec.seed for group in groups for spec in group.values()]
    assert len(set(seeds)) == len(seeds) == 12 + 12 + 2 + 10
    assert sorted(spec.ki67 for spec in groups[3].values())[:: len(groups[3]) - 1] == [0.05, 0.55]


def test_moved_sections_are_of_held_out_phantoms_and_lie_elsewhere():
    config = Config().data.phantom
    still, moved = held_out_specs(config), moved_specs(config)
    assert list(moved) == list(still)[:4]
    for name, spec in moved.items():
        assert spec.seed == still[name].seed
        assert spec.section("ki67").shift_x_um != 0
        assert spec.section("he").shift_x_um == 0
        assert still[name].section("ki67").shift_x_um == 0


def test_held_out_phantoms_do_not_depend_on_how_many_are_learned_from():
    config = Config().data.phantom
    assert held_out_specs(config.model_copy(update={"he": 3})) == held_out_specs(config)
