"""A WSInfer-zoo folder becomes a package that answers as torch does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import OutputConflictError, PackageInvalidError
from models.importers.wsinfer import class_colours, import_wsinfer, read_config
from models.registry import resolve
from models.runtimes import load_predictor
from tests.networks_made import Classifier
from tests.packages_made import tissue_like, torchscript_bytes

MEAN, STD = [0.7238, 0.5716, 0.6779], [0.112, 0.1459, 0.1089]
CONFIG = {
    "spec_version": "1.0",
    "architecture": "tiny",
    "num_classes": 3,
    "class_names": ["benign", "in situ", "invasive"],
    "patch_size_pixels": 70,
    "spacing_um_px": 0.25,
    "transform": [
        {"name": "Resize", "arguments": {"size": 32}},
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
    ],
}


class OneClass(Classifier):
    def forward(self, image):
        return super().forward(image)[:, :1]


def zoo_folder(folder: Path, network=None, **changes) -> Path:
    torch.manual_seed(11)
    folder.mkdir(exist_ok=True)
    scripted = torchscript_bytes((network or Classifier()).eval(), torch.rand(2, 3, 32, 32))
    (folder / "torchscript_model.pt").write_bytes(scripted)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def answers_of_torch(folder: Path, patches: np.ndarray) -> np.ndarray:
    """As WSInfer computes them: PIL resize, ToTensor, Normalize, the archive itself."""
    with pytest.warns(DeprecationWarning):
        network = torch.jit.load(folder / "torchscript_model.pt").eval()
    resized = [np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BILINEAR)) for p in patches]
    batch = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2) / 255
    batch = (batch - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.inference_mode():
        return network(batch).numpy()


def test_the_package_answers_as_torch_does(tmp_path):
    source = zoo_folder(tmp_path / "source")
    import_wsinfer(source, tmp_path / "models", "tumour", "1.0.0")
    predictor = load_predictor(resolve("tumour@1.0.0", (tmp_path / "models",)), threads=1)
    patches = np.stack([tissue_like(70, seed) for seed in range(8)])
    answers = predictor.predict(patches)["tiles"]
    assert answers.shape == (8, 3, 1, 1)
    np.testing.assert_allclose(answers[:, :, 0, 0], answers_of_torch(source, patches), atol=1e-5)


def test_the_manifest_says_what_the_configuration_said(tmp_path):
    manifest = import_wsinfer(zoo_folder(tmp_path / "source"), tmp_path, "tumour", "1.0.0", "CC-BY-4.0").manifest
    grid, output = manifest.grid, manifest.output("tiles")
    assert (manifest.task, manifest.runtime, manifest.licence) == ("tile-classification", "torchscript", "CC-BY-4.0")
    assert (grid.tile_px, grid.halo_px, grid.align_px, grid.fixed_tile, grid.mpp) == (70, 0, 70, True, 0.25)
    assert (manifest.input.resize_px, list(manifest.input.mean), list(manifest.input.std)) == (32, MEAN, STD)
    assert (output.stride_px, [c.name for c in output.classes]) == (70, CONFIG["class_names"])
    assert manifest.file("card") is not None


def test_one_class_is_a_heat_map(tmp_path):
    source = zoo_folder(tmp_path / "source", OneClass(), num_classes=1, class_names=["til"])
    package = import_wsinfer(source, tmp_path, "til", "1.0.0")
    assert (package.manifest.outputs[0].kind, package.manifest.outputs[0].activation) == ("heat", "sigmoid")
    assert load_predictor(package, threads=1).predict(np.zeros((8, 70, 70, 3), np.uint8))["tiles"].shape == (8, 1, 1, 1)


def test_without_resize_and_normalize_pixels_are_only_scaled(tmp_path):
    transform = [{"name": "ToTensor"}]
    package = import_wsinfer(
        zoo_folder(tmp_path / "source", patch_size_pixels=32, transform=transform), tmp_path, "bare", "1.0.0"
    )
    assert package.manifest.input.resize_px is None
    assert package.manifest.input.std == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"transform": [{"name": "CenterCrop", "arguments": {"size": 10}}, {"name": "ToTensor"}]}, "CenterCrop"),
        ({"transform": [{"name": "ToTensor"}, {"name": "Resize", "arguments": {"size": 32}}]}, "ToTensor, Resize"),
        ({"transform": []}, "empty"),
        ({"transform": [{"name": "Resize", "arguments": {"size": 32, "interpolation": 0}}]}, "interpolation"),
        ({"transform": [{"name": "Resize", "arguments": {"size": [32, 40]}}]}, "not square"),
        ({"transform": [{"name": "Normalize", "arguments": {"mean": MEAN, "std": [0.1, 0.0, 0.1]}}]}, "std"),
        ({"spec_version": "2.0"}, "spec_version"),
        ({"num_classes": 2}, "class_names"),
        ({"class_names": ["a", "a", "b"]}, "class_names"),
        ({"spacing_um_px": 0}, "spacing_um_px"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_configuration_we_cannot_run_is_refused(tmp_path, changes, names):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG | changes))
    with pytest.raises(PackageInvalidError, match=names):
        read_config(path)


def test_a_network_of_other_classes_is_refused_and_nothing_is_left(tmp_path):
    source = zoo_folder(tmp_path / "source", num_classes=4, class_names=["a", "b", "c", "d"])
    with pytest.raises(PackageInvalidError, match="shape"):
        import_wsinfer(source, tmp_path / "models", "tumour", "1.0.0")
    assert list((tmp_path / "models").rglob("*.json")) == []


@pytest.mark.parametrize("missing", ["config.json", "torchscript_model.pt"])
def test_a_missing_file_is_named(tmp_path, missing):
    source = zoo_folder(tmp_path / "source")
    (source / missing).unlink()
    with pytest.raises(PackageInvalidError, match=missing):
        import_wsinfer(source, tmp_path, "tumour", "1.0.0")


def test_an_archive_torch_cannot_load_is_refused(tmp_path):
    source = zoo_folder(tmp_path / "source")
    (source / "torchscript_model.pt").write_bytes(b"not an archive")
    with pytest.raises(PackageInvalidError, match="TorchScript"):
        import_wsinfer(source, tmp_path, "tumour", "1.0.0")


def test_bad_names_are_refused(tmp_path):
    with pytest.raises(PackageInvalidError, match="name"):
        import_wsinfer(zoo_folder(tmp_path / "source"), tmp_path / "models", "../tumour", "1.0.0")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    with pytest.raises(PackageInvalidError, match="version"):
        import_wsinfer(zoo_folder(tmp_path / "source"), tmp_path, "tumour", "1")


def test_a_version_is_never_overwritten(tmp_path):
    source = zoo_folder(tmp_path / "source")
    import_wsinfer(source, tmp_path, "tumour", "1.0.0")
    with pytest.raises(OutputConflictError):
        import_wsinfer(source, tmp_path, "tumour", "1.0.0")


def test_colours_differ():
    assert len(set(class_colours(40))) == 40
