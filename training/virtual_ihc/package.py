"""The generator from H&E to Ki-67 as a model package: network, calibrator, manifest, card, weights, golden tile."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import OutputConflictError
from models.manifest import ClassSpec, GridSpec, InputSpec, Metric, OutputSpec, Paper, Role, StatisticsSpec
from models.measures_spec import AreasMeasure
from models.nets.frozen_norm import Calibrator, FrozenNetwork, statistics_length
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, deterministic_npz, write_package
from models.seen import seen_of
from models.stain_spec import StainSeen
from training.metrics.numbers import Number
from training.phantom.render import render_region
from training.phantom.spec import PhantomSpec
from training.virtual_ihc.card import write_card
from training.virtual_ihc.config import HE, KI67, STRIDE_PX, Config
from training.virtual_ihc.data import TRAIN, Prepared, read_prepared, read_tiles
from training.virtual_ihc.graph import CLASSES, VirtualStain
from training.virtual_ihc.networks import halo_px
from training.virtual_ihc.phantoms import training_specs
from training.virtual_ihc.report import REPORT, Report, file_digest
from training.virtual_ihc.train import trained, weights_path
from workers.geometry import Box

NAME, IMAGE, STAINING, LICENCE = "virtual-ki67", "ki67", "staining", "Apache-2.0"
ANALYSIS = "virtual-ihc"
IMAGE_SHOWS, STAINING_SHOWS = "Ki-67 (virtual stain)", "Ki-67 staining, read from the virtual stain"
OWN_LICENCE = "not stated: the licence of the slides that were learned from decides"
COLOURS = ((236, 234, 238), (62, 96, 190), (140, 80, 30))
GOLDEN_PX, GOLDEN_TOLERANCE = 192, 5e-3
SAMPLES_PER_SLIDE = 8
"""Tiles of a slide that tell how it is stained."""
PAPER = Paper(
    title="The Generation of Virtual Immunohistochemical Staining Images Based on an Improved Cycle-GAN",
    doi="",
)
NOT_FOR = (
    "Research use only. Not for diagnosis. The picture is made, not measured: brown is what a network that never saw "
    "a pair of sections takes for likely. Not a Ki-67 stain, not for a Ki-67 index, grading or treatment decisions."
)


def export_package(config: Config, work_dir: Path, zoo_dir: Path, version: str) -> Path:
    """The folder of the package `virtual-ki67` of that version.

    Raises
    ------
    FileNotFoundError
        The run has not ended, or was not evaluated.
    ValueError
        Weights, report and recipe do not belong together.
    OutputConflictError
        There is such a package already.
    """
    folder = zoo_dir / NAME / version
    if folder.exists():
        raise OutputConflictError(f"The package {NAME}@{version} exists already.", "Give another version.")
    prepared, report = read_prepared(config, work_dir), read_report(config, work_dir)
    if report.data != prepared.digests:
        raise ValueError("the report is of other tiles: run evaluate again")
    generator = trained(config, work_dir)
    graph = VirtualStain(generator).eval()
    length = statistics_length(graph)
    network, calibrator = exported(graph, config, length)
    facts = {
        "version": version,
        "licence": licence_of(prepared),
        "parameters": f"{sum(p.numel() for p in generator.parameters()):,}",
        "experiment": work_dir.name,
    }
    files: dict[str, tuple[Role, bytes]] = {
        "virtual-ki67.onnx": ("network", network),
        "calibrator.onnx": ("calibrator", calibrator),
        "weights.npz": ("other", deterministic_npz({n: v.numpy() for n, v in generator.state_dict().items()})),
        "card.md": ("card", write_card(config, report, prepared, facts).encode()),
    }
    tile = golden_tile(config)
    with torch.no_grad():
        statistics: NDArray[np.float32] = Calibrator(graph)(torch.from_numpy(tile)[None]).numpy()
    fields = manifest_fields(config, report, prepared, version) | {"seen": seen_stains(config, work_dir)}
    fields["statistics"] = StatisticsSpec(
        length=length, sample_tiles=config.package.sample_tiles, sample_px=config.package.sample_px
    )
    return write_package(folder, fields, files, GoldenTile(tile, statistics)).folder


def exported(graph: VirtualStain, config: Config, length: int) -> tuple[bytes, bytes]:
    """Network and calibrator as ONNX, each for its one size: what is concatenated must halve evenly."""
    run_px, sample_px = config.package.tile_px + 2 * halo_px(config.net), config.package.sample_px
    tiles, sample = (torch.zeros(2, side, side, 3, dtype=torch.uint8) for side in (run_px, sample_px))
    names = [IMAGE, STAINING]
    network = export_onnx(
        FrozenNetwork(graph), [tiles, torch.zeros(length)], names, spatial_axes=(1, 2), dynamic_size=False
    )
    calibrator = export_onnx(Calibrator(graph), [sample], ["statistics"], spatial_axes=(1, 2), dynamic_size=False)
    return network, calibrator


def read_report(config: Config, work_dir: Path) -> Report:
    """The report, once it is sure that it is of this recipe and of the weights that lie beside it.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is of another recipe or of other weights.
    """
    path, weights = work_dir / REPORT, weights_path(work_dir)
    for needed, step in ((weights, "train"), (path, "evaluate")):
        if not needed.exists():
            raise FileNotFoundError(f"there is no {needed.name} in {needed.parent}: run `{step}` first")
    report = Report.model_validate_json(path.read_text("utf-8"))
    if report.config != config.digest():
        raise ValueError("the report is of another recipe: run evaluate again")
    if report.weights != file_digest(weights):
        raise ValueError("the report is of other weights: run evaluate again")
    return report


def manifest_fields(config: Config, report: Report, prepared: Prepared, version: str) -> dict[str, Any]:
    """The manifest without its files, statistics and the stains seen."""
    grid = config.package
    only_phantoms = is_synthetic(prepared)
    return {
        "name": NAME,
        "version": version,
        "title": "Virtual Ki-67 stain from H&E" + (" (phantoms only)" if only_phantoms else ""),
        "analysis": ANALYSIS,
        "task": "multi-output",
        "stain": "he",
        "runtime": "onnx",
        "grid": GridSpec(
            mpp=config.data.mpp,
            mpp_min=grid.mpp_min,
            mpp_max=grid.mpp_max,
            tile_px=grid.tile_px,
            halo_px=halo_px(config.net),
            align_px=STRIDE_PX,
            fixed_tile=True,
        ),
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": (
            OutputSpec(name=IMAGE, kind="image", activation="tanh", channels=3, virtual=IMAGE_SHOWS),
            OutputSpec(
                name=STAINING,
                kind="classes",
                activation="softmax",
                channels=len(CLASSES),
                classes=_classes(),
                virtual=STAINING_SHOWS,
            ),
        ),
        "measures": (AreasMeasure(output=STAINING, positive="positive", negative="negative"),),
        "golden": {"absolute_tolerance": GOLDEN_TOLERANCE},
        "licence": licence_of(prepared),
        "training_data": training_data(prepared),
        "metrics": tuple(_metric(number) for number in report.numbers),
        "intended_use": "Showing what a Ki-67 stain of an H&E slide could look like, for research into virtual stains.",
        "not_for": ("Trained on phantoms and measured on phantoms alone. " if only_phantoms else "") + NOT_FOR,
        "papers": (PAPER,),
        "recipe": recipe(report),
    }


def is_synthetic(prepared: Prepared) -> bool:
    """Whether nothing but phantoms was learned from."""
    return all(row.synthetic for row in prepared.slides)


def licence_of(prepared: Prepared) -> str:
    """That of the weights."""
    return LICENCE if is_synthetic(prepared) else OWN_LICENCE


def training_data(prepared: Prepared) -> tuple[str, ...]:
    """What was learned from, stain by stain."""
    found = []
    for stain, name in ((HE, "H&E"), (KI67, "Ki-67")):
        for synthetic in (True, False):
            slides, tiles = prepared.count(stain, synthetic=synthetic)
            if slides:
                kind = "phantoms, drawn by histoserve, Apache-2.0" if synthetic else "slides of the user"
                found.append(f"{name}: {slides} slides, {tiles} tiles ({kind})")
    return tuple(found)


def recipe(report: Report) -> dict[str, str]:
    """Seed and digests of recipe, code and data: what it takes to make the same weights again."""
    data = {f"data:{part}": digest for part, digest in report.data.items()}
    return {"seed": str(report.seed), "config": report.config, "code": report.code, "weights": report.weights} | data


def seen_stains(config: Config, work_dir: Path) -> StainSeen | None:
    """How the H&E slides were stained that were learned from, by some of their tiles."""
    tiles = read_tiles(config, work_dir, TRAIN, HE)
    names = sorted(set(tiles.images.tolist()))
    rows = (np.flatnonzero(tiles.images == name) for name in names)
    return seen_of((tiles.pixels[own[:: max(1, len(own) // SAMPLES_PER_SLIDE)]] for own in rows), config.data.mpp)


def golden_tile(config: Config) -> NDArray[np.uint8]:
    """A part of the first H&E phantom of the recipe, uint8 (H, W, 3): a halo and what is compared beyond it."""
    specs = training_specs(config.data.phantom, HE)
    spec = next(iter(specs.values())) if specs else PhantomSpec(seed=config.seed, tissue=1.0)
    side = min(config.package.tile_px + 2 * halo_px(config.net), halo_px(config.net) + GOLDEN_PX)
    scale = round(config.data.mpp / spec.mpp) or 1
    fine = render_region(spec, HE, Box(256, 256, side * scale, side * scale)).astype(np.float32)
    tile = np.rint(fine.reshape(side, scale, side, scale, 3).mean((1, 3)))
    return np.asarray(tile, np.uint8)


def _classes() -> tuple[ClassSpec, ...]:
    return tuple(
        ClassSpec(name=name, colour=colour, background=index == 0)
        for index, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True))
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
