"""How close an image is to another: SSIM, MS-SSIM, PSNR and MAE, and a perceptual hash on ResNet18's features."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.registry import read_package
from training.metrics.image_quality import mse, ssim
from training.nets.resnet18 import WIDTHS, Ki67Net, load_imagenet, read_tensors
from training.virtual_ihc.batches import to_float

Picture = NDArray[np.uint8]
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM's five scales, the finest first."""
WINDOW_PX = 11
BEST_PSNR_DB = 100.0
"""What equal images are given, in place of infinity."""
MEASURES = ("ssim", "ms_ssim", "psnr_db", "mae")


def compare(truth: Picture, made: Picture) -> dict[str, float]:
    """The paper's four numbers of two uint8 pictures (H, W, 3); MAE on a scale where white is 1.

    References
    ----------
    Wang et al. 2004, doi:10.1109/TIP.2003.819861.
    """
    return {
        "ssim": ssim(truth, made),
        "ms_ssim": ms_ssim(truth, made),
        "psnr_db": psnr_db(truth, made),
        "mae": float(np.abs(truth.astype(np.float64) - made).mean() / 255),
    }


def psnr_db(truth: Picture, made: Picture) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures; 100 dB where they are equal."""
    error = mse(truth, made)
    return min(BEST_PSNR_DB, -10 * math.log10(error)) if error else BEST_PSNR_DB


def ms_ssim(truth: Picture, made: Picture) -> float:
    """Multi-scale structural similarity of two uint8 pictures (H, W, 3), by torchmetrics.

    A picture below 176 px has no room for five scales: it gets those that fit, their weights made to sum to one again.

    References
    ----------
    Wang et al. 2003, doi:10.1109/ACSSC.2003.1292216.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as measured

    weights = SCALE_WEIGHTS[: scales_of(min(truth.shape[:2]))]
    pair = [(to_float(picture[None]) + 1) / 2 for picture in (made, truth)]
    found = measured(
        pair[0], pair[1], data_range=1.0, betas=tuple(weight / sum(weights) for weight in weights), normalize="relu"
    )
    return float(found)


def scales_of(side_px: int) -> int:
    """How many of the five scales fit into a picture, by torchmetrics' own rule: n scales need (n - 1)^2 windows.

    Raises
    ------
    ValueError
        Not even one does.
    """
    scales = 0
    while scales < len(SCALE_WEIGHTS) and side_px // max(1, scales) ** 2 > WINDOW_PX - 1:
        scales += 1
    if not scales:
        raise ValueError(f"a picture of {side_px} px is smaller than the window of {WINDOW_PX} px")
    return scales


def hash_net(imagenet: Path | None, package: Path | None) -> tuple[Ki67Net, str]:
    """A ResNet18 whose second stage is looked at, and in words where its weights come from.

    Parameters
    ----------
    imagenet
        A file of ResNet18's ImageNet weights, as the paper uses them.
    package
        The folder of a package `ki67-he`, whose narrower ResNet18 stands in where there is no such file.

    Raises
    ------
    FileNotFoundError
        Neither is given.
    """
    if imagenet is not None:
        net = Ki67Net()
        load_imagenet(net, imagenet)
        return net.eval(), f"ImageNet ({imagenet.name})"
    if package is None:
        raise FileNotFoundError(
            "the perceptual hash needs ResNet18 weights: give --imagenet FILE or --hash-package DIR"
        )
    tensors = read_tensors(package / "weights.npz")
    net = Ki67Net(tensors["conv1.weight"].shape[0] / WIDTHS[0], tensors["fc.bias"].shape[0])
    net.load_state_dict(dict(tensors))
    return net.eval(), f"the ResNet18 of {read_package(package).manifest.reference}, not ImageNet's"


def channel_means(net: Ki67Net, pictures: Sequence[Picture]) -> Tensor:
    """Float32 (N, C): the mean of each channel behind the second stage, of pictures of one size."""
    found = []
    with torch.no_grad():
        for picture in pictures:
            images = net.normalised((to_float(picture[None]) + 1) / 2)
            found.append(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images)))))).mean((2, 3)))
    return torch.cat(found)


def hash_likeness(one: Tensor, other: Tensor) -> Tensor:
    """(N,): the part of bits two images' hashes share, from their channel means (N, C); 1 where all.

    A channel's bit says whether its mean is above the median of the image's channels. The paper takes "several mainly
    correlated features" and does not say which: here all channels of the stage count.

    References
    ----------
    Liu et al. 2020, table 1; Weng and Preneel 2011, doi:10.1007/978-3-642-24712-5_9.
    """
    bits = [means > means.median(dim=1, keepdim=True).values for means in (one, other)]
    return (bits[0] == bits[1]).float().mean(1)
