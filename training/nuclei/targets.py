"""What the network is asked for: background, nucleus interior and boundary, and how its answer is scored."""

import torch
from torch import Tensor
from torch.nn import functional as F

from training.nuclei.config import LossConfig

BACKGROUND, NUCLEUS, BOUNDARY = 0, 1, 2
CLASSES = ("background", "nucleus", "boundary")


def class_targets(instances: Tensor) -> tuple[Tensor, Tensor]:
    """Class per pixel (N, H, W) and where two nuclei meet (N, H, W, bool), from instances (N, 1, H, W).

    The boundary is two pixels wide: the outermost pixel of a nucleus and the pixel around it. Interiors of nuclei that
    touch are therefore two pixels apart, and an interior grown by one pixel is the nucleus again.
    """
    high = F.max_pool2d(instances, 3, 1, 1)
    low = -F.max_pool2d(-instances, 3, 1, 1)
    boundary = high != low
    far = torch.where(instances > 0, instances, torch.full_like(instances, torch.inf))
    lowest_nucleus = -F.max_pool2d(-far, 3, 1, 1)
    touching = boundary & (high > 0) & (lowest_nucleus < high)
    classes = torch.where(boundary, BOUNDARY, torch.where(instances > 0, NUCLEUS, BACKGROUND))
    return classes[:, 0], touching[:, 0]


def loss(logits: Tensor, instances: Tensor, config: LossConfig) -> Tensor:
    """Weighted cross entropy, heavier where nuclei meet, plus soft Dice of interior and boundary.

    The weight on contact lines is U-Net's idea (doi:10.1007/978-3-319-24574-4_28); Dice after V-Net
    (doi:10.1109/3DV.2016.79).
    """
    classes, touching = class_targets(instances)
    entropy = F.cross_entropy(logits, classes, reduction="none")
    weights = torch.tensor(config.class_weights)[classes]
    weights = torch.where(touching, weights * config.touching_weight, weights)
    probabilities = logits.softmax(1)[:, 1:]
    wanted = F.one_hot(classes, 3).permute(0, 3, 1, 2)[:, 1:].float()
    common = (probabilities * wanted).sum((0, 2, 3))
    total = (probabilities + wanted).sum((0, 2, 3))
    dice = 1 - ((2 * common + 1) / (total + 1)).mean()
    return (entropy * weights).sum() / weights.sum() + config.dice * dice
