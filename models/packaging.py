"""Writes a model package: files, digests, golden tile, manifest, whole or not at all."""

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import OutputConflictError
from models.golden import run_golden
from models.manifest import FileSpec, Manifest, Role
from models.predictor import Statistics
from models.registry import MANIFEST_NAME, Package, read_package
from models.runtimes import load_predictor


@dataclass(frozen=True, eq=False)
class GoldenTile:
    """The tile whose answer is recorded, and the statistics it is answered with where the network needs them."""

    tile: NDArray[np.uint8]
    statistics: Statistics | None = None


def write_package(
    folder: Path, fields: dict[str, Any], files: dict[str, tuple[Role, bytes]], golden: GoldenTile
) -> Package:
    """The package written to `folder`, its golden answer taken from the network itself and run once more.

    Parameters
    ----------
    fields
        The manifest without `files`.
    files
        Name to (role, bytes): the network, the calibrator if there is one, the card.
    golden
        uint8, (H, W, 3), on the network's stride grid.

    Raises
    ------
    OutputConflictError
        The folder exists already: versions are never overwritten.
    """
    if folder.exists():
        raise OutputConflictError(f"The package {folder.name} exists already.", "Give another version or folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".package-") as temporary:
        whole = files | _golden_inputs(golden)
        draft = _write(Path(temporary) / "draft", fields, files)
        predictor = load_predictor(draft)
        answers = run_golden(predictor, golden.tile, golden.statistics)
        predictor.close()
        whole["golden-output.npz"] = ("golden-output", deterministic_npz(answers))
        package = _write(Path(temporary) / "package", fields, whole)
        load_predictor(package).close()
        _appear(package.folder, folder)
    return read_package(folder)


def deterministic_npz(arrays: dict[str, NDArray[np.float32]]) -> bytes:
    """An .npz whose bytes depend on the arrays alone: no time stamps."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy_bytes(arrays[name]), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    """An array as the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _golden_inputs(golden: GoldenTile) -> dict[str, tuple[Role, bytes]]:
    inputs: dict[str, tuple[Role, bytes]] = {"golden-input.npy": ("golden-input", npy_bytes(golden.tile))}
    if golden.statistics is not None:
        inputs["golden-statistics.npy"] = ("golden-statistics", npy_bytes(golden.statistics))
    return inputs


def _appear(written: Path, folder: Path) -> None:
    """Rename: another one of that name, written in the meantime, is neither replaced nor mixed up with this one."""
    try:
        written.rename(folder)
    except OSError as error:
        raise OutputConflictError(
            f"The package {folder.name} could not be put in its place: {error.strerror}.", "Look at what is there."
        ) from error


def _write(folder: Path, fields: dict[str, Any], files: dict[str, tuple[Role, bytes]]) -> Package:
    specs = [
        FileSpec(path=name, role=role, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
        for name, (role, data) in files.items()
    ]
    manifest = Manifest.model_validate(fields | {"files": specs})
    folder.mkdir()
    for name, (_, data) in files.items():
        (folder / name).write_bytes(data)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n"
    (folder / MANIFEST_NAME).write_text(text)
    return read_package(folder)
