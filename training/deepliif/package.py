"""The trained networks as the package `deepliif-small`, which runs and is read as an imported DeepLIIF model is."""

import json
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.errors import OutputConflictError
from models.importers.deepliif.convert import Converted
from models.importers.deepliif.layout import BACKGROUNDS, NAMES
from models.importers.deepliif.package import (
    ANALYSIS,
    DESCRIPTION,
    GOLDEN_TOLERANCE,
    PAPER,
    SAMPLE_PX,
    SAMPLE_TILES,
    cells_measures,
    synthetic_ihc,
)
from models.importers.deepliif.plan import MASK, output_name, shows
from models.manifest import GridSpec, InputSpec, Metric, OutputSpec, Role, StatisticsSpec
from models.nets.frozen_norm import Calibrator, FrozenNetwork, statistics_length
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, deterministic_npz, write_package
from models.seen import seen_of
from models.stain_spec import StainSeen
from training.deepliif.card import licence_of, training_data, write_card
from training.deepliif.config import MODALITIES, Config, NetsConfig, mask_weights
from training.deepliif.data import TRAIN, Prepared, read_prepared
from training.deepliif.evaluate import weights_digests
from training.deepliif.infer import halo_px, radius_px, stride_px
from training.deepliif.networks import (
    ALL_TO_ONE,
    build_graph,
    resnet_shape,
    segmenter_names,
    translator_names,
    unet_shape,
)
from training.deepliif.report import Number, Report, read_report
from training.deepliif.store import read_set
from training.deepliif.train import RUN, load_generators

NAME, WEIGHTS = "deepliif-small", "weights.npz"
GOLDEN_PX = 96
"""Of the golden tile, so much is compared; the halo comes on top."""
SEEN_PICTURES = 400
NOT_FOR = (
    "Research use only. Not for diagnosis. No number is a clinical claim. Not for treatment decisions, membrane or "
    "cytoplasm markers, H&E, cytology or fluorescence; made modalities are no measurement of a protein."
)


def export_package(config: Config, work_dir: Path, zoo_dir: Path, version: str) -> Path:
    """The folder of the package `deepliif-small` of that version.

    Raises
    ------
    FileNotFoundError
        The networks were not trained, or not evaluated.
    ValueError
        Weights, report and recipe do not belong together.
    OutputConflictError
        There is such a package already.
    """
    folder = zoo_dir / NAME / version
    if folder.exists():
        raise OutputConflictError(f"The package {NAME}@{version} exists already.", "Give another version.")
    prepared, report = read_prepared(config, work_dir), read_report(config, work_dir, weights_digests(work_dir))
    if report.data != prepared.digests:
        raise ValueError("the report is of other pictures: run evaluate again")
    nets = load_generators(config, work_dir / RUN / "weights")
    grid = grid_of(config)
    converted = convert(config, nets, grid)
    files: dict[str, tuple[Role, bytes]] = {
        "network.onnx": ("network", converted.network),
        WEIGHTS: ("other", deterministic_npz(weights_of(nets))),
        DESCRIPTION: ("other", (json.dumps(facts(config, grid), indent=2) + "\n").encode()),
        "card.md": ("card", write_card(config, report, prepared, version, work_dir.name).encode()),
    }
    seen = {"seen": seen_stains(config, work_dir)}
    fields = manifest_fields(config, report, prepared, version, grid) | seen
    golden = synthetic_ihc(grid.halo_px + GOLDEN_PX)
    if converted.calibrator is None:
        return write_package(folder, fields, files, GoldenTile(golden)).folder
    files["calibrator.onnx"] = ("calibrator", converted.calibrator)
    fields["statistics"] = StatisticsSpec(length=converted.statistics, sample_tiles=SAMPLE_TILES, sample_px=SAMPLE_PX)
    with torch.no_grad():
        sample = torch.from_numpy(synthetic_ihc(SAMPLE_PX))[None]
        statistics: NDArray[np.float32] = Calibrator(build_graph(config.nets, nets)).eval()(sample).numpy()
    return write_package(folder, fields, files, GoldenTile(golden, statistics)).folder


def grid_of(config: Config) -> GridSpec:
    """`exact`: a halo for what a pixel sees; `compat`: DeepLIIF's tile and its margin of a sixteenth.

    Raises
    ------
    ValueError
        Tiles are not on the networks' grid.
    """
    package, step = config.package, stride_px(config.nets)
    if package.mode == "exact":
        halo, tile, align = halo_px(config.nets), package.tile_px, step
    else:
        halo = package.scale_px // 16
        tile = package.scale_px - 2 * halo
        align = gcd(halo, tile)
    if (tile + 2 * halo) % step:
        raise ValueError(f"tiles of {tile} px with a halo of {halo} px are no multiple of {step} px")
    return GridSpec(
        mpp=config.mpp,
        mpp_min=package.mpp_min,
        mpp_max=package.mpp_max,
        tile_px=tile,
        halo_px=halo,
        align_px=align,
        fixed_tile=True,
    )


def convert(config: Config, nets: dict[str, nn.Module], grid: GridSpec) -> Converted:
    """The networks as one ONNX graph from bytes to the outputs, and the calibrator that `exact` needs."""
    graph = build_graph(config.nets, nets)
    names = [name for name, _ in outputs_of(config.nets)]
    side = grid.tile_px + 2 * grid.halo_px
    tiles = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    if config.package.mode == "compat":
        return Converted(export_onnx(graph, [tiles], names, spatial_axes=(1, 2), dynamic_size=False))
    length = statistics_length(graph)
    examples = [tiles, torch.zeros(length)]
    network = export_onnx(FrozenNetwork(graph), examples, names, spatial_axes=(1, 2), dynamic_size=False)
    sample = torch.zeros(2, SAMPLE_PX, SAMPLE_PX, 3, dtype=torch.uint8)
    calibrator = export_onnx(Calibrator(graph), [sample], ["statistics"], spatial_axes=(1, 2), dynamic_size=False)
    return Converted(network, calibrator, length)


def outputs_of(nets: NetsConfig) -> tuple[tuple[str, str], ...]:
    """Names of the outputs, as an imported model has them, each with its translator or `MASK`."""
    names = (output_name(NAMES[1 + MODALITIES.index(modality)]) for modality in nets.modalities)
    return (*zip(names, translator_names(nets), strict=True), (MASK, MASK))


def weights_of(nets: dict[str, nn.Module]) -> dict[str, NDArray[np.float32]]:
    """All weights by the published names, with the network's name in front."""
    return {f"{net}.{key}": value.numpy() for net, module in nets.items() for key, value in module.state_dict().items()}


def facts(config: Config, grid: GridSpec) -> dict[str, Any]:
    """What a reader of the package's answers must know beside the manifest, as an imported model says it."""
    nets = config.nets
    backgrounds = {f"G{k + 1}": BACKGROUNDS[MODALITIES.index(name)] for k, name in enumerate(nets.modalities)}
    titles = modality_titles(nets)
    outputs = [
        {"name": name, "net": None, "modality": "Seg", "background": [0, 0, 0]}
        if net == MASK
        else {"name": name, "net": net, "modality": titles[net], "background": backgrounds[net]}
        for name, net in outputs_of(nets)
    ]
    return {
        "mode": config.package.mode,
        "kind": "DeepLIIF",
        "scale_size_px": config.package.scale_px,
        "radius_px": radius_px(nets),
        "halo_px": grid.halo_px,
        "outputs": outputs,
        "mask": mask_facts(nets),
        "weights": "options",
        "nets": {n: {"generator": "resnet"} | vars(resnet_shape(nets)) for n in translator_names(nets)}
        | {n: {"generator": "unet"} | vars(unet_shape(nets)) for n in segmenter_names(nets)},
    }


def modality_titles(nets: NetsConfig) -> dict[str, str]:
    """The published name of what each translator makes."""
    return {f"G{k + 1}": NAMES[1 + MODALITIES.index(name)] for k, name in enumerate(nets.modalities)}


def mask_facts(nets: NetsConfig) -> list[dict[str, Any]]:
    """The mask's terms in the order in which they are added."""
    if nets.many_to_one:
        return [{"net": ALL_TO_ONE, "source": "IHC and all modalities", "weight": 1.0}]
    sources = (None, *translator_names(nets))
    terms = list(zip(segmenter_names(nets), sources, mask_weights(nets), strict=True))
    return [{"net": net, "source": source, "weight": weight} for net, source, weight in (*terms[1:], terms[0])]


def manifest_fields(config: Config, report: Report, prepared: Prepared, version: str, grid: GridSpec) -> dict[str, Any]:
    """The manifest without its files."""
    titles = modality_titles(config.nets)
    outputs = tuple(
        OutputSpec(name=name, kind="image", activation="tanh", channels=3, virtual=shows(titles.get(net, name), net))
        for name, net in outputs_of(config.nets)
    )
    return {
        "name": NAME,
        "version": version,
        "title": f"DeepLIIF, narrow, {config.package.mode}: {', '.join(output.name for output in outputs)}",
        "task": "multi-output" if len(outputs) > 1 else "image-to-image",
        "stain": "ihc-dab",
        "runtime": "onnx",
        "grid": grid,
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": outputs,
        "measures": cells_measures([output.name for output in outputs], config.mpp),
        "analysis": ANALYSIS,
        "golden": {"absolute_tolerance": GOLDEN_TOLERANCE},
        "licence": licence_of(prepared),
        "training_data": training_data(prepared),
        "metrics": tuple(_metric(number) for number in report.numbers if _is_kept(number)),
        "intended_use": "Counting positive and negative nuclei in nuclear IHC, and showing how DeepLIIF works.",
        "not_for": NOT_FOR,
        "papers": (PAPER,),
        "recipe": recipe(config, report),
    }


def recipe(config: Config, report: Report) -> dict[str, str]:
    """Seed and digests of recipe, code and data: what it takes to make the same weights again."""
    mask = " + ".join(f"{t['weight']:.3g} {t['net']}({t['source'] or 'IHC'})" for t in mask_facts(config.nets))
    data = {f"data:{part}": digest for part, digest in report.data.items()}
    return {
        "mode": config.package.mode,
        "mask": mask,
        "seed": str(report.seed),
        "config": report.config,
        "code": report.code,
        "radius_px": str(radius_px(config.nets)),
    } | data


def seen_stains(config: Config, work_dir: Path) -> StainSeen | None:
    """How the pictures were stained that the networks were trained on."""
    pictures = read_set(work_dir / TRAIN)
    count = min(len(pictures), SEEN_PICTURES)
    chosen = np.linspace(0, len(pictures) - 1, count).round().astype(int).tolist()
    return seen_of((pictures.panels(k).ihc for k in chosen), config.mpp)


def _is_kept(number: Number) -> bool:
    """One row for each metric, and none that does not exist (an F1 where there is nothing to find)."""
    return number.value is not None and (number.how == "pooled" or number.metric in ("aji", "mse", "ssim"))


def _metric(number: Number) -> Metric:
    rounded = {k: None if v is None else round(v, 4) for k, v in (("low", number.low), ("high", number.high))}
    return Metric(
        name=f"{number.metric}, {number.of} ({number.how})",
        value=round(number.value or 0.0, 4),
        **rounded,
        n=number.n,
        data=number.data,
        synthetic=number.synthetic,
    )
