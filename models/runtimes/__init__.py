"""Networks on their runtimes. `load_predictor` is the one door: files checked, provider honest, golden tile run."""

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.golden import check_golden, read_golden
from models.manifest import Manifest
from models.predictor import Predictor
from models.registry import Package, read_verified, verify_files
from models.runtimes.fastest import FASTEST, open_fastest
from models.runtimes.network import Input, Network, Runner

__all__ = ["PROVIDERS", "load_predictor"]

PROVIDERS = {
    "onnx": ("onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu"),
    "torchscript": ("torchscript-cpu", "torchscript-cuda"),
}
"""What each kind of weights can run on; the first is the default."""


def load_predictor(
    package: Package,
    provider: str = "auto",
    tile_px: int | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> Predictor:
    """A network that is proven to be the package's, to run where it was asked to, and to give its golden answer.

    `auto` is the first of `PROVIDERS`: the same on every machine, so that results do not depend on what is installed.
    `fastest` is what wins a short race here; the machine remembers it.

    Raises
    ------
    PackageTamperedError, PackageInvalidError, ProviderUnavailableError, GoldenMismatchError
        As their names say.
    ValueError
        The network does not run with tiles of `tile_px`, or batch or threads are not positive.
    """
    _check_tile(package, tile_px)
    if any(count is not None and count < 1 for count in (batch, threads)):
        raise ValueError(f"batch and threads are 1 or more, not {batch} and {threads}")
    verify_files(package)
    grid = package.manifest.grid
    side = (tile_px or grid.tile_px) + 2 * grid.halo_px
    shape = (batch or grid.batch, side, side, 3)
    if provider != FASTEST:
        return _open(package, _choose_provider(package, provider), shape, threads)
    network = package.manifest.file("network")
    race = f"{network.sha256 if network else package.manifest_sha256} {shape} {threads}"
    possible = PROVIDERS[package.manifest.runtime]
    return open_fastest(possible, race, lambda name: _open(package, name, shape, threads))


def _open(package: Package, provider: str, shape: tuple[int, int, int, int], threads: int | None) -> Predictor:
    """The network on that provider, its golden tile checked."""
    runner = _load(package, "network", provider, shape, threads)
    calibrator = None
    if package.manifest.statistics is not None:

        def calibrator(sample: tuple[int, int, int, int]) -> Runner:
            return _load(package, "calibrator", provider, sample, threads)

    predictor = Network(package.manifest, provider, shape, runner, calibrator)
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
    possible = PROVIDERS[package.manifest.runtime]
    if provider == "auto":
        return possible[0]
    if provider not in possible:
        raise ProviderUnavailableError(
            f"{package.manifest.reference} holds {package.manifest.runtime} weights, which {provider} does not run.",
            f"Ask for one of {', '.join((*possible, FASTEST))}.",
        )
    return provider


def _load(package: Package, role: str, provider: str, shape: tuple[int, int, int, int], threads: int | None) -> Runner:
    manifest = package.manifest
    file = manifest.file("network" if role == "network" else "calibrator")
    if file is None:
        raise PackageInvalidError(f"{manifest.reference} has no file with the role {role}.")
    data = read_verified(package, file)
    if provider.startswith("torchscript"):
        from models.runtimes.torchscript import load_torchscript

        return load_torchscript(data, provider, threads)
    inputs = _expected_inputs(manifest, role, shape)
    outputs = [output.name for output in manifest.outputs] if role == "network" else ["statistics"]
    if provider.startswith("onnxruntime"):
        from models.runtimes.onnx_runtime import load_onnx

        return load_onnx(data, provider, inputs, outputs, threads)
    from models.runtimes.openvino_cpu import load_openvino

    return load_openvino(data, inputs, outputs, threads)


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
