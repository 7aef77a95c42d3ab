"""Which epoch of a network is kept: patch by patch F1 on validation images, real and synthetic apart."""

import numpy as np
from torch import nn

from training.mitosis.config import Config
from training.mitosis.feeding import Numbers, Rows, patch_probabilities
from training.sets.patch_set import PatchSet

LOSS_WEIGHT = 0.01
"""So little that the loss decides between epochs of the same F1 and no others."""


def choose_rows(patches: PatchSet, rows: Rows, config: Config) -> Rows:
    """All validation patches with a mitosis, and `validation_negatives` others of each source, drawn evenly."""
    generator = np.random.default_rng([config.seed, 77])
    chosen = [rows[patches.labels[rows] == 1]]
    for kind in (False, True):
        own = rows[(patches.labels[rows] == 0) & (patches.synthetic[rows] == kind)]
        chosen.append(generator.permutation(own)[: config.data.validation_negatives])
    return np.sort(np.concatenate(chosen))


def validate_patches(net: nn.Module, patches: PatchSet, rows: Rows, config: Config) -> dict[str, float]:
    """F1 at the best threshold of the real and of the synthetic patches, their mean, the loss, and `choice`.

    `choice` is the mean F1, and the smaller loss where two epochs have the same.
    """
    probability = patch_probabilities(net, patches, rows, config.data.crop_px)
    truth, synthetic = patches.labels[rows] == 1, patches.synthetic[rows]
    numbers: dict[str, float] = {}
    for name, kind in (("real", False), ("phantom", True)):
        own = synthetic == kind
        numbers[f"f1_{name}"] = best_f1(probability[own], truth[own]) if truth[own].any() else float("nan")
    known = [value for value in numbers.values() if not np.isnan(value)]
    likelihood = np.where(truth, probability, 1 - probability)
    loss = float(-np.log(np.clip(likelihood, 1e-7, 1)).mean()) if len(rows) else 0.0
    f1 = float(np.mean(known)) if known else 0.0
    return {"choice": f1 - LOSS_WEIGHT * loss, "f1": f1, "loss_validation": loss} | numbers


def best_f1(probability: Numbers, truth: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """The highest F1 that any threshold gives; patches of equal probability stay together."""
    order = np.argsort(-probability, kind="stable")
    hits = np.cumsum(truth[order])
    taken = np.arange(1, len(order) + 1)
    last = np.append(np.diff(probability[order]) != 0, True)
    f1 = 2 * hits / (taken + truth.sum())
    return float(f1[last].max()) if len(order) else 0.0
