"""`histoserve models` through the command line itself."""

import json
import shutil

import pytest

from models.registry import list_packages
from service.cli import EXIT_DONE, EXIT_OTHER, EXIT_REFUSED, run_command
from tests.packages_made import blur_package, scripted_package
from tests.unit.models.test_wsinfer import zoo_folder


@pytest.fixture
def root(tmp_path, monkeypatch, made_package):
    """A model folder with two packages, the environment pointing at it."""
    folder = tmp_path / "models"
    for name in ("blur", "scripted"):
        source = made_package(name).folder
        shutil.copytree(source, folder / name / source.name)
    monkeypatch.setenv("HISTOSERVE_MODEL_DIR", str(folder))
    return folder


def document(capsys):
    return json.loads(capsys.readouterr().out)


def test_list_tells_of_every_package(root, capsys):
    assert run_command(["models", "list", "--json"]) == EXIT_DONE
    listed = document(capsys)
    by_name = {package["name"]: package for package in listed["packages"]}
    assert {"blur", "scripted"} <= set(by_name)
    assert by_name["blur"]["mpp"] == 0.5
    assert by_name["blur"]["licence"] == "Apache-2.0"
    assert by_name["blur"]["size_bytes"] > 1000
    assert listed["broken"] == []


def test_list_for_people_names_them(root, capsys):
    assert run_command(["models", "list"]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert "blur" in shown
    assert "scripted" in shown


def test_verify_runs_every_provider_and_says_which_do_not_run(root, capsys):
    assert run_command(["models", "verify", "blur", "scripted@1.0.0", "--json"]) == EXIT_DONE
    verified = document(capsys)
    blur, scripted = verified["packages"]
    states = {outcome["provider"]: outcome["status"] for outcome in blur["providers"]}
    assert verified["passed"] is True
    assert states["onnxruntime-cpu"] == states["openvino-cpu"] == "passed"
    assert states["onnxruntime-cuda"] in ("passed", "unavailable")
    assert scripted["providers"][0]["difference"] <= scripted["tolerance"]


def test_verify_fails_for_an_altered_file_and_checks_the_rest(root, capsys):
    path = root / "blur" / "1.0.0" / "network.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    assert run_command(["models", "verify", "blur", "scripted", "--json"]) == EXIT_OTHER
    blur, scripted = document(capsys)["packages"]
    assert (blur["passed"], blur["files"]) == (False, "failed")
    assert "network.onnx" in blur["detail"]
    assert scripted["passed"] is True


def test_verify_of_everything_fails_for_a_folder_that_is_no_package(root, capsys):
    (root / "scripted" / "1.0.0" / "model.json").write_text("{}")
    assert run_command(["models", "verify", "--json"]) == EXIT_OTHER
    verified = document(capsys)
    assert [problem["type"] for problem in verified["broken"]] == ["urn:histoserve:model-invalid"]
    assert verified["passed"] is False


def test_verify_for_people_tells_what_failed(root, capsys):
    path = root / "blur" / "1.0.0" / "golden-output.npz"
    path.write_bytes(path.read_bytes()[:-1])
    assert run_command(["models", "verify", "blur"]) == EXIT_OTHER
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "golden-output.npz" in shown


def test_an_unknown_package_is_a_problem_document(root, capsys):
    assert run_command(["models", "verify", "nothing", "--json"]) == EXIT_REFUSED
    assert document(capsys)["type"] == "urn:histoserve:model-unknown"


def test_an_imported_model_is_a_package_like_any_other(root, tmp_path, capsys):
    source = zoo_folder(tmp_path / "source")
    arguments = ["models", "import", "wsinfer", str(source), "--name", "tumour", "--version", "2.0.0", "--json"]
    assert run_command(arguments) == EXIT_DONE
    assert document(capsys)["name"] == "tumour"
    assert run_command(["models", "verify", "tumour@2.0.0", "--json"]) == EXIT_DONE
    assert document(capsys)["passed"] is True
    assert run_command(arguments) == EXIT_REFUSED


def test_without_a_folder_nothing_is_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HISTOSERVE_MODEL_DIR", raising=False)
    source = zoo_folder(tmp_path / "source")
    assert run_command(["models", "import", "wsinfer", str(source), "--name", "tumour", "--json"]) == EXIT_REFUSED
    assert "HISTOSERVE_MODEL_DIR" in document(capsys)["remedy"]


@pytest.mark.parametrize("make", [blur_package, scripted_package])
def test_a_package_made_twice_is_the_same_to_the_byte(tmp_path, make):
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    if first.manifest.runtime == "torchscript":
        # torch's archives carry what differs between two saves; the network file is left out.
        files = [f for f in first.manifest.files if f.role != "network"]
        assert files == [f for f in second.manifest.files if f.role != "network"]
        return
    assert first.manifest_sha256 == second.manifest_sha256
    assert [p.manifest for p in list_packages((tmp_path / "a",))] == [second.manifest]
