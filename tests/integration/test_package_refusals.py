"""A package that does not fit its network is refused with a reason, on every runtime, before a slide is touched."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
from torch import nn

from models.errors import InternalError, PackageInvalidError, ProviderUnavailableError
from models.packaging import deterministic_npz, npy_bytes
from models.runtimes import load_predictor
from tests.packages_made import RECIPES, make_package, rewritten, tissue_like

NETWORK_OF = {"onnxruntime-cpu": "fcn8", "openvino-cpu": "fcn8", "torchscript-cpu": "scripted"}
ONNX = ("onnxruntime-cpu", "openvino-cpu")


class Ratio(nn.Module):
    """The tile over its own mean: no number for a black one."""

    def forward(self, image):
        return image / image.mean(dim=(1, 2, 3), keepdim=True)


def takes_bytes(manifest):
    manifest["input"] |= {"dtype": "uint8", "scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]}


def takes_channels_last(manifest):
    manifest["input"]["layout"] = "NHWC"


def nothing(manifest):
    """Leave the manifest as it is."""


@pytest.mark.parametrize("provider", NETWORK_OF)
@pytest.mark.parametrize("change", [takes_bytes, takes_channels_last])
def test_inputs_other_than_the_networks(made_package, tmp_path, provider, change):
    other = rewritten(made_package(NETWORK_OF[provider]), tmp_path / "other", change)
    with pytest.raises(PackageInvalidError):
        load_predictor(other, provider, threads=1)


@pytest.mark.parametrize("provider", ONNX)
def test_statistics_the_manifest_does_not_know_of(made_package, tmp_path, provider):
    def forgets(manifest):
        manifest["statistics"] = None
        manifest["files"] = [file for file in manifest["files"] if file["role"] != "golden-statistics"]

    other = rewritten(made_package("frozen"), tmp_path / "other", forgets)
    with pytest.raises(PackageInvalidError, match="manifest"):
        load_predictor(other, provider, threads=1)


@pytest.mark.parametrize("provider", ONNX)
def test_outputs_are_found_by_name(made_package, provider):
    predictor = load_predictor(made_package("heads"), provider, threads=1)
    tiles = np.stack([tissue_like(predictor.batch_shape[1], seed) for seed in range(2)])
    answers, picture = predictor.predict(tiles), tiles.transpose(0, 3, 1, 2) / 255
    assert list(answers) == ["negative", "picture"]
    np.testing.assert_allclose(answers["picture"], picture, atol=1e-6)
    np.testing.assert_allclose(answers["negative"], 1 - picture, atol=1e-6)


@pytest.mark.parametrize("provider", ONNX)
def test_an_output_of_another_name(made_package, tmp_path, provider):
    def renames(manifest):
        manifest["outputs"][0]["name"] = "other"

    other = rewritten(made_package("heads"), tmp_path / "other", renames)
    with pytest.raises(PackageInvalidError, match="outputs are picture, negative; its manifest names other, picture"):
        load_predictor(other, provider, threads=1)


@pytest.fixture(scope="module")
def ratio_package(tmp_path_factory):
    """A function from a runtime to the package of `Ratio`."""
    folder = tmp_path_factory.mktemp("ratio")
    recipe = replace(RECIPES["identity"], name="ratio", build=Ratio)
    return cache(lambda runtime: make_package(folder / runtime, replace(recipe, runtime=runtime)))


@pytest.mark.parametrize("provider", NETWORK_OF)
def test_what_is_no_number_is_not_class_0(ratio_package, provider):
    runtime = "torchscript" if provider.startswith("torchscript") else "onnx"
    predictor = load_predictor(ratio_package(runtime), provider, threads=1)
    tiles = np.full(predictor.batch_shape, 100, dtype=np.uint8)
    np.testing.assert_allclose(predictor.predict(tiles)["out"], 1, rtol=1e-4)
    tiles[1] = 0
    with pytest.raises(InternalError, match="no numbers"):
        predictor.predict(tiles)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("golden-input.npy", b"junk", "holds no arrays"),
        ("golden-input.npy", b"", "holds no arrays"),
        ("golden-input.npy", npy_bytes(np.zeros((80, 80), np.uint8)), r"uint8 \(H, W, 3\)"),
        ("golden-input.npy", npy_bytes(np.zeros((80, 80, 3), np.float32)), r"uint8 \(H, W, 3\)"),
        ("golden-output.npz", b"PK junk", "holds no arrays"),
        ("golden-output.npz", deterministic_npz({"other": np.zeros((3, 8, 8), np.float32)}), "no output out"),
        ("golden-output.npz", deterministic_npz({"out": np.zeros((1, 8, 8), np.float32)}), r"\(1, 8, 8\), not \(3"),
        ("golden-output.npz", deterministic_npz({"out": np.zeros((8, 8), np.float32)}), r"\(8, 8\), not \(3"),
    ],
)
def test_a_golden_tile_that_is_none(made_package, tmp_path, name, data, reason):
    other = rewritten(made_package("fcn8"), tmp_path / "other", nothing, {name: data})
    with pytest.raises(PackageInvalidError, match=reason):
        load_predictor(other, threads=1)


def test_golden_statistics_of_another_length(made_package, tmp_path):
    wrong = {"golden-statistics.npy": npy_bytes(np.zeros(7, np.float32))}
    other = rewritten(made_package("frozen"), tmp_path / "other", nothing, wrong)
    with pytest.raises(PackageInvalidError, match="32 finite float32"):
        load_predictor(other, threads=1)


def test_a_network_of_one_size_is_not_run_at_another(made_package, tmp_path):
    package = made_package("blur")
    model = onnx.load_model(package.path("network"))
    for axis, size in ((2, 32), (3, 48)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    other = rewritten(package, tmp_path / "other", nothing, {"network.onnx": model.SerializeToString()})
    with pytest.raises(PackageInvalidError, match=r"takes float \[2, 3, 32, 48\].*says float32 \[2, 3, 66, 66\]"):
        load_predictor(other, "onnxruntime-cpu", threads=1)


def test_a_session_on_another_provider_than_asked_for_is_refused(made_package, monkeypatch, capfd):
    """A build that has CUDA on a machine that has not: it says that CUDA is available, and runs on the CPU."""
    from models.runtimes.onnx_runtime import import_onnxruntime

    runtime = import_onnxruntime()
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    claims = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(runtime, "get_available_providers", lambda: claims)
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ProviderUnavailableError, match="session runs on CPUExecutionProvider"),
    ):
        load_predictor(made_package("fcn8"), "onnxruntime-cuda")
    assert capfd.readouterr().out == ""
