"""The packages NAME-int8 and NAME-bf16 of a package: its network in other numbers, and what that costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import OutputConflictError, ProviderUnavailableError, RefusedInputError
from models.golden import read_golden, run_golden
from models.manifest import FileSpec, GoldenSpec, Manifest, Metric, Role
from models.packaging import GoldenTile, write_package
from models.predictor import Predictor
from models.preprocess import to_input
from models.registry import Package, read_verified
from models.runtimes import load_predictor
from training.quantise.cost import measure_cost
from training.quantise.network import Feed, input_names, quantise_network
from training.quantise.sample import SlideTiles, sample_slide
from training.quantise.target import TARGETS, Name
from workers.slides.opening import open_slide

MADE_OF = "quantised_from"
FEWEST_TOLERANCE, FEWEST_MEAN_TOLERANCE = 0.01, 0.001
SLACK = 2.0
"""The golden tolerance of 8 bits is so many times what two runtimes differ by: each rounds half-way values its way."""
BFLOAT16_SLACK, BFLOAT16_MEAN_SLACK = 4.0, 2.0
"""Golden tolerances of bfloat16, in differences from float32: two processors, neither further from float32 than this
one, are at most twice as far from one another. So much for means; single values stray further."""


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    package: Package
    version: str
    zoo: Path
    calibration: tuple[Path, ...]
    """Slides whose tiles say which ranges 8 bits need; none for bfloat16, which has those of float32."""
    held_out: tuple[Path, ...]
    """Other slides, on which the cost is measured."""
    data: str
    """What the held-out slides are, for the manifest and the card."""
    synthetic: bool
    mpp: float | None
    tiles: int
    """Of each slide."""
    to: Name = "int8"

    @property
    def name(self) -> str:
        """Of the new package."""
        return f"{self.package.manifest.name}-{self.to}"


def quantise_package(request: Request) -> Package:
    """The package in 8 bits or bfloat16, written under `request.zoo`.

    Raises
    ------
    RefusedInputError
        The package holds no ONNX network in float32, or a slide cannot be read.
    OutputConflictError
        There is such a package already.
    ProviderUnavailableError
        This machine does not compute in bfloat16.
    ValueError
        A slide is measured on that the ranges were taken from, has no tissue or another resolution; slides to take
        ranges from are missing, or given where none are taken.
    """
    folder = request.zoo / request.name / request.version
    if folder.exists():
        raise OutputConflictError(
            f"The package {folder.parent.name}@{request.version} exists already.", "Give another."
        )
    network = read_verified(request.package, _check(request))
    whole = load_predictor(request.package, batch=1)
    held_out = _sample(request.held_out, request, whole)
    if request.to == "int8":
        calibration = _sample(request.calibration, request, whole)
        network = quantise_network(network, _feeds(request.package.manifest, calibration, input_names(network)))
    return _write(folder, request, network, (whole, held_out))


def _check(request: Request) -> FileSpec:
    """The network's file, where the request can be met."""
    manifest = request.package.manifest
    file = manifest.file("network")
    if manifest.runtime != "onnx" or file is None:
        raise RefusedInputError(f"{manifest.reference} holds no ONNX network.", "Convert it to ONNX first.")
    if made_of := manifest.recipe.get(MADE_OF):
        raise RefusedInputError(f"{manifest.reference} was made of {made_of} already.", f"Give {made_of}.")
    if bool(request.calibration) != (request.to == "int8"):
        raise ValueError(
            "8 bits take their ranges from slides: give --calibrate"
            if request.to == "int8"
            else "bfloat16 has the ranges of float32 and takes none from slides: leave --calibrate away"
        )
    same = {path.resolve() for path in request.calibration} & {path.resolve() for path in request.held_out}
    if same:
        raise ValueError(f"{sorted(same)[0].name} is held out and calibrated with: give different slides")
    return file


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
    draft = write_package(
        draft_folder, _fields(request, (), GoldenSpec(absolute_tolerance=1e3)), _files(request, network, ()), tile
    )
    try:
        reduced = load_predictor(draft, batch=1)
        cost = measure_cost(whole, reduced, held_out, request.data, TARGETS[request.to].compared)
        cost = tuple(metric.model_copy(update={"synthetic": request.synthetic}) for metric in cost)
        spec = _golden_spec(request.to, draft, (whole, reduced), tile)
        reduced.close()
    finally:
        for path in draft_folder.iterdir():
            path.unlink()
        draft_folder.rmdir()
    return write_package(folder, _fields(request, cost, spec), _files(request, network, cost), tile)


def _golden_spec(to: Name, draft: Package, networks: tuple[Predictor, Predictor], tile: GoldenTile) -> GoldenSpec:
    whole, reduced = networks
    if to == "bf16":
        largest, mean = _gaps(whole, reduced, tile)
        return GoldenSpec(
            absolute_tolerance=max(FEWEST_TOLERANCE, BFLOAT16_SLACK * largest),
            mean_tolerance=max(FEWEST_MEAN_TOLERANCE, BFLOAT16_MEAN_SLACK * mean),
        )
    try:
        other = load_predictor(draft, "openvino-cpu", batch=1)
    except ProviderUnavailableError:
        return GoldenSpec(absolute_tolerance=FEWEST_TOLERANCE)
    largest, _ = _gaps(reduced, other, tile)
    other.close()
    return GoldenSpec(absolute_tolerance=max(FEWEST_TOLERANCE, SLACK * largest))


def _gaps(first: Predictor, second: Predictor, tile: GoldenTile) -> tuple[float, float]:
    """How far two networks are apart on the golden tile: the largest difference, the largest mean of an output's."""
    one, two = (run_golden(predictor, tile.tile, tile.statistics) for predictor in (first, second))
    gaps = [np.abs(one[name] - two[name]) for name in one]
    return max(float(gap.max()) for gap in gaps), max(float(gap.mean()) for gap in gaps)


def _files(request: Request, network: bytes, cost: Sequence[Metric]) -> dict[str, tuple[Role, bytes]]:
    package = request.package
    kept: dict[str, tuple[Role, bytes]] = {
        spec.path: (spec.role, read_verified(package, spec))
        for spec in package.manifest.files
        if spec.role in ("calibrator", "other") and not spec.path.startswith("weights")
    }
    card = _card(request, cost)
    return kept | {_network_path(request): ("network", network), "card.md": ("card", card.encode())}


def _network_path(request: Request) -> str:
    """8 bits are another file; bfloat16 is the same one, under its name."""
    same = request.package.manifest.file("network")
    return "network-int8.onnx" if request.to == "int8" or same is None else same.path


def _fields(request: Request, cost: Sequence[Metric], golden: GoldenSpec) -> dict[str, Any]:
    manifest = request.package.manifest
    target, ranges = TARGETS[request.to], len(request.calibration)
    fields = manifest.model_dump(exclude={"files", "metrics", "golden", "analysis"})
    return fields | {
        "name": request.name,
        "version": request.version,
        "title": f"{manifest.title} ({target.title})",
        "precision": target.precision,
        "golden": golden,
        "metrics": tuple(cost),
        "recipe": manifest.recipe
        | {MADE_OF: manifest.reference, "quantised_from_manifest": request.package.manifest_sha256}
        | ({"quantised_with": f"{ranges} slides, {request.tiles} tiles each at most"} if ranges else {}),
    }


def _card(request: Request, cost: Sequence[Metric]) -> str:
    manifest, target = request.package.manifest, TARGETS[request.to]
    rows = [f"| {m.name} | {m.value:g} | {m.low:g} to {m.high:g} | {m.n} |" for m in cost]
    lines = [
        f"# {request.name} {request.version}",
        f"The network of `{manifest.reference}` {target.how} What the network was trained on, what it is for and what "
        f"it must not be used for stands in the card of `{manifest.reference}`; the numbers there are of float32.",
        "## What it costs",
        f"Against `{manifest.reference}`, tile by tile, on {request.data}{' (synthetic)' if request.synthetic else ''}"
        f"{'; the ranges were taken from other slides' if request.calibration else ''}.",
        "\n".join(["| measure | mean | 95 % interval over tiles | tiles |", "|---|---|---|---|", *rows]),
        target.differs,
        f"Licence: {manifest.licence}. {manifest.not_for}",
    ]
    return "\n\n".join(lines) + "\n"
