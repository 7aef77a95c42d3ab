"""Toy packages on disk: tiny networks with fixed seeds, exported as any package is, with the smallest correct halo.

Every function writes one package into `folder / name / version` and returns it. `PACKAGES` names them all. The torch
module of each is `build_network(RECIPES[name])`, for tests that compare with torch itself.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.manifest import ClassSpec, GridSpec, InputSpec, OutputSpec, Role, StatisticsSpec
from models.nets.frozen_norm import Calibrator, export_frozen
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from models.preprocess import to_input
from models.registry import MANIFEST_NAME, Package, read_package
from models.stain_spec import StainStep
from tests.networks_made import (
    Blur,
    Classifier,
    Heads,
    Identity,
    Thresholds,
    UNet,
    dilated,
    fcn,
    instance_norm,
    valid,
    written_onnx,
)

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 200))
NORMALISED = InputSpec(mean=(0.7, 0.6, 0.7), std=(0.15, 0.2, 0.15))


@dataclass(frozen=True)
class Recipe:
    """What a toy package is: its network and the manifest's numbers."""

    name: str
    build: Callable[[], nn.Module]
    halo_px: int
    align_px: int = 1
    stride_px: int = 1
    inset_px: int = 0
    tile_px: int = 64
    batch: int = 2
    kind: str = "classes"
    task: str = "semantic-segmentation"
    mpp: float = 0.5
    fixed_tile: bool = False
    sample: StatisticsSpec | None = None
    """Sample of tiles the calibrator sees, for networks with frozen statistics (its length is filled in)."""
    runtime: str = "onnx"
    stain: tuple[StainStep, ...] = ()
    heads: tuple[str, ...] = ("out",)
    """Names of the network's outputs in its own order; the manifest lists them by name."""
    version: str = "1.0.0"
    written: bool = False
    """True where the ONNX file is written node by node: torch's exporter takes seconds to start."""
    arithmetic: bool = False
    """True where the network's numbers are those of the tile in 0..1, not normalised ones."""


RECIPES = {
    "blur": Recipe("blur", lambda: Blur(3), arithmetic=True, halo_px=1, kind="image", task="image-to-image"),
    "identity": Recipe("identity", Identity, arithmetic=True, halo_px=0, kind="image", task="image-to-image"),
    "thresholds": Recipe("thresholds", Thresholds, arithmetic=True, halo_px=0),
    "heads": Recipe(
        "heads", Heads, arithmetic=True, halo_px=0, kind="image", task="multi-output", heads=("picture", "negative")
    ),
    "fcn8": Recipe("fcn8", lambda: fcn(8), halo_px=8, align_px=8, stride_px=8, task="dense-classification"),
    "written": Recipe("written", lambda: fcn(8), halo_px=8, align_px=8, stride_px=8, written=True),
    "fcn32": Recipe("fcn32", lambda: fcn(32), halo_px=32, align_px=32, stride_px=32, task="dense-classification"),
    "dilated": Recipe("dilated", dilated, halo_px=7),
    "unet": Recipe("unet", UNet, halo_px=12, align_px=4),
    "valid": Recipe("valid", valid, halo_px=4, inset_px=4),
    "frozen": Recipe(
        "frozen",
        instance_norm,
        halo_px=3,
        kind="image",
        task="image-to-image",
        sample=StatisticsSpec(length=1, sample_tiles=4, sample_px=64),
    ),
    "classifier": Recipe(
        "classifier",
        Classifier,
        halo_px=0,
        align_px=32,
        stride_px=32,
        tile_px=32,
        task="tile-classification",
        fixed_tile=True,
    ),
    "scripted": Recipe("scripted", lambda: fcn(8), halo_px=8, align_px=8, stride_px=8, runtime="torchscript"),
}


def identity_package(folder: Path, **changes) -> Package:
    """The tile itself as an RGB image in 0..1; halo 0."""
    return make_package(folder, replace(RECIPES["identity"], **changes))


def thresholds_package(folder: Path, **changes) -> Package:
    """Classes by brightness: class-0 dark, class-1 middle, class-2 bright; halo 0."""
    return make_package(folder, replace(RECIPES["thresholds"], **changes))


def heads_package(folder: Path, **changes) -> Package:
    """Two images, `negative` and `picture` in the manifest, the other way round in the file."""
    return make_package(folder, replace(RECIPES["heads"], **changes))


def blur_package(folder: Path, side_px: int = 3, **changes) -> Package:
    """Means over 3x3 or 5x5 px as an RGB image in 0..1; halo 1 or 2."""
    recipe = replace(RECIPES["blur"], build=lambda: Blur(side_px), halo_px=side_px // 2)
    return make_package(folder, replace(recipe, **changes))


def fcn_package(folder: Path, stride_px: int = 8, **changes) -> Package:
    """Class logits on a grid of 8 or 32 px from strided convolutions."""
    return make_package(folder, replace(RECIPES[f"fcn{stride_px}"], **changes))


def dilated_package(folder: Path, **changes) -> Package:
    """Class logits per pixel from dilated convolutions; halo 7."""
    return make_package(folder, replace(RECIPES["dilated"], **changes))


def unet_package(folder: Path, **changes) -> Package:
    """Class logits per pixel from a U-Net with two poolings; align 4, halo 12."""
    return make_package(folder, replace(RECIPES["unet"], **changes))


def valid_package(folder: Path, **changes) -> Package:
    """Class logits from convolutions without padding; inset 4 is the halo."""
    return make_package(folder, replace(RECIPES["valid"], **changes))


def frozen_package(folder: Path, **changes) -> Package:
    """An RGB image in -1..1 from a network with instance norms whose statistics are an input."""
    return make_package(folder, replace(RECIPES["frozen"], **changes))


def classifier_package(folder: Path, **changes) -> Package:
    """Class logits (N, 3) of whole tiles of 32 px."""
    return make_package(folder, replace(RECIPES["classifier"], **changes))


def written_package(folder: Path, **changes) -> Package:
    """The network of `fcn8` as an ONNX file that torch's exporter has not seen."""
    return make_package(folder, replace(RECIPES["written"], **changes))


def scripted_package(folder: Path, **changes) -> Package:
    """The network of `fcn8` as TorchScript."""
    return make_package(folder, replace(RECIPES["scripted"], **changes))


def make_package(folder: Path, recipe: Recipe) -> Package:
    """The package of a recipe, written to `folder / name / version` with a golden tile."""
    network = build_network(recipe)
    side = max(64, 4 * recipe.align_px) if recipe.name != "classifier" else recipe.tile_px
    golden = tissue_like(side + 2 * recipe.halo_px, seed=3)
    statistics = None
    fields = manifest_fields(recipe)
    if recipe.sample is not None:
        frozen = export_frozen(network, _example(recipe), ["out"])
        with torch.no_grad():
            statistics = Calibrator(network)(torch.from_numpy(to_input(golden[np.newaxis], NORMALISED))).numpy()
        files = {"network.onnx": ("network", frozen.network), "calibrator.onnx": ("calibrator", frozen.calibrator)}
        fields["statistics"] = recipe.sample.model_copy(update={"length": frozen.length})
    else:
        files = _network_file(network, recipe)
    files["card.md"] = ("card", f"# {recipe.name}\n\nA toy for tests, not for slides.\n".encode())
    return write_package(folder / recipe.name / recipe.version, fields, files, GoldenTile(golden, statistics))


def rewritten(package: Package, folder: Path, change: Callable, files: dict[str, bytes] | None = None) -> Package:
    """A copy of a package with a changed manifest and, with right digests, other files."""
    shutil.copytree(package.folder, folder)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    change(manifest)
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
        entry = next(file for file in manifest["files"] if file["path"] == name)
        entry |= {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return read_package(folder)


def build_network(recipe: Recipe) -> nn.Module:
    """The recipe's torch module, in evaluation mode, with weights of a fixed seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return recipe.build().eval().requires_grad_(False)


def manifest_fields(recipe: Recipe) -> dict:
    """The manifest of a recipe, without its files."""
    is_image = recipe.kind == "image"
    classes = () if is_image else tuple(ClassSpec(name=f"class-{i}", colour=c) for i, c in enumerate(COLOURS))
    activation = "softmax" if not is_image else "tanh" if recipe.sample else "none"
    return {
        "name": recipe.name,
        "version": recipe.version,
        "title": f"Toy {recipe.name}",
        "task": recipe.task,
        "stain": "any",
        "runtime": recipe.runtime,
        "grid": GridSpec(
            mpp=recipe.mpp,
            mpp_min=recipe.mpp / 4,
            mpp_max=recipe.mpp * 4,
            tile_px=recipe.tile_px,
            halo_px=recipe.halo_px,
            align_px=recipe.align_px,
            batch=recipe.batch,
            fixed_tile=recipe.fixed_tile,
        ),
        "input": (InputSpec() if recipe.arithmetic else NORMALISED).model_copy(update={"stain": recipe.stain}),
        "outputs": tuple(
            OutputSpec(
                name=name,
                kind=recipe.kind,
                activation=activation,
                channels=3,
                stride_px=recipe.stride_px,
                inset_px=recipe.inset_px,
                classes=classes,
            )
            for name in sorted(recipe.heads)
        ),
        "licence": "Apache-2.0",
        "training_data": ("none: random weights",),
        "intended_use": "tests",
    }


def tissue_like(side_px: int, seed: int, width_px: int | None = None) -> np.ndarray:
    """A smooth pink and purple picture with noise, uint8 (side, width, 3)."""
    generator = np.random.default_rng(seed)
    shape = (side_px, width_px or side_px)
    coarse = (
        generator.random((shape[0] // 8 + 2, shape[1] // 8 + 2, 1)).repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]]
    )
    colour = np.array([225, 170, 205]) * (1 - coarse) + np.array([110, 70, 150]) * coarse
    return np.clip(colour + generator.normal(0, 12, (*shape, 3)), 0, 255).astype(np.uint8)


def _network_file(network: nn.Module, recipe: Recipe) -> dict[str, tuple[Role, bytes]]:
    if recipe.runtime == "torchscript":
        return {"network.pt": ("network", torchscript_bytes(network, _example(recipe)))}
    if recipe.written:
        return {"network.onnx": ("network", written_onnx(network))}
    return {"network.onnx": ("network", export_onnx(network, [_example(recipe)], list(recipe.heads)))}


def torchscript_bytes(network: nn.Module, example: Tensor) -> bytes:
    """A traced network as the bytes of a TorchScript archive."""
    import io
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # torch.jit is deprecated; archives of it are what the zoos hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(network, example), buffer)
    return buffer.getvalue()


def _example(recipe: Recipe) -> Tensor:
    side = max(64, 4 * recipe.align_px)
    return torch.rand(2, 3, side, side + 2 * recipe.align_px, generator=torch.Generator().manual_seed(1))


PACKAGES: dict[str, Callable[..., Package]] = {
    "identity": identity_package,
    "thresholds": thresholds_package,
    "heads": heads_package,
    "blur": blur_package,
    "fcn8": fcn_package,
    "written": written_package,
    "fcn32": lambda folder, **changes: fcn_package(folder, 32, **changes),
    "dilated": dilated_package,
    "unet": unet_package,
    "valid": valid_package,
    "frozen": frozen_package,
    "classifier": classifier_package,
    "scripted": scripted_package,
}
