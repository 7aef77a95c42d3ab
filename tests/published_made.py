"""DeepLIIF model folders as its own commands write them, with random weights: the other side of the importer's tests.

Networks are put together here from torch's plain layers, with batch norms whose running statistics are taken away, so
that nothing of `models.nets` is in the reference.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

PUBLISHED_OPTIONS = """\
----------------- Options ---------------
               batch_size: 1
                    model: DeepLIIF                      \t[default: DeepLIIF]
            modalities_no: 4
                      ngf: 64
                     norm: batch
               no_dropout: False
                  padding: zero                          \t[default: reflect]
              seg_weights: [0.9, 0.1, 0.0, 0.0, 0.0]
                 upsample: convtranspose
----------------- End -------------------
"""


@dataclass(frozen=True)
class Look:
    """How a ResNet generator was made."""

    padding: str = "zero"
    upsample: str = "convtranspose"
    dropout: bool = True
    blocks: int = 9
    width: int = 8


class Generator(nn.Module):
    """The published wrapper: `model` and nothing else."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return self.model(image)


class Block(nn.Module):
    def __init__(self, conv_block):
        super().__init__()
        self.conv_block = conv_block

    def forward(self, x):
        return x + self.conv_block(x)


class Skip(nn.Module):
    def __init__(self, model, outermost):
        super().__init__()
        self.model = model
        self.outermost = outermost

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def resnet(look: Look = Look()):
    """A ResNet generator of plain layers."""
    w = look.width
    pad = nn.ReflectionPad2d if look.padding == "reflect" else nn.ZeroPad2d
    model = [pad(3), nn.Conv2d(3, w, 7, bias=False), nn.BatchNorm2d(w), nn.ReLU(True)]
    model += [nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * w), nn.ReLU(True)]
    model += [nn.Conv2d(2 * w, 4 * w, 3, 2, 1, bias=False), nn.BatchNorm2d(4 * w), nn.ReLU(True)]
    for _ in range(look.blocks):
        block = []
        for half in range(2):
            if look.padding == "reflect":
                block += [nn.ReflectionPad2d(1), nn.Conv2d(4 * w, 4 * w, 3, bias=False)]
            else:
                block += [nn.Conv2d(4 * w, 4 * w, 3, padding=1, bias=False)]
            block += [nn.BatchNorm2d(4 * w)]
            if half == 0:
                block += [nn.ReLU(True)] + ([nn.Dropout(0.5)] if look.dropout else [])
        model.append(Block(nn.Sequential(*block)))
    for inside, outside in ((4 * w, 2 * w), (2 * w, w)):
        if look.upsample == "resize_conv":
            model += [nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(inside, outside, 3)]
        else:
            model += [nn.ConvTranspose2d(inside, outside, 3, 2, 1, output_padding=1, bias=False)]
        model += [nn.BatchNorm2d(outside), nn.ReLU(True)]
    return Generator(nn.Sequential(*model, pad(3), nn.Conv2d(w, 3, 7), nn.Tanh()))


def unet(levels=9, width=8):
    """A U-Net generator of plain layers, its LeakyReLUs in place."""
    wide = [width * min(2**i, 8) for i in range(levels)]
    deep = nn.Sequential(
        nn.LeakyReLU(0.2, True),
        nn.Conv2d(wide[-2], wide[-1], 4, 2, 1, bias=False),
        nn.ReLU(True),
        nn.ConvTranspose2d(wide[-1], wide[-2], 4, 2, 1, bias=False),
        nn.BatchNorm2d(wide[-2]),
    )
    below = Skip(deep, False)
    for i in range(levels - 2, 0, -1):
        layers = [
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(wide[i - 1], wide[i], 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide[i]),
            below,
            nn.ReLU(True),
            nn.ConvTranspose2d(2 * wide[i], wide[i - 1], 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide[i - 1]),
        ]
        below = Skip(nn.Sequential(*layers, *([nn.Dropout(0.5)] if i >= 4 else [])), False)
    outer = [nn.Conv2d(3, wide[0], 4, 2, 1, bias=False), below, nn.ReLU(True)]
    outer += [nn.ConvTranspose2d(2 * wide[0], 3, 4, 2, 1), nn.Tanh()]
    return Generator(Skip(nn.Sequential(*outer), True))


def drawn(net, seed):
    """The network with random weights that fill the range of its tanh, and running statistics that mean nothing."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.normal_(1, 0.2, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
            module.running_mean.normal_(5, 2, generator=generator)
            module.running_var.uniform_(0.1, 9, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            fan = module.weight[0].numel() if isinstance(module, nn.Conv2d) else module.weight[:, 0].numel() / 4
            module.weight.data.normal_(0, 0.8 / fan**0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.1, generator=generator)
    return net.eval().requires_grad_(False)


def archive(net, side_px, path: Path):
    """Traces the network in eval mode on a black image, its batch norms without running statistics."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = None
            module.track_running_stats = False
    with warnings.catch_warnings():
        # torch.jit is deprecated, and a trace with batch statistics warns that it differs from training.
        warnings.simplefilter("ignore")
        black = torch.full((1, 3, side_px, side_px), -1.0)
        torch.jit.trace(net, black, check_trace=False).save(str(path))


def load_archive(path: Path):
    """The archive as torch runs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(path)).eval()


def model_folder(folder: Path, nets: Mapping[str, nn.Module], options: str, side_px: int, serialised=True) -> Path:
    """A model folder with those networks; without `serialised` the archives lie in `folder / "reference"` instead."""
    folder.mkdir(parents=True)
    (folder / "train_opt.txt").write_text(options)
    scripts = folder if serialised else folder / "reference"
    scripts.mkdir(exist_ok=True)
    for seed, (name, net) in enumerate(nets.items()):
        drawn(net, seed + 1)
        if not serialised:
            torch.save(net.state_dict(), folder / f"latest_net_{name}.pth")
        archive(net, side_px, scripts / f"{name}.pt")
    return folder


def as_network_input(tiles):
    """Bytes (N, H, W, 3) as DeepLIIF gives them to its networks."""
    image = torch.from_numpy(tiles).permute(0, 3, 1, 2).to(torch.float32) / 255
    return (image - 0.5) / 0.5


def truncated(answer):
    """Eight bits as DeepLIIF makes them: cut off, not rounded."""
    import numpy as np

    return ((np.asarray(answer, np.float32) + 1) / 2 * 255).astype(np.uint8)
