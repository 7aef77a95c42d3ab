"""The trained network as a model package: manifest, card, weights, golden tile."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import OutputConflictError
from models.manifest import ClassSpec, GridSpec, InputSpec, Metric, OutputSpec, Paper, Role
from models.measures_spec import AreasMeasure
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, deterministic_npz, write_package
from models.seen import seen_of
from models.stain_spec import StainSeen
from training.ki67.card import correlation_numbers, is_synthetic, write_card
from training.ki67.config import BACKGROUND, CLASSES, NEGATIVE, POSITIVE, Config
from training.ki67.data import TRAIN, Prepared, read_part, read_prepared
from training.ki67.phantoms import specs_of
from training.ki67.report import REPORT, Report, file_digest
from training.ki67.train import WEIGHTS, run_name, trained
from training.metrics.numbers import Number
from training.nets.dense import Ki67Bytes, receptive_radius_px
from training.nets.resnet18 import STRIDE_PX, Ki67Net
from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec
from workers.geometry import Box, round_up

NAME, OUTPUT, LICENCE = "ki67-he", "ki67", "Apache-2.0"
COLOURS = ((62, 96, 190), (178, 60, 40), (236, 234, 238))
GOLDEN_PX = 128
"""Of the golden tile, so much is compared wherever the network runs at another size; the halo comes on top."""
OWN_LICENCE = "not stated: the licence of the labelled images decides"
PAPER = Paper(
    title="Predict Ki-67 positive cells in H&E-stained images using deep learning independently from IHC",
    doi="10.3389/fmolb.2020.00183",
)
NOT_FOR = (
    "Research use only. Not for diagnosis. No number is a clinical claim. Not for a Ki-67 index, grading or treatment "
    "decisions, not for IHC, cytology or fluorescence."
)
ON_PHANTOMS = "Trained on phantoms and measured on phantoms alone. "


def export_package(config: Config, work_dir: Path, zoo_dir: Path, version: str) -> Path:
    """The folder of the package `ki67-he` of that version.

    Raises
    ------
    FileNotFoundError
        The final network was not trained, or not evaluated.
    ValueError
        Weights, report and recipe do not belong together, or the halo is smaller than the receptive radius.
    OutputConflictError
        There is such a package already.
    """
    folder = zoo_dir / NAME / version
    if folder.exists():
        raise OutputConflictError(f"The package {NAME}@{version} exists already.", "Give another version.")
    prepared, report = read_prepared(config, work_dir), read_report(config, work_dir)
    if report.data != prepared.digests:
        raise ValueError("the report is of other patches: run evaluate again")
    check_halo(config)
    net = trained(config, work_dir, None)
    example = torch.zeros(2, 2 * STRIDE_PX, 3 * STRIDE_PX, 3, dtype=torch.uint8)
    network = export_onnx(Ki67Bytes(net, config.package.stride_px).eval(), [example], [OUTPUT], spatial_axes=(1, 2))
    files: dict[str, tuple[Role, bytes]] = {
        "ki67-he.onnx": ("network", network),
        WEIGHTS: ("other", deterministic_npz({n: v.numpy() for n, v in net.state_dict().items()})),
        "card.md": ("card", _card(config, report, prepared, net, work_dir, version).encode()),
    }
    fields = manifest_fields(config, report, prepared, version) | {"seen": seen_stains(config, work_dir)}
    return write_package(folder, fields, files, GoldenTile(golden_tile(config))).folder


def read_report(config: Config, work_dir: Path) -> Report:
    """The report, once it is sure that it is of this recipe and of the weights that lie beside it.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is of another recipe or of other weights.
    """
    path, weights = work_dir / REPORT, work_dir / run_name(None) / "weights.pt"
    for needed, step in ((weights, "train --fold final"), (path, "evaluate")):
        if not needed.exists():
            raise FileNotFoundError(f"there is no {needed.name} in {needed.parent}: run `{step}` first")
    report = Report.model_validate_json(path.read_text("utf-8"))
    if report.config != config.digest():
        raise ValueError("the report is of another recipe: run evaluate again")
    if report.weights != file_digest(weights):
        raise ValueError("the report is of other weights: run evaluate again")
    return report


def check_halo(config: Config) -> None:
    """Nothing, where the halo holds all that a cell depends on.

    Raises
    ------
    ValueError
        It does not.
    """
    radius_px = receptive_radius_px(config.package.stride_px)
    if radius_px > config.package.halo_px:
        raise ValueError(f"halo_px {config.package.halo_px} is smaller than the receptive radius {radius_px}")


def manifest_fields(config: Config, report: Report, prepared: Prepared, version: str) -> dict[str, Any]:
    """The manifest without its files."""
    grid, synthetic = config.package, is_synthetic(prepared)
    return {
        "name": NAME,
        "version": version,
        "title": "Ki-67 from H&E" + (" (phantoms only)" if synthetic else ""),
        "analysis": NAME,
        "task": "dense-classification",
        "stain": "he",
        "runtime": "onnx",
        "grid": GridSpec(
            mpp=config.data.mpp,
            mpp_min=grid.mpp_min,
            mpp_max=grid.mpp_max,
            tile_px=grid.tile_px,
            halo_px=grid.halo_px,
            align_px=STRIDE_PX,
        ),
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": (_output(grid.stride_px),),
        "measures": (AreasMeasure(output=OUTPUT, positive=CLASSES[POSITIVE], negative=CLASSES[NEGATIVE]),),
        "licence": licence_of(prepared),
        "training_data": training_data(prepared),
        "metrics": tuple(_metric(number) for number in [*report.numbers, *correlation_numbers(report)]),
        "intended_use": "Showing where an H&E slide would be Ki-67 positive, for research into training and serving.",
        "not_for": (ON_PHANTOMS if synthetic else "") + NOT_FOR,
        "papers": (PAPER,),
        "recipe": recipe(report),
    }


def seen_stains(config: Config, work_dir: Path) -> StainSeen | None:
    """How the images were stained that the network was trained on, by their patches."""
    patches = read_part(config, work_dir, TRAIN)
    names = sorted(set(patches.images.tolist()))
    return seen_of((patches.take(patches.images == name).pixels for name in names), config.data.mpp)


def licence_of(prepared: Prepared) -> str:
    """That of the weights."""
    return LICENCE if is_synthetic(prepared) else OWN_LICENCE


def training_data(prepared: Prepared) -> tuple[str, ...]:
    """What was trained and tested on, source by source."""
    found = []
    for source, synthetic in sorted({(row.source, row.synthetic) for row in prepared.images}):
        rows = [row for row in prepared.images if row.source == source]
        patches = sum(sum(row.patches.values()) for row in rows)
        kind = "synthetic, drawn by histoserve, Apache-2.0" if synthetic else "images of the user"
        found.append(f"{source}: {len(rows)} images, {patches} patches ({kind})")
    return tuple(found)


def recipe(report: Report) -> dict[str, str]:
    """Seed and digests of recipe, code and data: what it takes to make the same weights again."""
    data = {f"data:{part}": digest for part, digest in report.data.items()}
    return {"seed": str(report.seed), "config": report.config, "code": report.code, "weights": report.weights} | data


def golden_tile(config: Config) -> NDArray[np.uint8]:
    """A part of the first phantom of the recipe, uint8 (H, W, 3)."""
    specs = specs_of(config.data.phantom)
    spec = next(iter(specs.values())) if specs else PhantomSpec(seed=config.seed, tissue=1.0)
    side_px = round_up(config.package.halo_px + GOLDEN_PX, STRIDE_PX)
    return render_region(spec, "he", Box(256, 256, side_px, side_px))


def _card(config: Config, report: Report, prepared: Prepared, net: Ki67Net, work_dir: Path, version: str) -> str:
    facts = {
        "version": version,
        "licence": licence_of(prepared),
        "parameters": f"{sum(p.numel() for p in net.parameters()):,}",
        "experiment": work_dir.name,
        "start": report.start,
    }
    return write_card(config, report, prepared, facts)


def _output(stride_px: int) -> OutputSpec:
    classes = tuple(
        ClassSpec(name=name, colour=colour, background=index == BACKGROUND)
        for index, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True))
    )
    return OutputSpec(
        name=OUTPUT,
        kind="classes",
        activation="softmax",
        channels=len(classes),
        stride_px=stride_px,
        classes=classes,
        keep_probabilities=True,
    )


def _metric(number: Number) -> Metric:
    return Metric(
        name=number.name,
        value=round(number.value, 4),
        low=None if number.low is None else round(number.low, 4),
        high=None if number.high is None else round(number.high, 4),
        n=number.n,
        data=number.data,
        synthetic=number.synthetic,
    )
