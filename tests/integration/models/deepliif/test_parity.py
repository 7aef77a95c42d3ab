"""Imported DeepLIIF folders against the TorchScript in them, tile by tile."""

import itertools
from contextlib import closing

import numpy as np
import pytest
import torch

from models.importers.deepliif.convert import convert_generator
from models.importers.deepliif.package import Request, import_deepliif
from models.runtimes import load_predictor
from models.runtimes.network import Input
from models.runtimes.onnx_runtime import load_onnx
from tests.packages_made import tissue_like
from tests.published_made import (
    PUBLISHED_OPTIONS,
    Look,
    archive,
    as_network_input,
    drawn,
    load_archive,
    model_folder,
    resnet,
    truncated,
    unet,
)
from workers.geometry import Box
from workers.slides import open_slide

TOLERANCE = 1e-4
"""Largest difference of raw outputs, whose range is 2."""
CHANGED_SHARE = 2e-3
"""Of bytes that differ by one after truncation; none differs by more."""
LOOKS = [
    Look(*options, blocks=2)
    for options in itertools.product(("zero", "reflect"), ("convtranspose", "resize_conv"), (True, False))
]


def check(found, expected):
    assert found.shape == expected.shape
    assert expected.std() > 0.1
    worst = np.abs(found - expected).max()
    steps = np.abs(truncated(found).astype(int) - truncated(expected).astype(int))
    print(f"largest difference {worst:.2g}, {(steps > 0).mean():.2g} of bytes differ by one")
    assert worst < TOLERANCE
    assert steps.max() <= 1
    assert (steps > 0).mean() < CHANGED_SHARE


def one_by_one(script, image):
    """The archive's answers, a tile at a time."""
    with torch.inference_mode():
        return torch.cat([script(tile[None]) for tile in image])


def tiles_of(side_px):
    return np.stack([tissue_like(side_px, 1), 255 - tissue_like(side_px, 2) // 3])


def imported(folder, tmp_path, **wanted):
    package = import_deepliif(folder, tmp_path / "models", Request("made", **wanted))
    return load_predictor(package, batch=2, threads=1)


def test_translators_of_every_kind_and_file_are_their_archives(tmp_path):
    nets = {f"G{i + 1}": resnet(look) for i, look in enumerate(LOOKS)}
    options = "model: DeepLIIF\nmodalities_no: 8\nseg_gen: False\nscale_size: 64\n"
    folder = model_folder(tmp_path / "model", nets, options, 64, serialised=False)
    for name in ("G1", "G4", "G6", "G7"):
        (folder / "reference" / f"{name}.pt").rename(folder / f"{name}.pt")
        (folder / f"latest_net_{name}.pth").unlink()
    tiles = tiles_of(64)
    answers = imported(folder, tmp_path).predict(tiles)
    assert list(answers) == [f"mod{i}" for i in range(1, 9)]
    image = as_network_input(tiles)
    for i in range(1, 9):
        path = folder / f"G{i}.pt" if (folder / f"G{i}.pt").exists() else folder / "reference" / f"G{i}.pt"
        script = load_archive(path)
        expected = one_by_one(script, image).numpy()
        check(answers[f"mod{i}"], expected)
        # The archive itself mixes two tiles of a batch; the package does not.
        with torch.inference_mode():
            assert np.abs(script(image).numpy() - expected).max() > 0.02


def test_the_published_mask_is_the_archives_on_a_real_tile(tmp_path, data_dir):
    nets = {"G4": resnet(), "G51": unet(), "G55": unet()}
    folder = model_folder(tmp_path / "model", nets, PUBLISHED_OPTIONS, 512)
    with closing(open_slide(data_dir / "ki67_ihc_openslide" / "OS-2-ndpi.ome.tif")) as slide:
        real = slide.read(Box(1500, 1500, 512, 512), 0.25)
    assert real.std() > 10
    tiles = np.stack([real, tissue_like(512, 5)])
    predictor = imported(folder, tmp_path, only=("seg",))
    assert predictor.manifest.recipe["mask"] == "0.5 G55 + 0.5 G51"
    image = as_network_input(tiles)
    marker = one_by_one(load_archive(folder / "G4.pt"), image)
    first = one_by_one(load_archive(folder / "G55.pt"), marker)
    expected = (first * 0.5 + one_by_one(load_archive(folder / "G51.pt"), image) * 0.5).numpy()
    answers = predictor.predict(tiles)["seg"]
    check(answers, expected)
    check(predictor.predict(tiles[::-1].copy())["seg"][::-1], answers)


def new_names(tmp_path, **changes):
    nets = {f"G{i}": resnet(Look("reflect", blocks=1)) for i in range(1, 5)}
    nets |= {f"GS{i}": unet(5, 8) for i in range(5)}
    options = (
        "model: DeepLIIF\nmodalities_no: 4\nscale_size: 64\nmodalities_names: ['IHC','A','B','C','D']\n"
        "seg_weights: (0.25, 0.15, 0.25, 0.1, 0.25) [default: None]\n"
    )
    return model_folder(tmp_path / "model", nets, options, 64, **changes)


@pytest.mark.parametrize("uniform", [False, True], ids=["options", "uniform"])
def test_new_names_all_outputs_and_the_weighted_mask(tmp_path, uniform):
    folder = new_names(tmp_path, serialised=False)
    weights = [0.2] * 5 if uniform else [0.25, 0.15, 0.25, 0.1, 0.25]
    tiles = tiles_of(64)
    answers = imported(folder, tmp_path, uniform_weights=uniform).predict(tiles)
    scripts = {path.stem: load_archive(path) for path in (folder / "reference").iterdir()}
    image = as_network_input(tiles)
    stains = [one_by_one(scripts[f"G{i}"], image) for i in range(1, 5)]
    for name, stain in zip("abcd", stains, strict=True):
        check(answers[name], stain.numpy())
    total = torch.zeros_like(image)
    for i in range(1, 5):
        total = total + one_by_one(scripts[f"GS{i}"], stains[i - 1]) * weights[i]
    check(answers["seg"], (total + one_by_one(scripts["GS0"], image) * weights[0]).numpy())


def test_a_translator_at_full_width_is_its_archive(tmp_path):
    archive(drawn(resnet(Look(width=64)), 9), 64, tmp_path / "G1.pt")
    image = as_network_input(tissue_like(64, 3)[np.newaxis])
    inputs = [Input((1, 3, 64, 64), "float32")]
    run = load_onnx(convert_generator(tmp_path / "G1.pt", "G1", 64), "onnxruntime-cpu", inputs, ["answer"], 1)
    check(run([image.numpy()])[0], one_by_one(load_archive(tmp_path / "G1.pt"), image).numpy())
