"""A DeepLIIF model folder becomes a package: its networks as ONNX, with a manifest that says which mode they run in.

Nothing of the folder is run: options are literals, weights are read as numbers and put into networks of our own.

References
----------
Ghahremani et al., doi:10.1038/s42256-022-00471-x.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.importers.deepliif.convert import Converted, Mode, Sides, convert_plan, radius_of, read_generator, stride_of
from models.importers.deepliif.facts import backgrounds_of, model_facts
from models.importers.deepliif.layout import Layout, read_layout
from models.importers.deepliif.plan import MASK, Plan, plan_outputs, shows
from models.manifest import GridSpec, InputSpec, OutputSpec, Paper, Role, StatisticsSpec
from models.manifest_part import Name, Version
from models.measures_spec import IhcCellsMeasure
from models.nets.shapes import Shape
from models.packaging import GoldenTile, write_package
from models.registry import Package

DESCRIPTION = "deepliif.json"
MPP, MPP_MIN, MPP_MAX = 0.25, 0.125, 1.1
"""DeepLIIF is made for 40x; it enlarges pictures of 20x and 10x to it."""
FINE_MPP, COARSE_MPP = 0.35, 0.7
"""Finer than the first is called 40x, finer than the second 20x."""
ANALYSIS, MARKER = "deepliif", "marker"
HALO_LIMIT_PX, TILE_PX = 512, 1024
"""Of `exact`. A pixel of U-Net 512 depends on what lies up to 1533 px away: a halo for all of that cannot be paid."""
SAMPLE_PX, SAMPLE_TILES = 1024, 4
GOLDEN_TOLERANCE = 5e-3
"""Twenty layers, each normalised by what its runtime summed in its own order."""
PAPER = Paper(
    title="Deep learning-inferred multiplex immunofluorescence for immunohistochemical image quantification",
    doi="10.1038/s42256-022-00471-x",
)


@dataclass(frozen=True)
class Request:
    """What is wanted of a model folder."""

    name: str
    version: str = "1.0.0"
    mode: Mode = "compat"
    only: tuple[str, ...] = ()
    """Outputs; all where none are named."""
    uniform_weights: bool = False
    """The mask's weights of DeepLIIF's whole-slide commands instead of those of its `test`."""
    epoch: str = "latest"
    tile_px: int | None = None
    halo_px: int | None = None
    """Of `exact` alone."""
    licence: str = "not stated"


@dataclass(frozen=True)
class _Import:
    """One import: what was wanted, what was found, what is run and how."""

    request: Request
    layout: Layout
    plan: Plan
    shapes: dict[str, Shape]
    grid: GridSpec

    @property
    def radius_px(self) -> int:
        """How far a pixel sees."""
        return radius_of(self.shapes, self.plan)


def import_deepliif(source: Path, out: Path, request: Request) -> Package:
    """The package made of a DeepLIIF model folder, written to `out / name / version` and run on its golden tile.

    Raises
    ------
    PackageInvalidError
        The folder is not one of a supported model, or a network is not what its weights say.
    ProviderUnavailableError
        torch or onnx is not installed.
    OutputConflictError
        There is such a package already.
    """
    _check(request)
    layout = read_layout(source, request.epoch)
    plan = plan_outputs(layout, request.only, request.uniform_weights)
    generators = {net: read_generator(layout.files[net], net) for net in plan.nets}
    shapes = {net: shape for net, (shape, _) in generators.items()}
    grid = _grid(layout, plan, shapes, request)
    sides = Sides(grid.tile_px + 2 * grid.halo_px, max(SAMPLE_PX, stride_of(shapes, plan)))
    converted = convert_plan({net: module for net, (_, module) in generators.items()}, plan, request.mode, sides)
    return _write(out, _Import(request, layout, plan, shapes, grid), sides, converted)


def cells_measures(names: Sequence[str], mpp: float) -> tuple[IhcCellsMeasure, ...]:
    """The cells of the mask, with the marker where the package makes it; nothing where it makes no mask."""
    if MASK not in names:
        return ()
    resolution: Literal["10x", "20x", "40x"] = "40x" if mpp < FINE_MPP else "20x" if mpp < COARSE_MPP else "10x"
    return (IhcCellsMeasure(output=MASK, marker=MARKER if MARKER in names else None, resolution=resolution),)


def synthetic_ihc(side_px: int) -> NDArray[np.uint8]:
    """A made picture of blue and brown nuclei on a pale ground, uint8 (side, side, 3), the same every time."""
    generator = np.random.default_rng(20220728)
    picture = np.full((side_px, side_px, 3), (222.0, 218.0, 226.0))
    rows, columns = np.mgrid[:side_px, :side_px]
    for index in range(max(4, side_px**2 // 2600)):
        y, x = generator.uniform(0, side_px, 2)
        radius = generator.uniform(6, 14)
        top, left = max(0, int(y - 16)), max(0, int(x - 16))
        box = (slice(top, int(y + 16)), slice(left, int(x + 16)))
        inside = (rows[box] - y) ** 2 + (columns[box] - x) ** 2 < radius**2
        picture[box][inside] = (120, 75, 45) if index % 3 == 0 else (110, 120, 175)
    return np.clip(picture + generator.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def _check(request: Request) -> None:
    """Refuse what the manifest would refuse, and what cannot be run, before anything is read."""
    for what, value, pattern in (("name", request.name, Name), ("version", request.version, Version)):
        try:
            TypeAdapter(pattern).validate_python(value)
        except ValidationError as error:
            raise PackageInvalidError(
                f"{value!r} is no package {what}.", "Names are a-z, 0-9 and dashes; versions are like 1.0.0."
            ) from error
    if request.mode == "compat" and (request.tile_px is not None or request.halo_px is not None):
        raise PackageInvalidError(
            "In compat the tile is the model's own.", "Leave tile and halo out, or ask for exact."
        )
    try:
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ProviderUnavailableError(
            f"Converting needs {error.name}, which is not installed.", "Install histoserve[train] to import."
        ) from error


def _grid(layout: Layout, plan: Plan, shapes: dict[str, Shape], request: Request) -> GridSpec:
    """`compat`: DeepLIIF's tile and its margin of a sixteenth; `exact`: a halo for all a pixel sees, or the limit."""
    stride = stride_of(shapes, plan)
    placement: Literal["grid", "clamped"]
    if request.mode == "compat":
        side = layout.scale_size_px
        if side % stride:
            raise PackageInvalidError(f"The networks take sides in multiples of {stride} px, scale_size is {side}.")
        halo, tile = side // 16, side - 2 * (side // 16)
        align, placement = 1, "clamped"
    else:
        align, placement = stride, "grid"
        halo = exact_halo_px(radius_of(shapes, plan), stride) if request.halo_px is None else request.halo_px
        tile = request.tile_px or TILE_PX
        if halo < 0 or tile <= 0 or halo % stride or tile % stride:
            raise PackageInvalidError(f"Tile and halo must be multiples of {stride} px, not {tile} and {halo}.")
    try:
        return GridSpec(
            mpp=MPP,
            mpp_min=MPP_MIN,
            mpp_max=MPP_MAX,
            tile_px=tile,
            halo_px=halo,
            align_px=align,
            fixed_tile=True,
            placement=placement,
        )
    except ValidationError as error:
        raise PackageInvalidError(f"Tiles of {tile} px with a halo of {halo} px cannot be run.") from error


def exact_halo_px(radius_px: int, stride_px: int) -> int:
    """The receptive radius on the stride grid, but `HALO_LIMIT_PX` at most."""
    return min(-(-radius_px // stride_px) * stride_px, max(HALO_LIMIT_PX, stride_px))


def _facts(of: _Import) -> dict[str, Any]:
    """What a reader of the package's answers must know beside the manifest: `deepliif.json`."""
    return {
        "mode": of.request.mode,
        "radius_px": of.radius_px,
        "halo_px": of.grid.halo_px,
        "weights": "uniform" if of.request.uniform_weights else "options",
    } | model_facts(of.layout, of.plan, of.shapes)


def _outputs(of: _Import) -> tuple[OutputSpec, ...]:
    """`compat` makes bytes as DeepLIIF does, and answers empty tiles flat where the colours of all are known."""
    titles = {modality.net: modality.name for modality in of.layout.modalities}
    is_compat, colours = of.request.mode == "compat", backgrounds_of(of.layout, of.plan)
    is_flat = is_compat and None not in colours.values()
    return tuple(
        OutputSpec(
            name=name,
            kind="image",
            activation="tanh",
            channels=3,
            virtual=shows(titles.get(net, name), net),
            cut_off=is_compat,
            empty=colours[name] if is_flat else None,
        )
        for name, net in of.plan.outputs
    )


def _write(out: Path, of: _Import, sides: Sides, converted: Converted) -> Package:
    folder = out / of.request.name / of.request.version
    files: dict[str, tuple[Role, bytes]] = {
        "network.onnx": ("network", converted.network),
        "card.md": ("card", _card(of).encode()),
        DESCRIPTION: ("other", (json.dumps(_facts(of), indent=2) + "\n").encode()),
    }
    fields = _fields(of)
    if converted.calibrator is None:
        return write_package(folder, fields, files, GoldenTile(synthetic_ihc(sides.run_px)))
    files["calibrator.onnx"] = ("calibrator", converted.calibrator)
    fields["statistics"] = StatisticsSpec(
        length=converted.statistics, sample_tiles=SAMPLE_TILES, sample_px=sides.sample_px
    )
    statistics = _calibrate(converted.calibrator, synthetic_ihc(sides.sample_px))
    # In a corner of white, and compared a halo away from it: less to store than the whole large tile.
    golden_px = min(sides.run_px, of.grid.halo_px + max(256, of.grid.align_px))
    return write_package(folder, fields, files, GoldenTile(synthetic_ihc(golden_px), statistics))


def _calibrate(calibrator: bytes, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Statistics of the golden tile, taken by the calibrator that the package carries."""
    from models.runtimes.network import Input
    from models.runtimes.onnx_runtime import load_onnx

    run = load_onnx(calibrator, "onnxruntime-cpu", [Input((1, *tile.shape), "uint8")], ["statistics"], None)
    return run([tile[np.newaxis]])[0]


def _fields(of: _Import) -> dict[str, Any]:
    request, outputs = of.request, _outputs(of)
    return {
        "name": request.name,
        "version": request.version,
        "title": f"{of.layout.kind}, imported, {request.mode}: {', '.join(output.name for output in outputs)}",
        "task": "multi-output" if len(outputs) > 1 else "image-to-image",
        "stain": "ihc-dab",
        "runtime": "onnx",
        "grid": of.grid,
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": outputs,
        "measures": cells_measures([output.name for output in outputs], of.grid.mpp),
        "analysis": ANALYSIS if MASK in {output.name for output in outputs} else None,
        "golden": {"absolute_tolerance": GOLDEN_TOLERANCE},
        "licence": request.licence,
        "training_data": ("not stated in the model folder",),
        "intended_use": "As its authors state.",
        "papers": (PAPER,),
        "recipe": {
            "imported_from": "deepliif",
            "mode": request.mode,
            "nets": ", ".join(of.plan.nets),
            "mask": " + ".join(f"{t.weight:g} {t.net}" for t in of.plan.terms) or "none",
            "weights": "uniform" if request.uniform_weights else "options",
            "radius_px": str(of.radius_px),
        },
    }


def _card(of: _Import) -> str:
    mask = " + ".join(f"{t.weight:g} {t.net}({t.source or 'IHC'})" for t in of.plan.terms) or "none"
    lines = [
        f"# {of.request.name}",
        f"Imported from a DeepLIIF model folder: {', '.join(of.plan.nets)}. Outputs: "
        f"{', '.join(name for name, _ in of.plan.outputs)}. Mask: {mask}.",
        _mode_of(of),
        f"Licence: {of.request.licence}. Weights published by the authors of DeepLIIF are under a licence of their own "
        "that allows no commercial use; whoever imports them keeps to it. Training data and accuracy were not stated "
        "in the folder. Research use only. Not for diagnosis.",
    ]
    return "\n\n".join(lines) + "\n"


def _mode_of(of: _Import) -> str:
    if of.request.mode == "compat":
        return (
            "Mode compat: every tile is normalised by its own statistics and lies where DeepLIIF lays it. Answers "
            "depend on where tiles lie; edges of tiles may show."
        )
    halo = of.grid.halo_px
    seen = "all of it lies in the halo" if halo >= of.radius_px else f"the halo is {halo} px, the rest is not seen"
    return (
        "Mode exact: statistics are fitted once per slide and held still. A pixel depends on what lies up to "
        f"{of.radius_px} px away; {seen}. Cells and scores differ from DeepLIIF's own."
    )
