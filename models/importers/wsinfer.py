"""Importer for WSInfer-zoo folders: a TorchScript classifier and its `config.json` become a package.

The layout is that of the WSInfer model zoo, specification 1.0 (doi:10.1038/s41698-024-00499-9): logits for one patch of
`patch_size_pixels` at `spacing_um_px`; softmax over several classes, sigmoid for one. A TorchScript archive is code:
import only what you would run.
"""

import colorsys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from models.errors import PackageInvalidError
from models.manifest import ClassSpec, GridSpec, InputSpec, OutputSpec, Paper, Role
from models.manifest_part import Colour, Name, PositiveTriple, Triple, Version
from models.measures_spec import TilesMeasure
from models.packaging import GoldenTile, write_package
from models.registry import MANIFEST_LIMIT_BYTES, Package

CONFIG, NETWORK, CARD = "config.json", "torchscript_model.pt", "README.md"
BATCH = 8
COARSER, FINER = 1.25, 0.125
"""Slides are taken up to a quarter coarser than the patches the network was trained on; finer ones are reduced."""
PAPER = Paper(
    title="Open and reusable deep learning for pathology with WSInfer and QuPath", doi="10.1038/s41698-024-00499-9"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResizeArguments(_Strict):
    """The side of the square the patch is resized to: one number, or the same one twice."""

    size: Annotated[int, Field(ge=8, le=4096)] | tuple[int, int]

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if not isinstance(self.size, int) and self.size[0] != self.size[1]:
            raise ValueError(f"Resize to {self.size} is not square")
        return self

    @property
    def side_px(self) -> int:
        """The side."""
        return self.size if isinstance(self.size, int) else self.size[0]


class NormalizeArguments(_Strict):
    """Channel means and standard deviations in 0..1."""

    mean: Triple
    std: PositiveTriple


class NoArguments(_Strict):
    """ToTensor takes none."""


class Resize(_Strict):
    """Bilinear, with antialiasing."""

    name: Literal["Resize"]
    arguments: ResizeArguments


class ToTensor(_Strict):
    """Bytes to 0..1."""

    name: Literal["ToTensor"]
    arguments: NoArguments | None = None


class Normalize(_Strict):
    """Less the mean, over the standard deviation."""

    name: Literal["Normalize"]
    arguments: NormalizeArguments


Transform = Annotated[Resize | ToTensor | Normalize, Field(discriminator="name")]


class WsinferConfig(_Strict):
    """`config.json` of the WSInfer zoo, specification 1.0."""

    spec_version: Literal["1.0"]
    architecture: str
    num_classes: Annotated[int, Field(ge=1, le=256)]
    class_names: tuple[str, ...]
    patch_size_pixels: Annotated[int, Field(ge=8, le=4096)]
    spacing_um_px: Annotated[float, Field(gt=0, le=80)]
    transform: tuple[Transform, ...]
    name: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(self.class_names) != self.num_classes or len(set(self.class_names)) != self.num_classes:
            raise ValueError(f"{self.num_classes} classes need as many different class_names")
        order = [step.name for step in self.transform]
        if order not in (
            ["ToTensor"],
            ["Resize", "ToTensor"],
            ["ToTensor", "Normalize"],
            ["Resize", "ToTensor", "Normalize"],
        ):
            raise ValueError(f"transform must be [Resize,] ToTensor [, Normalize], not {', '.join(order) or 'empty'}")
        return self


def import_wsinfer(source: Path, out: Path, name: str, version: str, licence: str = "not stated") -> Package:
    """The package made of a WSInfer-zoo folder, written to `out / name / version` and run on its golden tile.

    Parameters
    ----------
    source
        A folder with `torchscript_model.pt` and `config.json`; its `README.md`, where there is one, is the card.

    Raises
    ------
    PackageInvalidError
        A file is missing, the configuration is not one we can run as its authors do, or the network does not answer
        as the configuration says.
    OutputConflictError
        There is such a package already.
    """
    _check_names(name, version)
    config = read_config(source / CONFIG)
    network = _read(source / NETWORK)
    card = (source / CARD).read_bytes() if (source / CARD).is_file() else _card(config, name, licence).encode()
    files: dict[str, tuple[Role, bytes]] = {
        "network.pt": ("network", network),
        "card.md": ("card", card),
        "wsinfer.json": ("other", _read(source / CONFIG)),
    }
    fields = _fields(config, name, version, licence)
    return write_package(out / name / version, fields, files, GoldenTile(synthetic_patch(config.patch_size_pixels)))


def read_config(path: Path) -> WsinferConfig:
    """The configuration, validated.

    Raises
    ------
    PackageInvalidError
        It is missing, too large, or says what we cannot run; the message names the field.
    """
    data = _read(path, MANIFEST_LIMIT_BYTES)
    try:
        return WsinferConfig.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise PackageInvalidError(
            f"{CONFIG}: {place}: {first['msg']}.",
            "It must be a WSInfer-zoo configuration, spec_version 1.0, with Resize, ToTensor and Normalize alone.",
        ) from error


def synthetic_patch(side_px: int) -> NDArray[np.uint8]:
    """A made picture in the colours of H&E, uint8 (side, side, 3), the same every time: the golden tile."""
    generator = np.random.default_rng(20240501)
    cells = -(-side_px // 16)
    dark = generator.random((cells, cells, 1)).repeat(16, axis=0).repeat(16, axis=1)[:side_px, :side_px]
    colour = np.array([225.0, 170.0, 205.0]) * (1 - dark) + np.array([110.0, 70.0, 150.0]) * dark
    return np.clip(colour + generator.normal(0, 12, colour.shape), 0, 255).astype(np.uint8)


def class_colours(count: int) -> tuple[Colour, ...]:
    """Distinct colours, hues a golden angle apart."""
    rgb = (colorsys.hsv_to_rgb((0.618034 * i) % 1, 0.75, 0.85) for i in range(count))
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb)


def _check_names(name: str, version: str) -> None:
    """They become folders: refuse what the manifest would refuse before anything is made."""
    for what, value, pattern in (("name", name, Name), ("version", version, Version)):
        try:
            TypeAdapter(pattern).validate_python(value)
        except ValidationError as error:
            raise PackageInvalidError(
                f"{value!r} is no package {what}.", "Names are a-z, 0-9 and dashes; versions are like 1.0.0."
            ) from error


def _fields(config: WsinferConfig, name: str, version: str, licence: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "title": config.name or f"{', '.join(config.class_names)} ({config.architecture}, WSInfer)",
        "task": "tile-classification",
        "stain": "he",
        "runtime": "torchscript",
        "grid": _grid(config),
        "input": _input(config),
        "outputs": (_output(config),),
        "measures": (TilesMeasure(output="tiles", label=config.class_names[0] if config.num_classes == 1 else None),),
        "licence": licence,
        "training_data": ("not stated in config.json: see the card",),
        "intended_use": "As its authors state: see the card.",
        "papers": (PAPER,),
        "recipe": {"imported_from": "wsinfer", "architecture": config.architecture},
    }


def _grid(config: WsinferConfig) -> GridSpec:
    side, mpp = config.patch_size_pixels, config.spacing_um_px
    return GridSpec(
        mpp=mpp,
        mpp_min=mpp * FINER,
        mpp_max=mpp * COARSER,
        tile_px=side,
        halo_px=0,
        align_px=side,
        batch=BATCH,
        fixed_tile=True,
    )


def _input(config: WsinferConfig) -> InputSpec:
    resize = next((s.arguments.side_px for s in config.transform if isinstance(s, Resize)), None)
    normal = next((s.arguments for s in config.transform if isinstance(s, Normalize)), None)
    if normal is None:
        return InputSpec(resize_px=resize)
    return InputSpec(resize_px=resize, mean=normal.mean, std=normal.std)


def _output(config: WsinferConfig) -> OutputSpec:
    if config.num_classes == 1:
        return OutputSpec(
            name="tiles", kind="heat", activation="sigmoid", channels=1, stride_px=config.patch_size_pixels
        )
    colours = class_colours(config.num_classes)
    return OutputSpec(
        name="tiles",
        kind="classes",
        activation="softmax",
        channels=config.num_classes,
        stride_px=config.patch_size_pixels,
        classes=tuple(ClassSpec(name=n, colour=c) for n, c in zip(config.class_names, colours, strict=True)),
        keep_probabilities=True,
    )


def _card(config: WsinferConfig, name: str, licence: str) -> str:
    return (
        f"# {name}\n\nImported from a WSInfer-zoo folder: {config.architecture}, classes "
        f"{', '.join(config.class_names)}, patches of {config.patch_size_pixels} px at {config.spacing_um_px} "
        "um/px.\n\n"
        f"Licence: {licence}. Training data and accuracy were not stated in the folder. Research use only.\n"
    )


def _read(path: Path, limit_bytes: int = 4_000_000_000) -> bytes:
    if not path.is_file():
        raise PackageInvalidError(f"{path.parent.name} holds no {path.name}.", "Give a WSInfer-zoo model folder.")
    size = path.stat().st_size
    if size > limit_bytes:
        raise PackageInvalidError(f"{path.name} has {size} bytes, more than {limit_bytes}.")
    return path.read_bytes()
