"""One step of the losses with toy networks whose answers are arithmetic."""

import pytest
import torch
from torch import nn

from training.deepliif.config import NetsConfig, TrainConfig
from training.deepliif.train import Recipe, discriminate, generate, segment


class Times(nn.Module):
    """The first three channels times a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, picture):
        return picture[:, :3] * self.factor


class Mean(nn.Module):
    """The mean of the last three channels, for every sample, times a number."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, pair):
        return pair[:, -3:].mean((1, 2, 3)) * self.factor


def made(stage="joint", modalities=("dapi", "marker"), **train):
    recipe = Recipe(
        NetsConfig(modalities=modalities, many_to_one=train.pop("many", False)), TrainConfig(stage=stage, **train)
    )
    translators = {f"G{k + 1}": Times(0.5) for k in range(len(modalities))}
    segmenters = (
        {"GS": Times(1)} if recipe.nets.many_to_one else {f"GS{k}": Times(k + 1) for k in range(len(modalities) + 1)}
    )
    nets = translators | segmenters
    return recipe, nets | {f"D{name}": Mean() for name in nets}


def batch(has=(True,), modalities=2, ihc=0.8, real=0.2, mask=0.1):
    count = len(has)
    fill = [
        torch.full((count, channels, 2, 2), value) for channels, value in ((3, ihc), (3 * modalities, real), (3, mask))
    ]
    return (*fill, torch.tensor(has))


def test_the_mask_is_the_weighted_sum_of_what_each_segmenter_makes_of_its_own_input():
    recipe, nets = made()
    ihc = torch.full((1, 3, 2, 2), 1.0)
    stains = {"G1": ihc * 10, "G2": ihc * 100}
    drawn = segment(recipe, nets, ihc, stains)
    # Weights .25, .25 and .25 of three in use: a third each; networks multiply by 1, 2 and 3.
    assert drawn.flatten()[0].item() == pytest.approx((1 * 1 + 2 * 10 + 3 * 100) / 3)


def test_the_generators_loss_is_the_papers_sum():
    recipe, nets = made(modalities=("dapi",))
    step = generate(recipe, nets, batch(modalities=1))
    made_dapi = 0.4
    drawn = 0.5 * (0.8 * 1) + 0.5 * (made_dapi * 2)
    l1 = {"G1": 0.5 * (made_dapi - 0.2) ** 2, "mask": drawn - 0.1 - 0.5}
    gan = {"G1": torch.nn.functional.softplus(torch.tensor(-made_dapi)).item(), "mask": 2 * 0.5 * (drawn - 1) ** 2}
    assert step.parts["G1_l1"] == pytest.approx(l1["G1"]) and step.parts["mask_l1"] == pytest.approx(
        l1["mask"], abs=1e-6
    )
    assert step.parts["G1_gan"] == pytest.approx(gan["G1"])
    assert step.parts["mask_gan"] == pytest.approx(gan["mask"], rel=1e-4)
    assert float(step.loss.detach()) == pytest.approx(sum(gan.values()) + 100 * sum(l1.values()), rel=1e-5)
    assert set(step.images) == {"G1", "mask"}


def test_discriminators_aim_at_one_for_real_and_zero_for_made():
    recipe, nets = made(modalities=("dapi",))
    given = batch(modalities=1)
    _, parts = discriminate(recipe, nets, given, generate(recipe, nets, given).detached())
    drawn = 0.8
    for name in ("DGS0", "DGS1"):
        assert parts[name] == pytest.approx(0.5 * (0.1 - 1) ** 2 + 0.5 * drawn**2)
    softplus = torch.nn.functional.softplus
    assert parts["DG1"] == pytest.approx(0.5 * (softplus(torch.tensor(-0.2)) + softplus(torch.tensor(0.4))).item())


def test_without_modalities_translators_are_not_taught_and_segmenters_are():
    recipe, nets = made()
    generate(recipe, nets, batch(has=(False,))).loss.backward()
    assert all(nets[name].factor.grad is None or nets[name].factor.grad == 0 for name in ("G1", "G2"))
    assert all(nets[name].factor.grad != 0 for name in ("GS0", "GS1", "GS2"))


def test_with_modalities_the_masks_loss_teaches_translators_too():
    recipe, nets = made(reconstruction=1.0, adversarial=0.0)
    step = generate(recipe, nets, batch(has=(True, False), real=0.4))
    # The translation is right already, so all that moves a translator comes from the mask.
    assert step.parts["G1_l1"] == pytest.approx(0, abs=1e-12)
    step.loss.backward()
    assert nets["G1"].factor.grad != 0


def test_segmenters_alone_leave_translators_as_they_are():
    recipe, nets = made(stage="segmenters")
    step = generate(recipe, nets, batch())
    step.loss.backward()
    assert nets["G1"].factor.grad is None and nets["GS1"].factor.grad != 0
    assert recipe.translators == () and not {"G1_l1", "G2_l1"} & set(step.parts)
    assert set(discriminate(recipe, nets, batch(), step.detached())[1]) == {"DGS0", "DGS1", "DGS2"}


def test_translators_alone_draw_no_mask():
    recipe, nets = made(stage="translators")
    step = generate(recipe, nets, batch())
    assert set(step.images) == {"G1", "G2"} and set(step.parts) == {"G1_l1", "G1_gan", "G2_l1", "G2_gan"}
    loss, parts = discriminate(recipe, nets, batch(has=(False,)), step.detached())
    assert float(loss.detach()) == 0 and loss.requires_grad and set(parts) == {"DG1", "DG2"}


def test_one_for_all_has_one_discriminator_that_sees_everything():
    recipe, nets = made(many=True)
    seen = []
    nets["DGS"].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    given = batch()
    step = generate(recipe, nets, given)
    _, parts = discriminate(recipe, nets, given, step.detached())
    assert set(parts) == {"DG1", "DG2", "DGS"} and set(seen) == {3 * 3 + 3}


def test_without_a_say_discriminators_cost_nothing():
    recipe, nets = made(adversarial=0.0)
    step = generate(recipe, nets, batch())
    assert step.parts["mask_gan"] == 0 and step.parts["G1_gan"] == 0
