"""What is measured and drawn after each epoch, on phantoms in both stains that nothing is learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.virtual_ihc.batches import to_bytes, to_float
from training.virtual_ihc.config import HE, KI67, Config
from training.virtual_ihc.data import CHECK, read_tiles
from training.virtual_ihc.index import brown_share
from training.virtual_ihc.pictures import draw_rows, residual
from training.virtual_ihc.quality import compare

Bytes = NDArray[np.uint8]
DRAWN = 4
TITLES = ("H&E", "virtual Ki-67", "true Ki-67", "H&E again", "difference x3", "virtual H&E", "Ki-67 again")


@dataclass(frozen=True, eq=False)
class CheckTiles:
    """The same places in both stains, uint8 (N, P, P, 3) each."""

    he: Bytes
    ki67: Bytes


def check_tiles(config: Config, work_dir: Path) -> CheckTiles:
    """So many tiles as the recipe looks at, evenly through the check phantoms."""
    he, ki67 = (read_tiles(config, work_dir, CHECK, stain) for stain in (HE, KI67))
    rows = np.linspace(0, len(he) - 1, min(config.fit.samples, len(he))).round().astype(int)
    return CheckTiles(he.pixels[rows], ki67.pixels[rows])


def measure_epoch(generators: tuple[nn.Module, nn.Module], check: CheckTiles, picture: Path) -> dict[str, float]:
    """The paper's four numbers between source and what came back, both ways, and how much brown the stain has.

    `brown_virtual` and `brown_true` are brown / (brown + blue) of the virtual and the true stain at the same places.
    """
    to_ki67, to_he = generators
    made_ki67, made_he = _through(to_ki67, check.he), _through(to_he, check.ki67)
    back = {HE: _through(to_he, made_ki67), KI67: _through(to_ki67, made_he)}
    found: dict[str, float] = {}
    for stain, source in ((HE, check.he), (KI67, check.ki67)):
        found |= _mean(stain, [compare(a, b) for a, b in zip(source, back[stain], strict=True)])
    found |= {"brown_virtual": brown_share(made_ki67), "brown_true": brown_share(check.ki67)}
    rows = [
        (
            check.he[i],
            made_ki67[i],
            check.ki67[i],
            back[HE][i],
            residual(check.he[i], back[HE][i]),
            made_he[i],
            back[KI67][i],
        )
        for i in range(min(DRAWN, len(check.he)))
    ]
    draw_rows(rows, TITLES, picture)
    return found


def _through(net: nn.Module, tiles: Bytes) -> Bytes:
    """Tiles through a generator, one by one, each with its own statistics as in training."""
    device = next(net.parameters()).device
    with torch.no_grad():
        return np.concatenate([to_bytes(net(to_float(tile[None]).to(device))) for tile in tiles])


def _mean(stain: str, rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {f"{stain}_{name}": float(np.mean([row[name] for row in rows])) for name in rows[0]}
