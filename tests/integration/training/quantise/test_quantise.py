"""A package in 8 bits, from slides to a package that runs and declares what it lost."""

import json

import pytest

from models.errors import OutputConflictError
from models.runtimes import load_predictor
from service.cli import run_command
from tests.making import tissue, write_ome
from training.quantise.package import Request, quantise_package


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return [write_ome(folder / f"{seed}.ome.tif", tissue(900, 700, seed), mpp=0.5) for seed in range(2)]


@pytest.mark.parametrize("kind", ["unet", "frozen"])
def test_it_runs_on_both_runtimes_and_declares_its_cost(made_package, slides, tmp_path, kind):
    package = made_package(kind)
    request = Request(package, "1.0.0", tmp_path, (slides[0],), (slides[1],), "a made slide", True, None, 6)
    made = quantise_package(request)
    manifest = made.manifest
    assert manifest.name == f"{package.manifest.name}-int8"
    assert manifest.recipe["quantised_from"] == package.manifest.reference
    assert manifest.metrics
    assert all(metric.synthetic and metric.n == 6 and metric.data == "a made slide" for metric in manifest.metrics)
    # Eight bits lose something, and not much.
    gaps = [metric.value for metric in manifest.metrics if "same class" in metric.name]
    gaps += [1 - metric.value for metric in manifest.metrics if "mean difference" in metric.name]
    assert gaps
    assert all(0.9 < gap <= 1 for gap in gaps)
    assert "Against" in made.path("card").read_text()
    for provider in ("onnxruntime-cpu", "openvino-cpu"):
        load_predictor(made, provider).close()
    with pytest.raises(OutputConflictError):
        quantise_package(request)


def test_the_network_holds_whole_numbers(made_package, slides, tmp_path):
    import onnx

    request = Request(made_package("unet"), "1.0.0", tmp_path, (slides[0],), (slides[1],), "made", True, None, 4)
    model = onnx.load(quantise_package(request).path("network"))
    assert any(item.data_type == onnx.TensorProto.INT8 for item in model.graph.initializer)


def test_what_is_measured_on_is_not_what_was_made_with(made_package, slides, tmp_path, capsys):
    slide = str(slides[0])
    arguments = ["quantise", str(made_package("unet").folder), "--calibrate", slide, "--held-out", slide]
    assert run_command([*arguments, "--out", str(tmp_path), "--json"]) == 2
    assert "give different slides" in json.loads(capsys.readouterr().out)["detail"]
    assert not list(tmp_path.iterdir())
