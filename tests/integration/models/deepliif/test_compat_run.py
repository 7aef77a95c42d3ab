"""A run of a package in `compat` is DeepLIIF's own picture: every byte, the same cells, the same score."""

import json
import threading

import numpy as np
import pytest
import torch

from models.importers.deepliif.package import Request, import_deepliif, synthetic_ihc
from models.registry import resolve
from models.runtimes import load_predictor
from tests import making
from tests.published_made import PUBLISHED_OPTIONS, load_archive, model_folder, resnet, unet
from workers.deepliif.cells import find_cells
from workers.deepliif.grid import GridOptions, compat_tiles, is_empty, run_compat
from workers.deepliif.scoring import score_cells
from workers.deepliif.thresholds import Thresholds
from workers.engine.keep import choose_targets
from workers.engine.progress import say_nothing
from workers.engine.run import run_slide
from workers.engine.work import RunRequest
from workers.geometry import Box, Frame
from workers.outputs.maps import read_box
from workers.plan import choose_grid

MPP = 0.25
FLAT = {"marker": (10, 10, 10), "seg": (0, 0, 0)}
OPTIONS = GridOptions(tuple(FLAT.items()))
NETS = ("G4", "G51", "G55")
SET = {"green_threshold": 125, "min_cells": 0, "force": True}
"""Random weights make the mask grey: with more green it is cells."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    nets = {"G4": resnet(), "G51": unet(), "G55": unet()}
    return model_folder(tmp_path_factory.mktemp("compat") / "model", nets, PUBLISHED_OPTIONS, 512)


@pytest.fixture(scope="module")
def package(folder, tmp_path_factory):
    return import_deepliif(folder, tmp_path_factory.mktemp("models"), Request("made", only=("marker", "seg"))).folder


def ihc(width, height):
    """Blue and brown nuclei; the right lower part of a slide larger than a tile is glass."""
    picture = synthetic_ihc(max(width, height))[:height, :width].copy()
    glass = picture[360:, 560:]
    glass[...] = np.random.default_rng(1).integers(241, 245, glass.shape)
    return picture


def ran(package, rgb, folder):
    """(maps by output, the result) of `histoserve run`."""
    slide = making.write_pyramid(folder / "slide.tiff", rgb, mpp=MPP, options=making.lossless_options())
    asked = RunRequest(slide, str(package), folder / "out", threads=1, parameters=SET)
    run_slide(asked, say_nothing, threading.Event())
    manifest = resolve(str(package)).manifest
    height, width = rgb.shape[:2]
    frame = Frame(MPP, width, height, MPP, Box(0, 0, width, height))
    targets = choose_targets(manifest, frame, choose_grid(manifest.grid, manifest.outputs))
    maps = {t.output.name: read_box(folder / "out" / "maps", t.spec, frame.box) for t in targets}
    told = json.loads((folder / "out" / "result.json").read_text())
    return {name: values.transpose(1, 2, 0) for name, values in maps.items()}, told


def by_our_network(package):
    """DeepLIIF's grid in memory, our network."""
    predictor = load_predictor(resolve(str(package)), threads=1)

    def infer(tensor):
        tile = np.rint((tensor + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
        return predictor.predict(tile)

    return infer


def by_archives(folder):
    """DeepLIIF's grid in memory, its archives run by torch."""
    first, of_ihc, of_marker = (load_archive(folder / f"{name}.pt") for name in NETS)

    def infer(tensor):
        with torch.inference_mode():
            image = torch.from_numpy(tensor)
            marker = first(image)
            return {"marker": marker.numpy(), "seg": (of_marker(marker) * 0.5 + of_ihc(image) * 0.5).numpy()}

    return infer


def scored(seg):
    thresholds = Thresholds(green=SET["green_threshold"])
    return score_cells(find_cells(seg, thresholds)[0], thresholds).numbers()


@pytest.mark.parametrize(("width", "height"), [(1100, 900), (700, 330)], ids=["tiles", "mirrored"])
def test_a_run_is_deepliifs_picture_cells_and_score(folder, package, tmp_path, width, height):
    rgb = ihc(width, height)
    empty = [is_empty(rgb[t.read.y : t.read.bottom, t.read.x : t.read.right]) for t in compat_tiles(width, height, 512)]
    assert sum(empty) == (width == 1100)
    maps, told = ran(package, rgb, tmp_path)
    ours = run_compat(rgb, by_our_network(package), OPTIONS)
    theirs = run_compat(rgb, by_archives(folder), OPTIONS)
    for name in FLAT:
        np.testing.assert_array_equal(maps[name], ours[name])
        steps = np.abs(maps[name].astype(int) - theirs[name])
        print(f"{width} x {height} {name}: largest {steps.max()}, {(steps > 0).mean():.2g} of bytes differ")
        assert theirs[name].std() > 10
        assert steps.max() <= 1
        assert (steps > 0).mean() < 5e-3
    score, deepliif, found = scored(maps["seg"]), scored(theirs["seg"]), told["scores"]["ihc-cells"]["cells"]
    assert score == scored(ours["seg"])
    assert score["num_total"] > 100
    assert [found[name] for name in ("num_total", "num_pos")] == [score[name] for name in ("num_total", "num_pos")]
    # One byte in some thousand is off by one, which may part or join two specks.
    assert deepliif["num_total"] == pytest.approx(score["num_total"], rel=0.01)
    assert deepliif["percent_pos"] == pytest.approx(score["percent_pos"], abs=0.5)


def test_the_package_says_how_its_tiles_lie_and_what_empty_ones_show(package):
    manifest = resolve(str(package)).manifest
    grid = manifest.grid
    assert (grid.placement, grid.tile_px, grid.halo_px, grid.align_px) == ("clamped", 448, 32, 1)
    assert [(output.name, output.cut_off, output.empty) for output in manifest.outputs] == [
        ("marker", True, (10, 10, 10)),
        ("seg", True, (0, 0, 0)),
    ]
