"""A package without a receptive field that measures cells, points and areas of dark spots, and a slide of them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.manifest import ClassSpec, GridSpec, InputSpec, OutputSpec
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from models.registry import Package
from tests import making

MPP = 0.5
SIDE_PX = 900
CLASSES = (("dark", (200, 0, 0)), ("plain", (0, 0, 200)), ("rest", (250, 250, 250)))
MEASURES: list[dict[str, Any]] = [
    {"kind": "cells", "output": "classes", "interior": "dark", "min_area_um2": 4},
    {
        "kind": "points",
        "output": "heat",
        "component_threshold": 0.4,
        "detection_threshold": 0.5,
        "min_distance_um": 5,
        "label": "spot",
        "hotspot_mm2": 0.02,
        "theta1": 0.5,
        "theta2": 9,
    },
    {"kind": "areas", "output": "classes", "positive": "dark", "negative": "plain"},
]


class Spots(nn.Module):
    """Two outputs: the heat of dark pixels, and classes by brightness with the brightest as background."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        brightness = image.mean(dim=1, keepdim=True)
        classes = [brightness * centre * 2 - centre * centre for centre in (0.1, 0.65, 0.95)]
        return torch.cat(classes, dim=1), 20 * (0.35 - brightness)


def spots_package(folder: Path) -> Package:
    """The package, written to `folder / spots / 1.0.0`."""
    classes = tuple(ClassSpec(name=name, colour=colour, background=name == "rest") for name, colour in CLASSES)
    fields: dict[str, Any] = {
        "name": "spots",
        "version": "1.0.0",
        "title": "Dark spots",
        "task": "detection",
        "stain": "any",
        "runtime": "onnx",
        "grid": GridSpec(mpp=MPP, mpp_min=0.2, mpp_max=2, tile_px=512, halo_px=0),
        "input": InputSpec(),
        "outputs": (
            OutputSpec(name="classes", kind="classes", activation="softmax", channels=3, classes=classes),
            OutputSpec(name="heat", kind="heat", activation="sigmoid", channels=1),
        ),
        "measures": MEASURES,
        "licence": "none",
        "training_data": ("none: arithmetic",),
        "intended_use": "tests",
    }
    network = export_onnx(Spots().eval(), [torch.rand(2, 3, 64, 96)], ["classes", "heat"])
    tile = making.tissue(128, 128, seed=5)
    return write_package(folder / "spots" / "1.0.0", fields, {"network.onnx": ("network", network)}, GoldenTile(tile))


def spots_slide(path: Path, seed: int = 4, count: int = 60) -> Path:
    """A slide of pink tissue with dark spots of 2 to 6 px radius and different darkness, at `MPP`."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array((215, 160, 195)) + rng.integers(-6, 7, (SIDE_PX, SIDE_PX, 3)), 0, 255).astype(np.uint8)
    for x, y in rng.integers(20, SIDE_PX - 20, (count, 2)):
        radius, shade = rng.uniform(2, 6), int(rng.integers(20, 95))
        ys, xs = np.mgrid[y - 8 : y + 9, x - 8 : x + 9]
        pixels[y - 8 : y + 9, x - 8 : x + 9][np.hypot(xs - x, ys - y) <= radius] = (shade, shade, shade)
    return making.write_ome(path, pixels, mpp=MPP)
