"""Some outputs of a network: the same bits as among the others, on every runtime, without what the others need."""

import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.errors import GoldenMismatchError, PackageInvalidError
from models.golden import read_golden
from models.packaging import deterministic_npz
from models.registry import resolve
from models.runtimes import load_predictor
from models.runtimes.network import Input
from models.runtimes.onnx_part import keep_outputs, output_names
from models.runtimes.onnx_runtime import load_onnx
from models.runtimes.openvino_cpu import load_openvino
from tests import making
from tests.packages_made import RECIPES, make_package, rewritten, tissue_like
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest

ONNX = ("onnxruntime-cpu", "openvino-cpu")
PROVIDERS = (*ONNX, "torchscript-cpu")


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """From a provider to the package of two heads that it runs."""
    folder, recipe = tmp_path_factory.mktemp("heads"), RECIPES["heads"]
    made = {runtime: make_package(folder / runtime, replace(recipe, runtime=runtime)) for runtime in RUNTIMES}
    return lambda provider: made["torchscript" if provider.startswith("torchscript") else "onnx"]


RUNTIMES = ("onnx", "torchscript")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("wanted", [["picture"], ["negative"], ["picture", "negative"]])
def test_an_output_alone_is_what_it_is_among_the_others(heads, provider, wanted):
    whole, some = (load_predictor(heads(provider), provider, threads=1, outputs=o) for o in (None, wanted))
    tiles = np.stack([tissue_like(whole.batch_shape[1], seed) for seed in range(whole.batch_shape[0])])
    every, answers = whole.predict(tiles), some.predict(tiles)
    assert list(every) == ["negative", "picture"]
    assert sorted(answers) == sorted(wanted)
    assert some.manifest == whole.manifest
    for name, answer in answers.items():
        np.testing.assert_array_equal(answer, every[name])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("wanted", [[], ["other"], ["picture", "other"]])
def test_outputs_it_does_not_have_are_refused(heads, provider, wanted):
    with pytest.raises(ValueError, match="has the outputs negative, picture"):
        load_predictor(heads(provider), provider, threads=1, outputs=wanted)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_golden_tile_proves_what_is_used(heads, provider, tmp_path):
    _, answers, _ = read_golden(heads(provider))
    wrong = {"golden-output.npz": deterministic_npz(answers | {"picture": answers["picture"] + 0.5})}
    other = rewritten(heads(provider), tmp_path / "other", lambda manifest: None, wrong)
    load_predictor(other, provider, threads=1, outputs=["negative"]).close()
    for wanted in (["picture"], None):
        with pytest.raises(GoldenMismatchError, match=r"0\.5"):
            load_predictor(other, provider, threads=1, outputs=wanted)


@pytest.mark.parametrize("provider", ONNX)
def test_a_file_whose_outputs_are_not_the_manifests_is_refused_for_some_of_them_too(heads, provider, tmp_path):
    def renames(manifest):
        manifest["outputs"][0]["name"] = "other"

    other = rewritten(heads(provider), tmp_path / "other", renames)
    with pytest.raises(PackageInvalidError, match="its manifest names other, picture"):
        load_predictor(other, provider, threads=1, outputs=["picture"])


def two_inputs() -> bytes:
    """`plain` needs the image alone, `scaled` the statistics too."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    scale = helper.make_tensor_value_info("statistics", TensorProto.FLOAT, [1])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("plain", "scaled")]
    nodes = [
        helper.make_node("Neg", ["image"], ["plain"]),
        helper.make_node("Mul", ["plain", "statistics"], ["scaled"]),
    ]
    graph = helper.make_graph(nodes, "two", [image, scale], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.mark.parametrize("load", [lambda *a: load_onnx(a[0], "onnxruntime-cpu", *a[1:]), load_openvino])
def test_an_input_that_is_not_needed_is_still_taken(load):
    inputs = [Input((1, 3, 4, 4), "float32"), Input((1,), "float32")]
    image, scale = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4), np.array([2], np.float32)
    for name, wanted in (("plain", -image), ("scaled", -2 * image)):
        run = load(keep_outputs(two_inputs(), [name]), inputs, [name], 1)
        np.testing.assert_array_equal(run([image, scale])[0], wanted)


@pytest.mark.parametrize("provider", ONNX)
@pytest.mark.parametrize("wanted", ["hema", "seg"])
def test_a_shipped_network_gives_the_same_bits(provider, wanted):
    package = resolve("deepliif-small")
    data = package.path("network").read_bytes()
    assert output_names(data) == ["hema", "dapi", "lap2", "marker", "seg"]
    # Hema is one translator of four; the mask is made of all of them.
    nodes = [len(onnx.load_from_string(network).graph.node) for network in (keep_outputs(data, [wanted]), data)]
    assert (nodes[0] < 0.25 * nodes[1]) == (wanted == "hema")
    alone = load_predictor(package, provider, threads=1, outputs=[wanted])
    batch = np.full(alone.batch_shape, 240, np.uint8)
    batch[0, 300:900, 200:1000] = tissue_like(600, 3, 800)
    statistics = read_golden(package)[2]
    answer = alone.predict(batch, statistics)
    alone.close()
    whole = load_predictor(package, provider, threads=1)
    np.testing.assert_array_equal(answer[wanted], whole.predict(batch, statistics)[wanted])
    assert list(answer) == [wanted]


def test_a_run_computes_what_it_keeps_and_says_the_same(tmp_path, heads):
    rgb = making.tissue(300, 260, seed=2)
    slide = making.write_pyramid(tmp_path / "slide.tiff", rgb, mpp=0.5)
    package = str(heads("onnxruntime-cpu").folder)
    results = {}
    for name, outputs in (("all", None), ("one", ("negative",))):
        asked = RunRequest(slide, package, tmp_path / name, threads=1, outputs=outputs, parameters={"force": True})
        results[name] = {f.path: f.sha256 for f in run_slide(asked, say_nothing, threading.Event()).folders}
    kept = {path for path in results["all"] if "negative" in path}
    assert kept
    assert {path: results["one"].get(path) for path in kept} == {path: results["all"][path] for path in kept}
    assert not any("picture.ome.zarr" in path for path in results["one"])
