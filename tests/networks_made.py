"""The networks of the toy packages: tiny, and each with a receptive radius one can count."""

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.nets.frozen_norm import FrozenInstanceNorm2d
from models.onnx_export import IR_VERSION, OPSET


class Blur(nn.Module):
    """Means over a square of `side` px: an image one can compute by hand."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("kernel", torch.full((3, 1, side, side), 1 / side**2))

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.conv2d(image, self.kernel, padding=self.side // 2, groups=3)


class Identity(nn.Module):
    """The tile itself, in 0..1."""

    def forward(self, image: Tensor) -> Tensor:
        return image * 1.0


class Thresholds(nn.Module):
    """Three classes by brightness, the mean of red, green and blue in 0..1: dark below 1/3, bright above 2/3."""

    def forward(self, image: Tensor) -> Tensor:
        brightness = image.mean(dim=1, keepdim=True)
        # Minus squared distances to 1/6, 3/6 and 5/6, less what they share.
        return torch.cat([brightness * centre * 2 - centre * centre for centre in (1 / 6, 3 / 6, 5 / 6)], dim=1)


class Heads(nn.Module):
    """Two outputs of one shape that differ: the picture, and its negative."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return image * 1.0, 1 - image


class UNet(nn.Module):
    """Two poolings (align 4), skips by concatenation, nearest upsampling; radius 11 px."""

    def __init__(self) -> None:
        super().__init__()
        self.top = nn.Conv2d(3, 6, 3, padding=1)
        self.middle = nn.Conv2d(6, 8, 3, padding=1)
        self.bottom = nn.Conv2d(8, 8, 3, padding=1)
        self.back = nn.Conv2d(16, 6, 3, padding=1)
        self.out = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        top = torch.relu(self.top(image))
        middle = torch.relu(self.middle(nn.functional.max_pool2d(top, 2)))
        bottom = torch.relu(self.bottom(nn.functional.max_pool2d(middle, 2)))
        back = torch.relu(self.back(torch.cat([middle, nn.functional.interpolate(bottom, scale_factor=2)], 1)))
        return self.out(torch.cat([top, nn.functional.interpolate(back, scale_factor=2)], 1))


class Classifier(nn.Module):
    """Class logits (N, 3) of a whole tile."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image).mean(dim=(2, 3)))


def fcn(stride_px: int) -> nn.Module:
    """Strided 3x3 convolutions down to `stride_px`, then a 1x1 classifier: radius `stride_px - 1`."""
    layers: list[nn.Module] = []
    width = 3
    while stride_px > 1:
        layers += [nn.Conv2d(width, 8, 3, stride=2, padding=1), nn.ReLU()]
        width, stride_px = 8, stride_px // 2
    return nn.Sequential(*layers, nn.Conv2d(width, 3, 1))


def dilated() -> nn.Module:
    """3x3 convolutions with dilation 1, 2, 4: radius 7."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(6, 3, 3, padding=4, dilation=4),
    )


def valid() -> nn.Module:
    """Four 3x3 convolutions without padding: the output is 4 px smaller on each side, radius 4."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 3)
    )


def instance_norm() -> nn.Module:
    """An image-to-image network with two instance norms (16 channels' statistics twice each); radius 3."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        FrozenInstanceNorm2d(8, affine=True),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        FrozenInstanceNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 3, 3, padding=1),
        nn.Tanh(),
    )


def written_onnx(network: nn.Sequential) -> bytes:
    """A chain of convolutions and ReLUs as ONNX, node by node: (batch, 3, height, width) to `out`."""
    nodes, weights, value = [], [], "image"
    for place, layer in enumerate(network):
        answer = "out" if place == len(network) - 1 else f"value_{place}"
        if isinstance(layer, nn.ReLU):
            nodes.append(helper.make_node("Relu", [value], [answer]))
        else:
            names = [f"weight_{place}", f"bias_{place}"]
            weights += [numpy_helper.from_array(t.numpy(), n) for n, t in zip(names, layer.parameters(), strict=True)]
            pads, strides = [*layer.padding, *layer.padding], list(layer.stride)
            nodes.append(helper.make_node("Conv", [value, *names], [answer], pads=pads, strides=strides))
        value = answer
    channels = network[-1].out_channels
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", channels, "rows", "columns"])
    graph = helper.make_graph(nodes, "chain", [image], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
