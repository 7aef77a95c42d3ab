"""The weights a package carries beside its network, for training to start from."""

import io
import zipfile
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError
from models.registry import Package, read_verified

WEIGHTS_NAME: Final = "weights.npz"
"""A file of the role `other`: one array for each entry of the network's state."""


def read_weights(package: Package) -> dict[str, NDArray[np.generic]]:
    """The arrays of a package's `weights.npz` by name, in order of name, proven to be the manifest's.

    Nothing of the file is run: it holds numbers alone, and a pickle in it is refused.

    Raises
    ------
    PackageInvalidError
        The package carries no weights, or the file holds anything but arrays of numbers.
    PackageTamperedError
        The file is not the one the manifest names.
    """
    reference = package.manifest.reference
    file = next((f for f in package.manifest.files if f.path == WEIGHTS_NAME and f.role == "other"), None)
    if file is None:
        raise PackageInvalidError(
            f"{reference} carries no {WEIGHTS_NAME}: training cannot start from it.",
            "Give a package that was exported with its weights.",
        )
    data = read_verified(package, file)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = sorted(archive.namelist())
            return {name.removesuffix(".npy"): _read_array(archive.read(name)) for name in names}
    except (ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise PackageInvalidError(
            f"{reference}: {WEIGHTS_NAME} holds no plain arrays: {error}.", "Export the package again."
        ) from error


def _read_array(data: bytes) -> NDArray[np.generic]:
    array: NDArray[np.generic] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array
