"""Networks on their runtimes. `load_predictor` is the one door: files checked, provider honest, golden tile run."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.golden import check_golden, read_golden
from models.manifest import Manifest, Precision
from models.predictor import Predictor
from models.registry import Package, read_verified, verify_files
from models.runtimes.bfloat16 import BFLOAT16_PROVIDERS
from models.runtimes.fastest import FASTEST, open_fastest
from models.runtimes.network import Input, Network, Runner, order_outputs
from models.runtimes.onnx_fixed import FixedStatistics, fix_input
from models.runtimes.onnx_part import input_names, keep_outputs, output_names

__all__ = ["PROVIDERS", "load_predictor", "possible_providers"]

PROVIDERS = {
    "onnx": ("onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu"),
    "torchscript": ("torchscript-cpu", "torchscript-cuda"),
}
"""What each kind of weights can run on in float32; the first is the default."""
STATISTICS = "statistics"
"""The one output of a calibrator."""


def load_predictor(
    package: Package,
    provider: str = "auto",
    tile_px: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    outputs: Collection[str] | None = None,
) -> Predictor:
    """A network that is proven to be the package's, to run where it was asked to, and to give its golden answer.

    `auto` is the first of `possible_providers`: the same on every machine, so that results do not depend on what is
    installed. `fastest` is what wins a short race here; the machine remembers it.

    Parameters
    ----------
    outputs
        Names of those that are wanted, None for all. Of an ONNX network what the others need is not even loaded; the
        golden tile proves those that are left.

    Raises
    ------
    PackageTamperedError, PackageInvalidError, ProviderUnavailableError, GoldenMismatchError
        As their names say.
    ValueError
        The network does not run with tiles of `tile_px`, batch or threads are not positive, or an output is unknown.
    """
    _check_tile(package, tile_px)
    if any(count is not None and count < 1 for count in (batch, threads)):
        raise ValueError(f"batch and threads are 1 or more, not {batch} and {threads}")
    wanted = _wanted_outputs(package.manifest, outputs)
    verify_files(package, but=("network",))
    grid = package.manifest.grid
    side = (tile_px or grid.tile_px) + 2 * grid.halo_px
    shape = (batch or grid.batch, side, side, 3)
    possible = possible_providers(package.manifest)
    if provider != FASTEST or len(possible) == 1:
        return _open(package, _choose_provider(package, provider), shape, threads, wanted)
    network = package.manifest.file("network")
    race = f"{network.sha256 if network else package.manifest_sha256} {shape} {threads}"
    if len(wanted) < len(package.manifest.outputs):
        race += " " + " ".join(wanted)
    return open_fastest(possible, race, lambda name: _open(package, name, shape, threads, wanted))


def possible_providers(manifest: Manifest) -> tuple[str, ...]:
    """What the package's network can run on in its precision; the first is the default."""
    return BFLOAT16_PROVIDERS if manifest.precision == "bfloat16" else PROVIDERS[manifest.runtime]


def _wanted_outputs(manifest: Manifest, outputs: Collection[str] | None) -> list[str]:
    names = [output.name for output in manifest.outputs]
    if outputs is None:
        return names
    if not outputs or not set(outputs) <= set(names):
        raise ValueError(f"{manifest.reference} has the outputs {', '.join(names)}, not {', '.join(sorted(outputs))}")
    return [name for name in names if name in outputs]


def _open(
    package: Package, provider: str, shape: tuple[int, int, int, int], threads: int | None, outputs: list[str]
) -> Predictor:
    """The network on that provider, its golden tile checked."""
    runner = _load(package, "network", provider, shape, threads, outputs)
    calibrator = None
    if package.manifest.statistics is not None:

        def calibrator(sample: tuple[int, int, int, int]) -> Runner:
            return _load(package, "calibrator", provider, sample, threads, [STATISTICS])

    predictor = Network(package.manifest, provider, shape, runner, calibrator, outputs)
    golden = read_golden(package)
    if golden is not None:
        check_golden(predictor, golden)
    return predictor


def _check_tile(package: Package, tile_px: int | None) -> None:
    grid = package.manifest.grid
    if tile_px is None or tile_px == grid.tile_px:
        return
    if grid.fixed_tile or tile_px <= 0 or tile_px % grid.align_px:
        allowed = f"{grid.tile_px} px only" if grid.fixed_tile else f"multiples of {grid.align_px} px"
        raise ValueError(f"{package.manifest.reference} runs with tiles of {allowed}, not {tile_px}")


def _choose_provider(package: Package, provider: str) -> str:
    possible = possible_providers(package.manifest)
    if provider == "auto" or (provider == FASTEST and len(possible) == 1):
        return possible[0]
    if provider in PROVIDERS[package.manifest.runtime] and provider not in possible:
        raise ProviderUnavailableError(
            f"{package.manifest.reference} is in {package.manifest.precision}, in which {provider} does not run it.",
            f"Ask for {', '.join(possible)}, or run the package in float32 that it was made of.",
        )
    if provider not in possible:
        raise ProviderUnavailableError(
            f"{package.manifest.reference} holds {package.manifest.runtime} weights, which {provider} does not run.",
            f"Ask for one of {', '.join((*possible, FASTEST))}.",
        )
    return provider


def _load(
    package: Package,
    role: str,
    provider: str,
    shape: tuple[int, int, int, int],
    threads: int | None,
    outputs: list[str],
) -> Runner:
    manifest = package.manifest
    file = manifest.file("network" if role == "network" else "calibrator")
    if file is None:
        raise PackageInvalidError(f"{manifest.reference} has no file with the role {role}.")
    data = read_verified(package, file)
    if provider.startswith("torchscript"):
        from models.runtimes.torchscript import load_torchscript

        # An archive is a program: all of it is run, and what is not wanted is dropped.
        return _pick(load_torchscript(data, provider, threads), _all_outputs(manifest, role), outputs)
    if outputs != (declared := _all_outputs(manifest, role)):
        order_outputs(output_names(data), declared)
        data = keep_outputs(data, outputs)
    inputs = _expected_inputs(manifest, role, shape)
    # Statistics are those of float32: a slide's are the same for both packages.
    load = _onnx_loader(provider, manifest.precision if role == "network" else "float32", outputs, threads)
    if len(inputs) == 1:
        return load(data, inputs)
    name = _statistics_name(data, manifest)
    return FixedStatistics(lambda values: load(fix_input(data, name, values), inputs[:1]))


def _onnx_loader(
    provider: str, precision: Precision, outputs: list[str], threads: int | None
) -> Callable[[bytes, list[Input]], Runner]:
    if provider.startswith("onnxruntime"):
        from models.runtimes.onnx_runtime import load_onnx

        return lambda data, inputs: load_onnx(data, provider, inputs, outputs, threads)
    from models.runtimes.openvino_cpu import load_openvino

    return lambda data, inputs: load_openvino(data, inputs, outputs, threads, precision)


def _statistics_name(data: bytes, manifest: Manifest) -> str:
    """The second input, after the image."""
    names = input_names(data)
    if len(names) != 2:
        raise PackageInvalidError(
            f"{manifest.reference} declares statistics; its network takes {', '.join(names)}, not image and statistics."
        )
    return names[1]


def _all_outputs(manifest: Manifest, role: str) -> list[str]:
    return [output.name for output in manifest.outputs] if role == "network" else [STATISTICS]


def _pick(run: Runner, found: list[str], wanted: list[str]) -> Runner:
    """The runner that answers with these outputs alone."""

    def picked(inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        answers = run(inputs)
        if len(answers) != len(found):
            raise PackageInvalidError(f"The network gives {len(answers)} outputs, its manifest names {len(found)}.")
        return [answers[found.index(name)] for name in wanted]

    return picked if wanted != found else run


def _expected_inputs(manifest: Manifest, role: str, shape: tuple[int, int, int, int]) -> list[Input]:
    """What the file must take: the image batch, and the statistics where the network has them as an input."""
    count, height, width, _ = shape
    if manifest.input.resize_px is not None:
        height = width = manifest.input.resize_px
    image = (count, height, width, 3) if manifest.input.layout == "NHWC" else (count, 3, height, width)
    inputs = [Input(image, manifest.input.dtype)]
    if manifest.statistics is not None and role == "network":
        inputs.append(Input((manifest.statistics.length,), "float32"))
    return inputs
