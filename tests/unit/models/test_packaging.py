"""Packages are written whole or not at all."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from models.errors import OutputConflictError, PackageInvalidError
from models.packaging import GoldenTile, write_package
from models.registry import MANIFEST_NAME, verify_files
from tests.toy_predictor import toy_manifest

TILE = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
SIDES = ["batch", 3, "height", "width"]


def network(output: str = "out") -> bytes:
    """The tile itself, as a graph built by hand."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, SIDES)
    answer = helper.make_tensor_value_info(output, TensorProto.FLOAT, SIDES)
    graph = helper.make_graph([helper.make_node("Neg", ["image"], [output])], "toy", [image], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def fields(**changes) -> dict:
    document = toy_manifest(tile_px=16, halo_px=0).model_dump(mode="json")
    del document["files"]
    return document | {"input": {"layout": "NCHW"}} | changes


def files(**changes) -> dict:
    return {"network.onnx": ("network", network()), "card.md": ("card", b"# toy\n")} | changes


def write(folder, **changes):
    return write_package(folder, fields(), files(**changes), GoldenTile(TILE))


def test_a_package_holds_what_its_manifest_names(tmp_path):
    package = write(tmp_path / "toy" / "1.0.0")
    verify_files(package)
    on_disk = {path.name for path in package.folder.iterdir()}
    assert on_disk == {file.path for file in package.manifest.files} | {MANIFEST_NAME}
    assert json.loads((package.folder / MANIFEST_NAME).read_text())["name"] == "toy"
    np.testing.assert_array_equal(np.load(package.path("golden-input")), TILE)
    with np.load(package.path("golden-output")) as answers:
        np.testing.assert_allclose(answers["out"], TILE.transpose(2, 0, 1) / -255, rtol=1e-6)


@pytest.mark.parametrize("name", ["../network.onnx", "a/b.onnx", ".hidden", ""])
def test_a_file_outside_of_the_package_is_refused_before_it_is_written(tmp_path, name):
    with pytest.raises(ValidationError, match="path"):
        write(tmp_path / "toy" / "1.0.0", **{name: ("other", b"x")})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_network_that_does_not_fit_leaves_nothing(tmp_path):
    with pytest.raises(PackageInvalidError, match="its manifest names out"):
        write(tmp_path / "toy" / "1.0.0", **{"network.onnx": ("network", network("other"))})
    assert list((tmp_path / "toy").iterdir()) == []


def test_a_version_is_never_overwritten(tmp_path):
    folder = tmp_path / "toy" / "1.0.0"
    before = write(folder).manifest_sha256
    with pytest.raises(OutputConflictError, match="exists already"):
        write(folder, **{"card.md": ("card", b"another")})
    assert write_package(tmp_path / "again", fields(), files(), GoldenTile(TILE)).manifest_sha256 == before


def test_a_package_that_appeared_meanwhile_is_left_alone(tmp_path, monkeypatch):
    folder = tmp_path / "toy" / "1.0.0"
    from models import packaging

    golden = packaging.run_golden

    def someone_else_is_faster(*arguments):
        folder.mkdir()
        (folder / "theirs").write_text("theirs")
        return golden(*arguments)

    monkeypatch.setattr(packaging, "run_golden", someone_else_is_faster)
    with pytest.raises(OutputConflictError, match="could not be put in its place"):
        write(folder)
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]
