"""The phantoms of the recipe: some to learn from, some to look at, some to be held against."""

from dataclasses import replace

import numpy as np

from training.phantom.spec import PhantomSpec, Section, Stain
from training.virtual_ihc.config import HE, KI67, PhantomConfig

SHIFT_UM, TURN_DEG, WARP_UM = 60.0, 3.0, 6.0
"""How far a test pair's sections are moved at most (shift, turn), and the spread of their warp."""
TESTS_FROM = 900
"""Added to the seed of test phantoms: they stay the same however many are trained on."""


def training_specs(config: PhantomConfig, stain: Stain) -> dict[str, PhantomSpec]:
    """The phantoms of one stain that are learned from, by name; the other stain has others."""
    first, count = (0, config.he) if stain == HE else (config.he, config.ki67)
    return {f"{stain}-{config.seed + i}": _spec(config, i) for i in range(first, first + count)}


def check_specs(config: PhantomConfig) -> dict[str, PhantomSpec]:
    """The phantoms in both stains, lying alike, that are looked at after each epoch."""
    first = config.he + config.ki67
    return {f"check-{config.seed + i}": _spec(config, i) for i in range(first, first + config.check)}


def held_out_specs(config: PhantomConfig) -> dict[str, PhantomSpec]:
    """The phantoms in both stains, lying alike, that the result is held against: Ki-67 evenly from low to high."""
    indices = np.random.default_rng(config.seed).permutation(
        np.linspace(config.test_low, config.test_high, config.test)
    )
    return {
        f"test-{config.seed + TESTS_FROM + i}": _spec(config, TESTS_FROM + i, round(float(index), 4))
        for i, index in enumerate(indices)
    }


def moved_specs(config: PhantomConfig) -> dict[str, PhantomSpec]:
    """The first of the held-out phantoms by the same names, their Ki-67 section lying as a next one would."""
    generator = np.random.default_rng([config.seed, 1])
    held_out = list(held_out_specs(config).items())[: config.moved]
    return {name: replace(spec, sections=(_moved(generator),)) for name, spec in held_out}


def _spec(config: PhantomConfig, number: int, index: float | None = None) -> PhantomSpec:
    return PhantomSpec(
        seed=config.seed + number,
        width_px=config.side_px,
        height_px=config.side_px,
        mpp=config.mpp,
        tissue=config.tissue[number % len(config.tissue)],
        tumour=config.tumour[number % len(config.tumour)],
        ki67=config.ki67_index[number % len(config.ki67_index)] if index is None else index,
        ki67_effect=config.ki67_effect,
        pleomorphism=config.pleomorphism[number % len(config.pleomorphism)],
        blur_um=config.blur_um[number % len(config.blur_um)],
    )


def _moved(generator: np.random.Generator) -> Section:
    x, y = generator.uniform(-SHIFT_UM, SHIFT_UM, 2)
    turn = float(generator.uniform(-TURN_DEG, TURN_DEG))
    return Section(KI67, round(float(x), 2), round(float(y), 2), round(turn, 3), WARP_UM)
