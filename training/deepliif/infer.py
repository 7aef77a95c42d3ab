"""Whole pictures through the networks as they are used: DeepLIIF's grid, or tiles under statistics that stand still."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.importers.deepliif.layout import BACKGROUNDS
from models.importers.deepliif.package import exact_halo_px
from models.nets.frozen_norm import Calibrator, FrozenNetwork
from training.deepliif.config import MODALITIES, Config, NetsConfig
from training.deepliif.masks import Picture
from training.deepliif.networks import build_graph, resnet_shape, unet_shape
from workers.deepliif.cells import Cells, Labels, find_cells
from workers.deepliif.grid import GridOptions, extend, is_empty, run_compat, to_bytes
from workers.deepliif.scoring import Score, score_cells
from workers.deepliif.thresholds import Thresholds, resolution_of

SEG, MARKER = "seg", "marker"
SAMPLE_PX, SAMPLE_TILES = 512, 6
RUN_PX = 512
"""What a tile keeps under `exact`; answers do not depend on it."""
Pictures = dict[str, Picture]
Infer = Callable[[Picture], Pictures]


@dataclass(frozen=True, eq=False)
class Found:
    """A picture's outputs and the cells in its mask."""

    outputs: Pictures
    cells: Cells
    labels: Labels
    score: Score

    @property
    def classes(self) -> NDArray[np.uint8]:
        """(H, W): 0 background, 1 positive, 2 negative; cells that do not count are background."""
        kinds = np.where(self.score.is_positive, 1, 2) * self.score.is_counted
        return np.concatenate([[0], kinds]).astype(np.uint8)[self.labels]

    @property
    def instances(self) -> Labels:
        """(H, W): the cells that count."""
        return np.where(np.concatenate([[False], self.score.is_counted])[self.labels], self.labels, 0).astype(np.int32)


def picture_runner(config: Config, nets: dict[str, nn.Module]) -> Infer:
    """A function from a picture, uint8 (H, W, 3) at the recipe's mpp, to all outputs by name, in the package's mode."""
    graph = build_graph(config.nets, nets)
    if config.package.mode == "compat":
        return lambda rgb: _run_compat(config, graph, rgb)
    return lambda rgb: _run_exact(config, graph, rgb)


def find_in(outputs: Pictures, ihc: Picture) -> Found:
    """The cells in the mask, found and scored as DeepLIIF does by its defaults for 40x."""
    thresholds = Thresholds(resolution=resolution_of(RUN_PX))
    cells, labels = find_cells(outputs[SEG], thresholds, marker=outputs.get(MARKER), ihc=ihc)
    return Found(outputs, cells, labels, score_cells(cells, thresholds))


def output_names(nets: NetsConfig) -> tuple[str, ...]:
    """The modalities in use, then the mask, in the order of the graph's outputs."""
    return (*nets.modalities, SEG)


def stride_px(nets: NetsConfig) -> int:
    """What the sides of the graph's input must be multiples of."""
    return max(resnet_shape(nets).stride_px, unet_shape(nets).stride_px)


def radius_px(nets: NetsConfig) -> int:
    """How far a pixel of the mask sees: through a segmenter, and through a translator before it."""
    return unet_shape(nets).radius_px + (resnet_shape(nets).radius_px if nets.modalities else 0)


def halo_px(nets: NetsConfig) -> int:
    """The halo of `exact`: all that a pixel sees, up to the importer's limit."""
    return exact_halo_px(radius_px(nets), stride_px(nets))


def _run_compat(config: Config, graph: nn.Module, rgb: Picture) -> Pictures:
    names = output_names(config.nets)
    colours = dict(zip(MODALITIES, BACKGROUNDS, strict=True)) | {SEG: (0, 0, 0)}
    side = config.package.scale_px

    def infer(tile: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        # The grid hands on floats in -1..1; the graph takes bytes, which those were made of.
        bytes_ = np.rint((tile[0].transpose(1, 2, 0) * 0.5 + 0.5) * 255).astype(np.uint8)
        with torch.no_grad():
            answers = graph(torch.from_numpy(np.ascontiguousarray(bytes_))[None])
        return {name: answer.numpy() for name, answer in zip(names, answers, strict=True)}

    return run_compat(rgb, infer, GridOptions(tuple((name, colours[name]) for name in names), side, side))


def _run_exact(config: Config, graph: nn.Module, rgb: Picture) -> Pictures:
    height, width = rgb.shape[:2]
    step, halo = stride_px(config.nets), halo_px(config.nets)
    network = FrozenNetwork(graph).eval()
    outputs = {name: np.zeros((height, width, 3), np.uint8) for name in output_names(config.nets)}
    with torch.no_grad():
        statistics = Calibrator(graph).eval()(sample_of(rgb))
        for y in range(0, height, RUN_PX):
            for x in range(0, width, RUN_PX):
                rows, columns = min(RUN_PX, height - y), min(RUN_PX, width - x)
                tile = mirrored(rgb, (y - halo, y + _up(rows, step) + halo), (x - halo, x + _up(columns, step) + halo))
                for name, answer in zip(outputs, network(tile, statistics), strict=True):
                    kept = to_bytes(answer.numpy())[halo : halo + rows, halo : halo + columns]
                    outputs[name][y : y + rows, x : x + columns] = kept
    return outputs


def sample_of(rgb: Picture) -> Tensor:
    """Tiles of the picture that hold tissue, spread over it, uint8 (N, h, w, 3): what statistics are taken from."""
    wide = extend(rgb, SAMPLE_PX)
    places = [
        (y, x)
        for y in range(0, wide.shape[0] - SAMPLE_PX + 1, SAMPLE_PX)
        for x in range(0, wide.shape[1] - SAMPLE_PX + 1, SAMPLE_PX)
    ]
    tiles = [wide[y : y + SAMPLE_PX, x : x + SAMPLE_PX] for y, x in places]
    tissue = [tile for tile in tiles if not is_empty(tile)] or tiles
    chosen = np.linspace(0, len(tissue) - 1, min(len(tissue), SAMPLE_TILES)).round().astype(int)
    return torch.from_numpy(np.stack([tissue[k] for k in chosen]))


def mirrored(rgb: Picture, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """A window of the picture, uint8 (1, h, w, 3), mirrored where it reaches beyond."""
    picked = [_places(*span, side) for span, side in zip((rows, columns), rgb.shape[:2], strict=True)]
    return torch.from_numpy(np.ascontiguousarray(rgb[picked[0][:, None], picked[1]]))[None]


def _places(first: int, last: int, length: int) -> NDArray[np.int64]:
    place = np.arange(first, last) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def _up(length: int, step: int) -> int:
    return -(-length // step) * step
