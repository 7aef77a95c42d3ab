"""An imported WSInfer model on a real slide: stored probabilities are those WSInfer's own steps give for each patch."""

import json
from pathlib import Path

import numpy as np
import openslide
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from PIL import Image
from torch import nn

from service.cli import EXIT_DONE, EXIT_REFUSED, run_command
from tests.unit.models.test_wsinfer import CONFIG, MEAN, STD, zoo_folder

pytestmark = pytest.mark.data
PATCH, RESIZED = 350, 224


class Colours(nn.Module):
    """Two classes by the patch's mean colour and its contrast, so that resizing and normalising both show."""

    def forward(self, image):
        return torch.stack([4 * image.mean((1, 2, 3)) + 1.5, -2 * image.std(dim=(1, 2, 3))], dim=1)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    transform = [{"name": "Resize", "arguments": {"size": RESIZED}}, *CONFIG["transform"][1:]]
    changes = {"num_classes": 2, "class_names": ["Other", "Tumor"], "patch_size_pixels": PATCH, "transform": transform}
    return zoo_folder(tmp_path_factory.mktemp("zoo") / "source", Colours(), spacing_um_px=0.5, **changes)


def imported(source: Path, folder: Path) -> str:
    assert run_command(["models", "import", "wsinfer", str(source), "--name", "tumour", "--out", str(folder)]) == 0
    return str(folder / "tumour" / "1.0.0")


def probabilities_of_wsinfer(source: Path, slide: openslide.OpenSlide, column: int, row: int) -> np.ndarray:
    """Crop, resize, normalise, run, softmax: (2,)."""
    with pytest.warns(DeprecationWarning):
        network = torch.jit.load(source / "torchscript_model.pt").eval()
    patch = slide.read_region((column * PATCH, row * PATCH), 0, (PATCH, PATCH)).convert("RGB")
    pixels = torch.from_numpy(np.array(patch.resize((RESIZED, RESIZED), Image.Resampling.BILINEAR)))
    values = (pixels.permute(2, 0, 1) / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.inference_mode():
        return network(values[np.newaxis]).softmax(dim=1)[0].numpy()


def check_tiles(out: Path, result: dict, classes: np.ndarray, stored: np.ndarray) -> None:
    """The list of tiles, the shares and the pictures are those of the maps."""
    table = {name: np.array(column) for name, column in pq.read_table(out / "tiles.parquet").to_pydict().items()}
    assert (
        len(table["tile"])
        == (classes != 255).sum()
        == len(json.loads((out / "tiles.geojson").read_bytes())["features"])
    )
    columns, rows = ((table[name] / PATCH).round().astype(int) for name in ("left_px", "top_px"))
    np.testing.assert_array_equal(table["class"] == "Tumor", classes[rows, columns] == 1)
    np.testing.assert_allclose(table["prob_Tumor"], stored[1, rows, columns] / 255, atol=1e-6)
    told = {part["name"]: part for part in result["scores"]["tiles"]["tile_classes"]}
    assert told["Tumor"]["tiles"] == (classes == 1).sum()
    assert told["Tumor"]["share"] + told["Other"]["share"] == pytest.approx(1)
    assert told["Tumor"]["mean_probability"] == pytest.approx(table["prob_Tumor"].mean(), abs=1e-6)
    assert {path.name for path in out.glob("heat-*.png")} == {"heat-tiles-other.png", "heat-tiles-tumor.png"}
    assert {"tiles.csv", "heat-tiles-tumor.png"} <= {part["path"] for part in result["files"]}


def test_every_patch_has_wsinfers_probabilities(source, data_dir, tmp_path, capsys):
    path, out = data_dir / "slides" / "CMU-1-Small-Region.svs", tmp_path / "out"
    package = imported(source, tmp_path / "models")
    capsys.readouterr()
    assert run_command(["run", str(path), "--package", package, "--out", str(out), "--json"]) == EXIT_DONE
    result = json.loads(capsys.readouterr().out)
    assert result["package"]["provider"] == "torchscript-cpu"
    stored = zarr.open_array(out / "maps" / "tiles-probabilities.ome.zarr" / "0", mode="r")[:]
    classes = zarr.open_array(out / "maps" / "tiles.ome.zarr" / "0", mode="r")[:]
    done = np.argwhere(classes != 255)
    assert len(done) == result["plan"]["tiles_done"] == result["plan"]["tiles_planned"] > 20
    check_tiles(out, result, classes, stored)
    compared = 0
    with openslide.OpenSlide(path) as slide:
        width, height = slide.dimensions
        for row, column in done:
            # Patches over the slide's border are white outside of it here, which WSInfer never reads.
            if (column + 1) * PATCH > width or (row + 1) * PATCH > height:
                continue
            expected = probabilities_of_wsinfer(source, slide, int(column), int(row))
            assert np.abs(stored[:, row, column] - expected * 255).max() <= 0.51
            assert classes[row, column] == expected.argmax()
            compared += 1
    assert compared > 20
    assert len(np.unique(classes[classes != 255])) == 2


def test_a_slide_coarser_than_the_models_patches_is_refused(source, data_dir, tmp_path, capsys):
    config = json.loads((source / "config.json").read_text()) | {"spacing_um_px": 0.25}
    finer = tmp_path / "finer"
    finer.mkdir()
    (finer / "config.json").write_text(json.dumps(config))
    (finer / "torchscript_model.pt").write_bytes((source / "torchscript_model.pt").read_bytes())
    package = imported(finer, tmp_path / "models")
    capsys.readouterr()
    slide = data_dir / "slides" / "CMU-1-Small-Region.svs"
    assert run_command(["run", str(slide), "--package", package, "--out", str(tmp_path / "out"), "--json"]) == (
        EXIT_REFUSED
    )
    assert json.loads(capsys.readouterr().out)["type"] == "urn:histoserve:mpp-out-of-range"
