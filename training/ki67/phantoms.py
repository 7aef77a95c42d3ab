"""The phantoms of the recipe, and what their truth says of Ki-67."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.ki67.config import CLASSES, NEGATIVE, POSITIVE, PairConfig, PhantomConfig
from training.phantom.nucleus import TYPES
from training.phantom.spec import PhantomSpec, Section

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
SHIFT_UM, TURN_DEG, WARP_UM = 60.0, 3.0, 6.0
"""How far a pair's sections are moved at most (shift, turn), and the spread of their warp."""


@dataclass(frozen=True, eq=False)
class Truth:
    """All nuclei of a phantom, one row each."""

    x_px: Floats
    y_px: Floats
    positive: NDArray[np.bool_]
    llr: Floats
    """Log-likelihood ratio of positive against negative, given all that H&E shows; infinite where it is certain."""
    kind: NDArray[np.str_]
    """tumour, stroma or lymphocyte."""
    area_um2: Floats


def specs_of(config: PhantomConfig) -> dict[str, PhantomSpec]:
    """The phantoms that patches are taken from, by name."""
    return {
        f"phantom-{config.seed + i}": PhantomSpec(
            seed=config.seed + i,
            width_px=config.side_px,
            height_px=config.side_px,
            tissue=config.tissue[i % len(config.tissue)],
            tumour=config.tumour,
            ki67=config.ki67[i % len(config.ki67)],
            ki67_effect=config.ki67_effect,
            pleomorphism=config.pleomorphism[i % len(config.pleomorphism)],
            blur_um=config.blur_um[i % len(config.blur_um)],
            defocus=config.defocus[i % len(config.defocus)],
        )
        for i in range(config.count)
    }


def pair_specs(config: PairConfig, phantom: PhantomConfig) -> dict[str, PhantomSpec]:
    """The pairs by name: Ki-67 evenly from low to high, everything else as the training phantoms may be."""
    indices = np.linspace(config.ki67_low, config.ki67_high, config.count)
    generator = np.random.default_rng(config.seed)
    found = {}
    for i, index in enumerate(generator.permutation(indices)):
        found[f"pair-{config.seed + i}"] = PhantomSpec(
            seed=config.seed + i,
            width_px=config.width_px,
            height_px=config.height_px,
            tissue=1.0,
            tumour=float(generator.uniform(0.3, 0.9)),
            ki67=round(float(index), 4),
            ki67_effect=phantom.ki67_effect,
            pleomorphism=float(generator.choice(phantom.pleomorphism)),
            blur_um=float(generator.choice(phantom.blur_um)),
            sections=(_moved(generator),) if config.moved else (),
        )
    return found


def read_truth(path: Path) -> Truth:
    """The truth of a phantom's first stain."""
    from pyarrow import parquet

    columns = ["x_px", "y_px", "ki67", "ki67_llr", "type", "phase", "lookalike", "area_um2"]
    table = parquet.read_table(path, columns=columns)
    names = {name: np.asarray(table[name].to_pylist(), dtype=np.str_) for name in ("type", "phase", "lookalike")}
    llr = table["ki67_llr"].to_numpy().astype(np.float64)
    # Mitoses are all positive and look-alikes all negative, and both show.
    llr[names["phase"] != "none"], llr[names["lookalike"] != "none"] = np.inf, -np.inf
    return Truth(
        x_px=table["x_px"].to_numpy(),
        y_px=table["y_px"].to_numpy(),
        positive=table["ki67"].to_numpy(),
        llr=llr,
        kind=names["type"],
        area_um2=table["area_um2"].to_numpy().astype(np.float64),
    )


def labels_of(table: "pa.Table") -> NDArray[np.str_]:
    """The class of every nucleus of a truth."""
    return np.where(table["ki67"].to_numpy(), CLASSES[POSITIVE], CLASSES[NEGATIVE])


def best_possible(llr: Floats, kind: NDArray[np.str_], positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What an observer who knew every nucleus' traits would call positive, to be right most often.

    A nucleus is called positive where its likelihood ratio times the odds of its type in this very sample exceed one.
    The odds are taken from the sample, which makes the limit a little kind; that positive nuclei stand together is not
    used, which makes it a little harsh.
    """
    found = np.zeros(len(llr), np.bool_)
    for name in TYPES:
        rows = kind == name
        count, right = int(rows.sum()), int(positive[rows].sum())
        if 0 < right < count:
            found[rows] = llr[rows] + np.log(right / (count - right)) > 0
        elif count:
            found[rows] = right == count
    return found


def _moved(generator: np.random.Generator) -> Section:
    x, y = generator.uniform(-SHIFT_UM, SHIFT_UM, 2)
    turn = float(generator.uniform(-TURN_DEG, TURN_DEG))
    return Section("ki67", round(float(x), 2), round(float(y), 2), round(turn, 3), WARP_UM)
