"""Statistics held still per slide, and the command."""

import json

import numpy as np
import pytest
import torch

from models.importers.deepliif.package import Request, import_deepliif
from models.runtimes import load_predictor
from service.cli import EXIT_DONE, EXIT_REFUSED, run_command
from tests.packages_made import tissue_like
from tests.published_made import Look, as_network_input, load_archive, model_folder, resnet, unet

SIDE, HALO = 1024, 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One stain, and a mask of two networks that see 113 px through it."""
    nets = {"G1": resnet(Look(blocks=1, width=4)), "GS0": unet(5, 4), "GS1": unet(5, 4)}
    options = "model: DeepLIIF\nmodalities_no: 1\nmodalities_names: ['IHC', 'Marker']\nseg_weights: [0.25, 0.75]\n"
    path = tmp_path_factory.mktemp("exact") / "model"
    return model_folder(path, nets, options + "scale_size: 64\n", 64)


def test_statistics_are_those_of_the_sample_as_one_picture_and_tiles_do_not_show(folder, tmp_path):
    """An archive given a batch normalises by the whole batch: what the calibrator and the network do in two steps."""
    request = Request("made", mode="exact", tile_px=SIDE - 2 * HALO)
    package = import_deepliif(folder, tmp_path, request)
    manifest = package.manifest
    assert manifest.grid.halo_px == HALO >= int(manifest.recipe["radius_px"]) > HALO - 32
    assert manifest.statistics.sample_px == SIDE
    predictor = load_predictor(package, batch=2, threads=1)
    picture = tissue_like(SIDE, 4, SIDE + 64)
    picture[:, 300:600] //= 2
    batch = np.stack([picture[:, :SIDE], picture[:, 64:]])
    statistics = predictor.calibrate(batch)
    answers = predictor.predict(batch, statistics)
    # In float32 torch's own batch norm of two million numbers is off by 2e-3 of what double precision gives.
    scripts = {name: load_archive(folder / f"{name}.pt").double() for name in ("G1", "GS0", "GS1")}
    with torch.inference_mode():
        image = as_network_input(batch).double()
        marker = scripts["G1"](image)
        mask = scripts["GS1"](marker) * 0.75 + scripts["GS0"](image) * 0.25
    np.testing.assert_allclose(answers["marker"], marker.numpy(), atol=1e-4)
    np.testing.assert_allclose(answers["seg"], mask.numpy(), atol=1e-4)
    # The same pixels in two tiles, a halo away from the borders of both.
    first = answers["seg"][0][:, HALO:-HALO, HALO + 64 : -HALO]
    second = answers["seg"][1][:, HALO:-HALO, HALO : -HALO - 64]
    np.testing.assert_allclose(first, second, atol=1e-5)
    # Close to a border it is seen: the halo is needed.
    assert np.abs(answers["seg"][0][:, :, -64:] - answers["seg"][1][:, :, -128:-64]).max() > 0.01


def test_the_command_makes_a_package_that_says_its_mode(folder, tmp_path, capsys):
    arguments = ["models", "import", "deepliif", str(folder), "--name", "stain", "--only", "marker"]
    arguments += ["--licence", "theirs", "--out", str(tmp_path), "--json"]
    assert run_command(arguments) == EXIT_DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["task"], told["licence"], told["runtime"]) == ("image-to-image", "theirs", "onnx")
    assert "compat" in told["title"]
    facts = json.loads((tmp_path / "stain" / "1.0.0" / "deepliif.json").read_text())
    assert (facts["mode"], facts["mask"], list(facts["nets"])) == ("compat", [], ["G1"])
    assert run_command([*arguments, "--only", "nothing"]) == EXIT_REFUSED
    assert json.loads(capsys.readouterr().out)["type"] == "urn:histoserve:model-invalid"
