"""Packages are found by name and version, and their files cannot be other ones."""

import json
import os

import numpy as np
import pytest

from models.errors import PackageInvalidError, PackageTamperedError, PackageUnknownError
from models.registry import (
    MANIFEST_NAME,
    ZOO,
    find_analysis,
    list_packages,
    model_roots,
    read_package,
    read_verified,
    resolve,
    scan_packages,
    verify_files,
    version_key,
)
from tests.toy_predictor import toy_manifest


def install(root, name="toy", version="1.0.0", data=b"weights", **changes):
    """A package with one file that is no network: enough for the registry."""
    import hashlib

    folder = root / name / version
    folder.mkdir(parents=True)
    (folder / "network.onnx").write_bytes(data)
    document = toy_manifest().model_dump(mode="json")
    document |= {"name": name, "version": version}
    document["files"] = [
        {
            "path": "network.onnx",
            "role": "network",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
        }
    ]
    (folder / MANIFEST_NAME).write_text(json.dumps(document | changes))
    return folder


def test_the_newest_version_is_by_number(tmp_path):
    for version in ("1.9.0", "1.10.0", "1.2.30"):
        install(tmp_path, version=version)
    assert resolve("toy", (tmp_path,)).manifest.version == "1.10.0"
    assert resolve("toy@1.9.0", (tmp_path,)).manifest.version == "1.9.0"
    assert [p.manifest.version for p in list_packages((tmp_path,))] == ["1.2.30", "1.9.0", "1.10.0"]
    assert version_key("1.10.0") > version_key("1.9.9")


def test_a_folder_is_a_reference(tmp_path):
    folder = install(tmp_path)
    assert resolve(str(folder), ()).folder == folder


@pytest.mark.parametrize("reference", ["nothing", "toy@9.9.9", "toy@", "tissue/none"])
def test_an_unknown_name_lists_what_there_is(tmp_path, reference):
    install(tmp_path)
    install(tmp_path, name="tissue", version="0.1.0")
    if reference == "toy@":
        assert resolve(reference, (tmp_path,)).manifest.name == "toy"
        return
    with pytest.raises(PackageUnknownError, match=r"tissue@0\.1\.0, toy@1\.0\.0"):
        resolve(reference, (tmp_path,))


def test_no_packages_say_so(tmp_path):
    with pytest.raises(PackageUnknownError, match="installed: none"):
        resolve("toy", (tmp_path / "absent",))


def test_the_first_root_counts(tmp_path):
    install(tmp_path / "own", data=b"mine")
    install(tmp_path / "zoo", data=b"theirs")
    (package,) = list_packages((tmp_path / "own", tmp_path / "zoo"))
    assert package.path("network").read_bytes() == b"mine"
    assert package.path("card") is None


def test_roots_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOSERVE_MODEL_DIR", str(tmp_path))
    assert model_roots() == (tmp_path, ZOO)
    monkeypatch.delenv("HISTOSERVE_MODEL_DIR")
    assert model_roots() == (ZOO,)


def test_an_analysis_is_served_by_its_newest_package(tmp_path):
    install(tmp_path, version="1.0.0", analysis="mitosis")
    install(tmp_path, version="2.0.0", analysis="mitosis")
    assert find_analysis("mitosis", (tmp_path,)).manifest.version == "2.0.0"
    with pytest.raises(PackageUnknownError, match="served: mitosis"):
        find_analysis("ki67-he", (tmp_path,))


def test_a_broken_package_does_not_hide_the_others_and_is_told(tmp_path):
    install(tmp_path)
    broken = install(tmp_path, name="broken")
    (broken / MANIFEST_NAME).write_text('{"schema_version": 1}')
    packages, errors = scan_packages((tmp_path,))
    assert [p.manifest.name for p in packages] == ["toy"]
    assert "broken/1.0.0/model.json" in errors[0].detail
    assert str(tmp_path) not in errors[0].detail
    with pytest.raises(PackageUnknownError, match=r"Not valid: broken/1\.0\.0"):
        resolve("broken", (tmp_path,))


@pytest.mark.parametrize("text", ["", "[]", "not json", "{}", " " * 1_000_001])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    folder = install(tmp_path)
    (folder / MANIFEST_NAME).write_text(text)
    with pytest.raises(PackageInvalidError):
        read_package(folder)


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(PackageInvalidError, match=r"holds no model\.json"):
        read_package(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    folder = install(tmp_path)
    (folder / "network.onnx").unlink()
    with pytest.raises(PackageInvalidError, match=r"network\.onnx is missing"):
        read_package(folder)


def test_a_link_out_of_the_package_is_refused(tmp_path):
    folder = install(tmp_path / "models")
    secret = tmp_path / "secret"
    secret.write_bytes(b"weights")
    (folder / "network.onnx").unlink()
    os.symlink(secret, folder / "network.onnx")
    with pytest.raises(PackageInvalidError, match="leads out"):
        read_package(folder)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/b", ".hidden", ""])
def test_a_path_out_of_the_package_is_refused(tmp_path, path):
    folder = install(tmp_path)
    document = json.loads((folder / MANIFEST_NAME).read_text())
    document["files"][0]["path"] = path
    (folder / MANIFEST_NAME).write_text(json.dumps(document))
    with pytest.raises(PackageInvalidError, match="path"):
        read_package(folder)


@pytest.mark.parametrize("data", [b"weightz", b"weight", b"weights and more", b""])
def test_other_bytes_are_tampering(tmp_path, data):
    folder = install(tmp_path)
    package = read_package(folder)
    verify_files(package)
    (folder / "network.onnx").write_bytes(data)
    with pytest.raises(PackageTamperedError, match=r"network\.onnx"):
        verify_files(package)


def test_a_file_that_is_read_right_after_is_left_to_its_reader(tmp_path):
    package = read_package(install(tmp_path))
    (package.folder / "network.onnx").write_bytes(b"weightz")
    verify_files(package, but=("network",))
    with pytest.raises(PackageTamperedError, match=r"network\.onnx"):
        read_verified(package, package.manifest.file("network"))


def test_deterministic_archives():
    from models.packaging import deterministic_npz

    arrays = {"b": np.ones((2, 2), dtype=np.float32), "a": np.zeros(3, dtype=np.float32)}
    assert deterministic_npz(arrays) == deterministic_npz(dict(reversed(arrays.items())))


def test_a_broken_newest_version_is_not_passed_over(tmp_path):
    install(tmp_path, version="1.9.0")
    newest = install(tmp_path, version="1.10.0")
    older = install(tmp_path, version="1.2.0")
    (older / MANIFEST_NAME).write_text("{}")
    assert resolve("toy", (tmp_path,)).manifest.version == "1.10.0"
    (newest / MANIFEST_NAME).write_text("{}")
    with pytest.raises(PackageInvalidError, match=r"newest version of toy is not valid.*toy@1\.9\.0"):
        resolve("toy", (tmp_path,))
    assert resolve("toy@1.9.0", (tmp_path,)).manifest.version == "1.9.0"


def test_a_manifest_too_large_says_its_size(tmp_path):
    folder = install(tmp_path)
    (folder / MANIFEST_NAME).write_text(" " * 1_000_001)
    with pytest.raises(PackageInvalidError, match="1000001 bytes, more than 1000000"):
        read_package(folder)


def test_a_file_that_went_away_is_tampering(tmp_path):
    package = read_package(install(tmp_path))
    (package.folder / "network.onnx").unlink()
    with pytest.raises(PackageTamperedError, match=r"network\.onnx cannot be read"):
        verify_files(package)
