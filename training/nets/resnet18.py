"""The Ki-67 network of Liu et al.: ResNet18 without its average pooling, in the usual names and shapes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's red, green and blue in 0..1 (Table 3 of the paper)."""
WIDTHS = (64, 128, 256, 512)
STRIDE_PX = 32
WINDOW_PX = 64
"""Side of the paper's patches: two by two features of stride 32 decide."""


class Block(nn.Module):
    """The basic block of a residual network: two 3x3 convolutions beside a shortcut (Figure 4 of the paper)."""

    def __init__(self, start: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(start, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or start != width:
            self.downsample = nn.Sequential(nn.Conv2d(start, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, width, H / stride, W / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        found: Tensor = self.relu(self.bn2(self.conv2(x)) + short)
        return found


class Ki67Net(nn.Module):
    """Logits (N, classes) of patches (N, 3, P, P) in 0..1, P a multiple of 64 px.

    Table 2 of the paper. ImageNet's mean and spread are taken off inside. A patch of 64 px gives 2x2 features, which
    are flattened as they are. Of a larger patch the features of the central 64 px decide: what is beyond is seen, as it
    is when the network runs over a whole slide (see `training.nets.dense`), not replaced by the convolutions' zeros.

    Parameters
    ----------
    width
        Channels relative to ResNet18's 64, 128, 256 and 512; 1 is the paper's.

    References
    ----------
    Liu et al., Predict Ki-67 positive cells in H&E-stained images using deep learning independently from IHC-stained
    images, doi:10.3389/fmolb.2020.00183; He et al., Deep residual learning for image recognition,
    doi:10.1109/CVPR.2016.90; initial weights by He et al., doi:10.1109/ICCV.2015.123.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: float = 1.0, classes: int = 3) -> None:
        super().__init__()
        first, second, third, fourth = (max(1, round(channels * width)) for channels in WIDTHS)
        self.conv1 = nn.Conv2d(3, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Block(first, first, 1), Block(first, first, 1))
        self.layer2 = nn.Sequential(Block(first, second, 2), Block(second, second, 1))
        self.layer3 = nn.Sequential(Block(second, third, 2), Block(third, third, 1))
        self.layer4 = nn.Sequential(Block(third, fourth, 2), Block(fourth, fourth, 1))
        self.fc = nn.Linear(fourth * 4, classes)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def normalised(self, images: Tensor) -> Tensor:
        """The images in units of ImageNet's spread about its mean."""
        return (images - self.mean) / self.std

    def features(self, x: Tensor) -> Tensor:
        """Features (N, 512 * width, H / 32, W / 32) of normalised images."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes, for the central 64 px of each patch."""
        side_px = images.shape[-1]
        if (side_px - WINDOW_PX) % (2 * STRIDE_PX):
            raise ValueError(f"a patch of {side_px} px has no central 64 px on the stride grid: take 64, 128, 192, ...")
        first = (side_px - WINDOW_PX) // (2 * STRIDE_PX)
        central = self.features(self.normalised(images))[:, :, first : first + 2, first : first + 2]
        logits: Tensor = self.fc(central.flatten(1))
        return logits


def load_imagenet(net: Ki67Net, path: Path) -> tuple[str, ...]:
    """The names of the tensors taken from a file of ResNet18's ImageNet weights: all of the network but `fc`.

    Parameters
    ----------
    path
        `.npz`, or a file of torch that holds a state dict (tensors only are read, never pickled code).

    Raises
    ------
    ValueError
        A tensor is missing or of another shape; ImageNet's weights fit width 1 only.
    """
    given = read_tensors(path)
    wanted = {name: value for name, value in net.state_dict().items() if not name.startswith("fc.")}
    # Old files of ResNet18 lack the counters of batch normalisation, which hold no weight.
    names = [name for name in wanted if name in given or not name.endswith("num_batches_tracked")]
    for name in names:
        if name not in given:
            raise ValueError(f"{path.name} has no {name}: it does not hold the weights of a ResNet18")
        if given[name].shape != wanted[name].shape:
            shapes = f"{tuple(given[name].shape)}, the network {tuple(wanted[name].shape)}"
            raise ValueError(f"{name} of {path.name} has the shape {shapes}: ImageNet's weights need width = 1.0")
    net.load_state_dict(net.state_dict() | {name: given[name] for name in names})
    return tuple(names)


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.npz` or torch file by name."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(f"{path.name} is no state dict: names and tensors are needed, nothing else")
    return loaded
