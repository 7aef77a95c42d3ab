"""Weights beside a network: what was packed comes back, and nothing else is read."""

import io
import zipfile

import numpy as np
import pytest

from models.errors import PackageInvalidError, PackageTamperedError
from models.packaging import GoldenTile, deterministic_npz, write_package
from models.weights import WEIGHTS_NAME, read_weights
from tests.unit.models.test_packaging import TILE, fields, files

STATE = {"features.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "norm.count": np.array(7, np.int64)}


def package_with(folder, data, name=WEIGHTS_NAME):
    return write_package(folder / "toy" / "1.0.0", fields(), files() | {name: ("other", data)}, GoldenTile(TILE))


def test_weights_come_back_as_they_were(tmp_path):
    found = read_weights(package_with(tmp_path, deterministic_npz(STATE)))
    assert list(found) == sorted(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_package_without_weights_says_so(tmp_path):
    package = package_with(tmp_path, b"", name="notes.txt")
    with pytest.raises(PackageInvalidError, match=r"toy@1\.0\.0 carries no weights\.npz"):
        read_weights(package)


def test_altered_weights_are_not_read(tmp_path):
    package = package_with(tmp_path, deterministic_npz(STATE))
    path = package.folder / WEIGHTS_NAME
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(PackageTamperedError, match=WEIGHTS_NAME):
        read_weights(package)


def pickled():
    buffer = io.BytesIO()
    np.savez(buffer, state=np.array({"a": 1}, dtype=object))
    return buffer.getvalue()


def not_arrays():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("state.npy", b"no array")
    return buffer.getvalue()


def bare_array():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [pickled(), not_arrays(), bare_array(), b"no zip", b"PK\x03\x04"])
def test_anything_but_arrays_is_refused(tmp_path, data):
    with pytest.raises(PackageInvalidError, match="plain arrays"):
        read_weights(package_with(tmp_path, data))
