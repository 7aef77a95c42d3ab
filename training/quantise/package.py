"""The package NAME-int8 of a package: its network in 8 bits, and what that costs in manifest and card."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import OutputConflictError, ProviderUnavailableError, RefusedInputError
from models.golden import read_golden, run_golden
from models.manifest import Manifest, Metric, Role
from models.packaging import GoldenTile, write_package
from models.predictor import Predictor, Statistics
from models.preprocess import to_input
from models.registry import Package, read_verified
from models.runtimes import load_predictor
from training.quantise.cost import measure_cost
from training.quantise.network import Feed, input_names, quantise_network
from training.quantise.sample import SlideTiles, sample_slide
from workers.slides.opening import open_slide

SUFFIX = "-int8"
FEWEST_TOLERANCE = 0.01
SLACK = 2.0
"""The golden tolerance is so many times what two runtimes differ by: each rounds half-way values its own way."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    package: Package
    version: str
    zoo: Path
    calibration: tuple[Path, ...]
    """Slides whose tiles say which ranges are needed."""
    held_out: tuple[Path, ...]
    """Other slides, on which the cost is measured."""
    data: str
    """What the held-out slides are, for the manifest and the card."""
    synthetic: bool
    mpp: float | None
    tiles: int
    """Of each slide."""


def quantise_package(request: Request) -> Package:
    """The package in 8 bits, written under `request.zoo`.

    Raises
    ------
    RefusedInputError
        The package holds no ONNX network, or a slide cannot be read.
    OutputConflictError
        There is such a package already.
    ValueError
        A slide is measured on that the ranges were taken from, has no tissue or another resolution.
    """
    manifest = request.package.manifest
    folder = request.zoo / f"{manifest.name}{SUFFIX}" / request.version
    if folder.exists():
        raise OutputConflictError(
            f"The package {folder.parent.name}@{request.version} exists already.", "Give another."
        )
    network_file = manifest.file("network")
    if manifest.runtime != "onnx" or network_file is None:
        raise RefusedInputError(f"{manifest.reference} holds no ONNX network.", "Convert it to ONNX first.")
    same = {path.resolve() for path in request.calibration} & {path.resolve() for path in request.held_out}
    if same:
        raise ValueError(f"{sorted(same)[0].name} is held out and calibrated with: give different slides")
    whole = load_predictor(request.package, batch=1)
    calibration, held_out = (_sample(paths, request, whole) for paths in (request.calibration, request.held_out))
    network = read_verified(request.package, network_file)
    reduced = quantise_network(network, _feeds(manifest, calibration, input_names(network)))
    return _write(folder, request, reduced, (whole, held_out))


def _sample(paths: Sequence[Path], request: Request, predictor: Predictor) -> list[SlideTiles]:
    found = []
    for path in paths:
        slide = open_slide(path, request.mpp)
        try:
            side_px = predictor.batch_shape[1]
            found.append(sample_slide(slide, predictor.manifest, side_px, request.tiles, predictor))
        finally:
            slide.close()
    return found


def _feeds(manifest: Manifest, slides: Sequence[SlideTiles], names: Sequence[str]) -> Iterator[Feed]:
    for slide in slides:
        for tile in slide.tiles:
            feed: Feed = {names[0]: to_input(tile[np.newaxis], manifest.input)}
            yield feed if slide.statistics is None else feed | {names[1]: slide.statistics}


def _write(folder: Path, request: Request, network: bytes, measured: tuple[Predictor, Sequence[SlideTiles]]) -> Package:
    """Written twice: a first package, under the same folder, runs the network for what the second one declares."""
    whole, held_out = measured
    golden = read_golden(request.package)
    if golden is None:
        raise RefusedInputError(f"{request.package.manifest.reference} has no golden tile.", "Export it with one.")
    tile = GoldenTile(golden[0], golden[2])
    draft_folder = folder.parent / f".draft-{request.version}"
    draft = write_package(draft_folder, _fields(request, (), 1e3), _files(request, network, ()), tile)
    try:
        reduced = load_predictor(draft, batch=1)
        cost = measure_cost(whole, reduced, held_out, request.data)
        cost = tuple(metric.model_copy(update={"synthetic": request.synthetic}) for metric in cost)
        tolerance = max(FEWEST_TOLERANCE, SLACK * _gap(draft, reduced, tile.tile, tile.statistics))
        reduced.close()
    finally:
        for path in draft_folder.iterdir():
            path.unlink()
        draft_folder.rmdir()
    return write_package(folder, _fields(request, cost, tolerance), _files(request, network, cost), tile)


def _gap(draft: Package, reduced: Predictor, tile: np.ndarray, statistics: Statistics | None) -> float:
    """The largest difference between ONNX Runtime and OpenVINO on the golden tile; 0 where there is no OpenVINO."""
    try:
        other = load_predictor(draft, "openvino-cpu", batch=1)
    except ProviderUnavailableError:
        return 0.0
    one, two = (run_golden(predictor, tile, statistics) for predictor in (reduced, other))
    other.close()
    return max(float(np.abs(one[name] - two[name]).max()) for name in one)


def _files(request: Request, network: bytes, cost: Sequence[Metric]) -> dict[str, tuple[Role, bytes]]:
    package = request.package
    kept: dict[str, tuple[Role, bytes]] = {
        spec.path: (spec.role, read_verified(package, spec))
        for spec in package.manifest.files
        if spec.role in ("calibrator", "other") and not spec.path.startswith("weights")
    }
    card = _card(request, cost)
    return kept | {"network-int8.onnx": ("network", network), "card.md": ("card", card.encode())}


def _fields(request: Request, cost: Sequence[Metric], tolerance: float) -> dict[str, Any]:
    manifest = request.package.manifest
    fields = manifest.model_dump(exclude={"files", "metrics", "golden", "analysis"})
    return fields | {
        "name": f"{manifest.name}{SUFFIX}",
        "version": request.version,
        "title": f"{manifest.title} (8 bits)",
        "golden": {"absolute_tolerance": tolerance},
        "metrics": tuple(cost),
        "recipe": manifest.recipe
        | {
            "quantised_from": manifest.reference,
            "quantised_from_manifest": request.package.manifest_sha256,
            "quantised_with": f"{len(request.calibration)} slides, {request.tiles} tiles each at most",
        },
    }


def _card(request: Request, cost: Sequence[Metric]) -> str:
    manifest = request.package.manifest
    rows = [f"| {m.name} | {m.value:g} | {m.low:g} to {m.high:g} | {m.n} |" for m in cost]
    lines = [
        f"# {manifest.name}{SUFFIX} {request.version}",
        f"The network of `{manifest.reference}` with weights and activations in 8 bits. It is faster where the "
        "processor has instructions for that and the runtime uses them (`--provider fastest`), and answers a little "
        "differently. What the network was trained on, what it is for and what it must not be used for stands in the "
        f"card of `{manifest.reference}`; the numbers there are of 32 bits.",
        "## What it costs",
        f"Against `{manifest.reference}`, tile by tile, on {request.data}"
        f"{' (synthetic)' if request.synthetic else ''}; the ranges were taken from other slides.",
        "\n".join(["| measure | mean | 95 % interval over tiles | tiles |", "|---|---|---|---|", *rows]),
        "Runtimes round half-way values differently: results of two providers differ more than those of the network in "
        "32 bits. The golden tolerance allows for that.",
        f"Licence: {manifest.licence}. {manifest.not_for}",
    ]
    return "\n\n".join(lines) + "\n"
