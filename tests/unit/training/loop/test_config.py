"""Learning rates, and digests of recipes."""

import pytest
from pydantic import ValidationError

from training.loop.config import LoopConfig, code_digest, digest_of, load_toml, rate_at

PAPER_E = LoopConfig(epochs=20, batch=64, rate=1e-3, final_rate=3e-5, decay="exponential")
PAPER_A = LoopConfig(epochs=20, batch=64, rate=1e-3, final_rate=1e-4, decay="step", step_epoch=10)


def test_the_exponential_rate_goes_from_rate_to_final_rate():
    assert rate_at(PAPER_E, 0) == pytest.approx(1e-3)
    assert rate_at(PAPER_E, 10) == pytest.approx((1e-3 * 3e-5) ** 0.5)
    assert rate_at(PAPER_E, 20) == pytest.approx(3e-5)


def test_the_stepped_rate_falls_once():
    assert [rate_at(PAPER_A, epoch) for epoch in (0, 9, 9.99, 10, 19)] == [1e-3, 1e-3, 1e-3, 1e-4, 1e-4]


def test_the_cosine_is_half_way_in_the_middle():
    loop = LoopConfig(epochs=10, batch=8, rate=1.0, final_rate=0.5, decay="cosine")
    assert [rate_at(loop, epoch) for epoch in (0, 5, 10)] == pytest.approx([1.0, 0.75, 0.5])


@pytest.mark.parametrize("step_epoch", [0, 21])
def test_a_step_outside_of_the_epochs_is_refused(step_epoch):
    with pytest.raises(ValidationError, match="step_epoch"):
        LoopConfig(epochs=20, batch=64, decay="step", step_epoch=step_epoch)


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("epochs = 2\nbatch = 4\nlearning_rate = 1\n")
    with pytest.raises(ValidationError, match="learning_rate"):
        load_toml(file, LoopConfig)


def test_the_digest_follows_the_values_and_not_the_text(tmp_path):
    one, other = tmp_path / "a.toml", tmp_path / "b.toml"
    one.write_text("# a comment\nepochs = 20\nbatch = 64\n")
    other.write_text("batch = 64\nepochs = 20\n")
    first, second = (load_toml(path, LoopConfig) for path in (one, other))
    assert digest_of(first, "data") == digest_of(second, "data")
    assert digest_of(first, "data") != digest_of(second, "other data")
    assert digest_of(first) != digest_of(first.model_copy(update={"batch": 32}))


def test_the_code_digest_sees_names_and_bytes(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert code_digest(tmp_path) == before
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert code_digest(tmp_path) != before
