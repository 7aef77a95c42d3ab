"""A package in bfloat16: the same file, run in bfloat16 or not at all, its cost declared."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from models.errors import OutputConflictError, ProviderUnavailableError, RefusedInputError
from models.golden import read_golden, run_golden
from models.runtimes import load_predictor
from models.runtimes.openvino_cpu import import_openvino
from models.verify import verify_package
from service.cli import run_command
from tests.making import tissue, write_ome
from tests.packages_made import rewritten
from training.quantise.package import Request, quantise_package


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    folder = tmp_path_factory.mktemp("slides")
    return [write_ome(folder / f"{seed}.ome.tif", tissue(900, 700, seed), mpp=0.5) for seed in range(2)]


@pytest.fixture
def make(made_package, slides, tmp_path):
    def made(kind, **changes):
        given = {"calibration": (), "held_out": (slides[1],), "to": "bf16"} | changes
        fixed = {"version": "1.0.0", "zoo": tmp_path, "data": "a made slide", "synthetic": True, "mpp": None}
        return quantise_package(Request(package=made_package(kind), tiles=6, **fixed, **given))

    return made


@pytest.mark.parametrize("kind", ["unet", "frozen", "blur"])
def test_the_same_file_in_other_numbers_with_its_cost(make, made_package, kind):
    whole, made = made_package(kind), make(kind)
    manifest = made.manifest
    assert (manifest.name, manifest.precision) == (f"{whole.manifest.name}-bf16", "bfloat16")
    assert manifest.file("network").sha256 == whole.manifest.file("network").sha256
    assert manifest.recipe["quantised_from"] == whole.manifest.reference
    assert manifest.analysis is None
    assert all(m.synthetic and m.n == 6 and m.name.endswith("bfloat16 against float32") for m in manifest.metrics)
    predictor = load_predictor(made)
    assert predictor.provider == "openvino-cpu"
    # Really other numbers: not those of float32, and not far from them.
    tile, answers, statistics = read_golden(whole)
    found = run_golden(predictor, tile, statistics)
    largest = max(np.abs(found[name] - answers[name]).max() for name in found)
    assert 1e-4 < largest < 0.5
    assert manifest.golden.absolute_tolerance == pytest.approx(max(0.01, 4 * largest), rel=0.01)
    assert manifest.golden.mean_tolerance < manifest.golden.absolute_tolerance
    assert "bfloat16" in made.path("card").read_text()


def test_neither_batch_nor_threads_change_a_tile(make):
    made = make("unet")
    tile = tissue(88, 88, 3)[np.newaxis]
    one = load_predictor(made, batch=1, threads=1).predict(tile)["out"][0]
    for batch, threads in ((1, 2), (3, 1), (3, 2)):
        answers = load_predictor(made, batch=batch, threads=threads).predict(np.repeat(tile, batch, axis=0))["out"]
        assert all(np.array_equal(answer, one) for answer in answers)


def test_statistics_are_those_of_float32(make, made_package):
    tiles = np.stack([tissue(64, 64, seed) for seed in range(4)])
    whole, made = (load_predictor(p, "openvino-cpu") for p in (made_package("frozen"), make("frozen")))
    np.testing.assert_array_equal(whole.calibrate(tiles), made.calibrate(tiles))


def test_what_does_not_compute_in_it_is_refused(make):
    made = make("unet")
    for provider in ("onnxruntime-cpu", "onnxruntime-cuda"):
        with pytest.raises(ProviderUnavailableError, match="is in bfloat16"):
            load_predictor(made, provider)
    assert load_predictor(made, "fastest").provider == "openvino-cpu"
    outcome = verify_package(made)
    assert outcome.passed
    assert [told.provider for told in outcome.providers] == ["openvino-cpu"]


def test_a_processor_without_it_is_told_and_not_served_in_float32(make):
    code = "import sys; from pathlib import Path; from models.registry import read_package; "
    code += "from models.runtimes import load_predictor; load_predictor(read_package(Path(sys.argv[1])))"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    run = [sys.executable, "-c", code, str(make("unet").folder)]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ProviderUnavailableError: The package is in bfloat16, which openvino-cpu does not run here" in done.stderr


def test_the_golden_tile_finds_another_network(make, made_package, tmp_path):
    import onnx
    from onnx import numpy_helper

    from models.errors import GoldenMismatchError

    made = make("unet")
    file = made.manifest.file("network").path
    model = onnx.load(made.path("network"))
    largest = max(model.graph.initializer, key=lambda item: int(np.prod(item.dims)))
    weights = numpy_helper.to_array(largest)
    largest.CopyFrom(numpy_helper.from_array(weights[::-1].copy(), largest.name))
    wrong = rewritten(made, tmp_path / "wrong", lambda _: None, {file: model.SerializeToString()})
    with pytest.raises(GoldenMismatchError):
        load_predictor(wrong)


def test_what_it_is_made_of_is_float32_and_no_ranges_are_taken(make, slides, tmp_path, capsys):
    made = make("unet")
    with pytest.raises(OutputConflictError):
        make("unet")
    arguments = ["quantise", str(made.folder), "--held-out", str(slides[1]), "--out", str(tmp_path), "--json"]
    assert run_command([*arguments, "--to", "bf16"]) == 2
    assert "was made of unet@1.0.0 already" in json.loads(capsys.readouterr().out)["detail"]
    with pytest.raises(ValueError, match="leave --calibrate away"):
        make("frozen", calibration=(slides[0],))
    with pytest.raises(ValueError, match="give --calibrate"):
        make("frozen", to="int8")
    with pytest.raises(RefusedInputError, match="no ONNX network"):
        make("scripted")
