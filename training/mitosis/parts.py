"""Which images a fold trains on, chooses epochs and thresholds on, and is scored on."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.mitosis.config import Config
from training.sets.marks import MarkedImage
from training.sets.splits import case_folds

FINAL = "final"
MOST_CASES = 5
"""Up to so many real cases each is held out alone; more are parted into so many folds."""
POSITIVE = "mitosis"


@dataclass(frozen=True)
class Parts:
    """Names of the images of a fold's three parts; no case of `test` is in another part."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def fold_names(images: Sequence[MarkedImage], config: Config) -> tuple[str, ...]:
    """The folds: one for each real case held out (or part of them, where many are), and `final`, which holds none."""
    every = (*_held_out(images, config.seed), FINAL)
    unknown = set(config.folds) - set(every)
    if unknown:
        raise ValueError(f"the recipe names the folds {sorted(unknown)}, the data has {', '.join(every)}")
    return tuple(name for name in every if not config.folds or name in config.folds)


def parts_of(images: Sequence[MarkedImage], held_out_phantoms: Sequence[str], fold: str, config: Config) -> Parts:
    """The three parts of a fold.

    Held-out phantoms are in the test part of every fold. A part of the training images is for validation: drawn apart
    for every source and for images with and without mitoses, so that both parts have both.

    Raises
    ------
    ValueError
        There is no such fold.
    """
    held_out = _held_out(images, config.seed)
    if fold != FINAL and fold not in held_out:
        raise ValueError(f"there is no fold {fold!r}: take one of {', '.join((*held_out, FINAL))}")
    cases = () if fold == FINAL else held_out[fold]
    is_test = {i.name: i.name in held_out_phantoms or (not i.synthetic and i.case in cases) for i in images}
    rest = [image for image in images if not is_test[image.name]]
    chosen = set(_validation(rest, fold, config))
    return Parts(
        train=tuple(i.name for i in rest if i.name not in chosen),
        validation=tuple(i.name for i in rest if i.name in chosen),
        test=tuple(i.name for i in images if is_test[i.name]),
    )


def _held_out(images: Sequence[MarkedImage], seed: int) -> dict[str, tuple[str, ...]]:
    """Real cases by the name of the fold that holds them out; nothing where a single case would leave none."""
    cases = sorted({image.case for image in images if not image.synthetic})
    if len(cases) < 2:
        return {}
    if len(cases) <= MOST_CASES:
        return {case: (case,) for case in cases}
    numbers = case_folds(np.array(cases), MOST_CASES, seed)
    return {
        f"part-{fold}": tuple(c for c, n in zip(cases, numbers.tolist(), strict=True) if n == fold)
        for fold in range(MOST_CASES)
    }


def _validation(images: Sequence[MarkedImage], fold: str, config: Config) -> list[str]:
    """Images for validation. A case lies in one part only where a source has enough cases for that."""
    generator = np.random.default_rng([config.seed, zlib.crc32(fold.encode())])
    chosen: list[str] = []
    for source in sorted({image.source for image in images}):
        own = [image for image in images if image.source == source]
        whole_cases = len({image.case for image in own}) > MOST_CASES - 1
        units: dict[str, list[MarkedImage]] = {}
        for image in own:
            units.setdefault(image.case if whole_cases else image.name, []).append(image)
        with_mitoses = [name for name, part in sorted(units.items()) if _has_mitoses(part)]
        without = sorted(set(units) - set(with_mitoses))
        for names in (with_mitoses, without):
            count = round(config.data.validation * len(names))
            # Two units can be parted, one cannot: it is for training.
            count = max(1, count) if len(names) > 1 else 0
            picked = generator.permutation(len(names))[:count]
            chosen += [image.name for index in sorted(picked.tolist()) for image in units[names[index]]]
    return chosen


def _has_mitoses(images: Sequence[MarkedImage]) -> bool:
    return any(mark.label == POSITIVE for image in images for mark in image.marks)
