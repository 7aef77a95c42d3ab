"""The golden tile: a network must reproduce its recorded answer before it may be used.

The tile may be smaller than the shape a network is loaded with: it is laid into the upper left corner of a white
batch, and what lies a halo away from its right and lower border is compared. Networks of one fixed size are compared
whole. A network that was loaded for some of its outputs is proven by these, which are all that is used of it.
"""

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import GoldenMismatchError, InternalError, PackageInvalidError
from models.manifest import FileSpec, GridSpec, OutputSpec
from models.predictor import Maps, Predictor, Statistics
from models.registry import Package, read_verified

LONE = ""
Golden = tuple[NDArray[np.uint8], Maps, Statistics | None]


def read_golden(package: Package) -> Golden | None:
    """(tile uint8 (H, W, 3), recorded outputs by name, statistics or None); None where the package has none.

    Raises
    ------
    PackageInvalidError
        Only a part of it is there, or it is no tile and no answers.
    """
    manifest = package.manifest
    tile_file, answer_file = manifest.file("golden-input"), manifest.file("golden-output")
    if tile_file is None and answer_file is None:
        return None
    statistics_file = manifest.file("golden-statistics")
    if tile_file is None or answer_file is None or (statistics_file is None) != (manifest.statistics is None):
        raise PackageInvalidError(f"{manifest.reference}: the golden tile is not whole.")
    tile = _arrays(package, tile_file).get(LONE)
    if tile is None or tile.dtype != np.uint8 or tile.ndim != 3 or tile.shape[2] != 3:
        raise PackageInvalidError(f"{manifest.reference}: the golden tile is not one array of uint8 (H, W, 3).")
    statistics = None if statistics_file is None else _arrays(package, statistics_file).get(LONE)
    return tile, _arrays(package, answer_file), statistics


def _arrays(package: Package, file: FileSpec) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name, or the one of an .npy as `LONE`; pickled objects are refused."""
    data = read_verified(package, file)
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {LONE: loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise PackageInvalidError(f"{package.manifest.reference}: {file.path} holds no arrays.") from error


def run_golden(predictor: Predictor, tile: NDArray[np.uint8], statistics: Statistics | None) -> Maps:
    """The network's answers for the golden tile, cut to what may be compared, by output name.

    Raises
    ------
    PackageInvalidError
        The network cannot run it.
    """
    _, height, width, _ = predictor.batch_shape
    batch = np.full(predictor.batch_shape, 255, dtype=np.uint8)
    cut = tile[:height, :width]
    batch[0, : cut.shape[0], : cut.shape[1]] = cut
    try:
        raw = predictor.predict(batch, statistics)
    except (InternalError, ValueError) as error:
        raise PackageInvalidError(
            f"{predictor.manifest.reference} cannot run its golden tile in batches of {batch.shape}: {error}"
        ) from error
    grid = predictor.manifest.grid
    whole = tile.shape[:2] == (height, width)
    outputs = [output for output in predictor.manifest.outputs if output.name in raw]
    return {o.name: _comparable(raw[o.name][0], o, grid, cut.shape[:2], whole) for o in outputs}


def check_golden(predictor: Predictor, golden: Golden) -> float:
    """The largest absolute difference to the recorded answers.

    Raises
    ------
    GoldenMismatchError
        It, or the mean difference in an output, is above the manifest's tolerance.
    PackageInvalidError
        There is nothing to compare: an output has no recorded answer, or the tile is within its halo.
    """
    tile, recorded, statistics = golden
    worst = mean = 0.0
    for name, answer in run_golden(predictor, tile, statistics).items():
        if name not in recorded:
            raise PackageInvalidError(f"{predictor.manifest.reference}: the golden tile has no output {name}.")
        if recorded[name].ndim != 3 or len(recorded[name]) != len(answer):
            raise PackageInvalidError(
                f"{predictor.manifest.reference}: the golden answer of {name} has the shape {recorded[name].shape}, "
                f"not ({len(answer)}, h, w)."
            )
        height, width = (min(a, b) for a, b in zip(answer.shape[1:], recorded[name].shape[1:], strict=True))
        difference = np.abs(answer[:, :height, :width] - recorded[name][:, :height, :width])
        if difference.size == 0:
            raise PackageInvalidError(
                f"{predictor.manifest.reference}: the golden tile is too small to be compared in {name}.",
                "It must be larger than the halo.",
            )
        worst = max(worst, float(difference.max()) if np.isfinite(difference).all() else float("inf"))
        mean = max(mean, float(difference.mean()))
    allowed = predictor.manifest.golden
    _refuse_above(allowed.absolute_tolerance, worst, predictor)
    if allowed.mean_tolerance is not None:
        _refuse_above(allowed.mean_tolerance, mean, predictor, " on average")
    return worst


def _refuse_above(tolerance: float, found: float, predictor: Predictor, how: str = "") -> None:
    if found > tolerance:
        raise GoldenMismatchError(
            f"{predictor.manifest.reference} on {predictor.provider} differs from its golden tile by {found:.3g}{how}, "
            f"allowed is {tolerance:.3g}.",
            "Use another --provider, and report this machine.",
        )


def _comparable(
    raw: NDArray[np.float32], output: OutputSpec, grid: GridSpec, size: tuple[int, ...], whole: bool
) -> NDArray[np.float32]:
    if whole:
        return raw
    height, width = (max(0, side - grid.halo_px - output.inset_px) // output.stride_px for side in size)
    return raw[:, :height, :width]
