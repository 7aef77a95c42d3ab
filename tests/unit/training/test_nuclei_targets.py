"""Targets drawn by hand, and a loss that prefers the right answer."""

import torch

from tests.unit.training.recipe import disc_sample
from training.metrics.instances import Matches, match
from training.nuclei.config import load_config
from training.nuclei.predict import find_nuclei
from training.nuclei.targets import BACKGROUND, BOUNDARY, NUCLEUS, class_targets, loss


def as_instances(rows):
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def test_the_boundary_is_the_rim_and_the_pixel_around_it():
    classes, touching = class_targets(as_instances([[0, 0, 0, 5, 5, 5, 5, 0, 0]] * 5))
    assert classes[0, 2].tolist() == [0, 0, 2, 2, 1, 1, 2, 2, 0]
    assert not touching.any()


def test_touching_nuclei_are_two_pixels_apart():
    classes, touching = class_targets(as_instances([[3, 3, 3, 8, 8, 8]] * 5))
    assert classes[0, 2].tolist() == [1, 1, 2, 2, 1, 1]
    assert touching[0, 2].tolist() == [False, False, True, True, False, False]


def test_a_one_pixel_gap_is_contact_too():
    _, touching = class_targets(as_instances([[3, 3, 3, 0, 8, 8, 8]] * 5))
    assert touching[0, 2].tolist() == [False, False, False, True, False, False, False]


def test_the_targets_themselves_give_the_nuclei_back():
    sample = disc_sample()
    classes, _ = class_targets(torch.tensor(sample.instances).float()[None, None])
    logits = torch.nn.functional.one_hot(classes[0], 3).permute(2, 0, 1).float().numpy()
    found = find_nuclei(logits, 1.0, load_config().grid)
    assert match(sample.instances, found, threshold=0.8) == Matches(2, 0, 0)


def test_the_loss_prefers_the_truth_and_punishes_a_bridge_between_nuclei():
    config = load_config().loss
    instances = as_instances([[0, 0, 3, 3, 3, 3, 8, 8, 8, 8, 0, 0]] * 8)
    classes, touching = class_targets(instances)
    right = 8.0 * torch.nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2).float()
    bridged, frayed = right.clone(), right.clone()
    bridged[:, NUCLEUS][touching] = 16.0
    outer = (classes == BOUNDARY) & ~touching
    frayed[:, NUCLEUS][outer] = 16.0
    assert loss(right, instances, config) < 0.01
    assert touching.sum() == outer.sum() / 2
    assert loss(bridged, instances, config) > loss(frayed, instances, config)
    assert BACKGROUND in classes
