"""From a slide to detections, the way the engine does it from the package."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.measures_spec import PointsMeasure
from training.mitosis.config import EvaluateConfig
from training.nets.all_convolutional import INSET_PX, STRIDE_PX, mitosis_probability
from workers.geometry import Box
from workers.measures.components import Block
from workers.measures.points import find_points
from workers.slides.slide import Slide, frame_size

Map = NDArray[np.float32]
TILE_PX = 512
LABEL = "mitotic figure"
OUTPUT = "mitosis"


@dataclass(frozen=True, eq=False)
class Detections:
    """Strongest first: places in px of the slide's frame, and probabilities."""

    points_px: NDArray[np.float64]
    probability: NDArray[np.float64]


def probability_map(net: nn.Module, slide: Slide, mpp: float) -> Map:
    """The probability of a mitosis over the slide's frame at `mpp`, one px for each 4: float32 (h, w).

    White lies outside of the slide. Tiles are read with the network's inset around them, so none of them shows.
    """
    width, height = frame_size(slide.info, mpp)
    found = np.zeros((-(-height // STRIDE_PX), -(-width // STRIDE_PX)), np.float32)
    device, side = next(net.parameters()).device, TILE_PX // STRIDE_PX
    with torch.inference_mode():
        for row in range(0, found.shape[0], side):
            for column in range(0, found.shape[1], side):
                h, w = min(side, found.shape[0] - row), min(side, found.shape[1] - column)
                box = Box(column * STRIDE_PX, row * STRIDE_PX, w * STRIDE_PX, h * STRIDE_PX).grow(INSET_PX)
                pixels = torch.from_numpy(slide.read(box, mpp)).to(device)
                logits = net(pixels.permute(2, 0, 1)[None].float() / 255)
                found[row : row + h, column : column + w] = mitosis_probability(logits)[0].cpu().numpy()
    return found


def find_mitoses(probability: Map, mpp: float, config: EvaluateConfig) -> Detections:
    """The detections of a map: components, one point each, none near a stronger one; by the engine's own code.

    Weaker detections never suppress stronger ones, so those above a threshold are the same whether it is applied before
    or after: here all that can be looked at are kept.
    """
    heat = np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8)

    def read(box: Box) -> Block:
        cut = heat[box.y : box.bottom, box.x : box.right]
        return Block(np.zeros(cut.shape, bool), cut)

    measure = points_measure(config, mpp, config.least_threshold)
    points = find_points(read, heat.shape[1], heat.shape[0], measure, mpp * STRIDE_PX)
    return Detections(
        np.array([(p.x * STRIDE_PX, p.y * STRIDE_PX) for p in points], np.float64).reshape(-1, 2),
        np.array([p.probability for p in points], np.float64),
    )


def points_measure(config: EvaluateConfig, mpp: float, threshold: float) -> PointsMeasure:
    """The measure as a package states it, for a frame of that mpp."""
    return PointsMeasure(
        output=OUTPUT,
        component_threshold=config.component_threshold,
        detection_threshold=threshold,
        min_distance_um=config.min_distance_px * mpp,
        label=LABEL,
    )


def thresholds_of(config: EvaluateConfig) -> tuple[float, ...]:
    """All thresholds that can be told apart on a stored map: steps of 1/255 from `least_threshold` to below 1."""
    return tuple(level / 255 for level in range(int(np.ceil(config.least_threshold * 255)), 255))
