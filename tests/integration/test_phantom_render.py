from dataclasses import replace

import numpy as np
import pytest

from training.phantom.block import BLOCK_PX, block_at, coarse_step
from training.phantom.looks import look_of
from training.phantom.render import glass_colour, may_show, render_block, render_region, render_regions
from training.phantom.spec import STAINS, PhantomSpec, Section
from training.phantom.tissue import tissue_at
from training.phantom.truth import truth_region
from workers.geometry import Box

SPEC = PhantomSpec(seed=8, width_px=5000, height_px=4000, tissue=0.7, tumour=0.9, ki67=0.35, variation=0.3)
PLACE = Box(2100, 1700, 420, 300)


@pytest.fixture(scope="module")
def pictures():
    return render_regions(SPEC, STAINS, Box(2048, 1536, 512, 512))


@pytest.fixture(scope="module")
def truth():
    return truth_region(SPEC, Box(2048 + 30, 1536 + 30, 512 - 60, 512 - 60)).to_pydict()


def places(truth, which=slice(None)):
    x, y = np.array(truth["x_px"]) - 2048, np.array(truth["y_px"]) - 1536
    return x.astype(int)[which], y.astype(int)[which]


def plain(truth):
    """Nuclei that are drawn as nuclei, with a solid middle."""
    return (np.array(truth["phase"]) == "none") & (np.array(truth["lookalike"]) == "none")


def test_two_halves_are_the_whole_to_the_pixel():
    whole = render_region(SPEC, "he", PLACE)
    left = render_region(SPEC, "he", Box(PLACE.x, PLACE.y, 133, PLACE.height))
    right = render_region(SPEC, "he", Box(PLACE.x + 133, PLACE.y, PLACE.width - 133, PLACE.height))
    assert np.array_equal(whole, np.concatenate([left, right], axis=1))
    top = render_region(SPEC, "he", Box(PLACE.x, PLACE.y, PLACE.width, 77))
    assert np.array_equal(whole[:77], top)


@pytest.mark.parametrize("section", [Section("he"), Section("ki67", 31.0, -17.0, 1.5, 5.0)])
def test_neighbouring_blocks_agree_where_both_see(section):
    halo = 16
    left = block_at(SPEC, section, 1536, 1536, halo)
    right = block_at(SPEC, section, 1536 + BLOCK_PX, 1536, halo)
    for name in ("tissue", "cytoplasm", "collagen", "membrane", "fine"):
        one, other = getattr(left, name)[:, -2 * halo :], getattr(right, name)[:, : 2 * halo]
        assert one == pytest.approx(other, abs=1e-4), name
    for name in ("chromatin", "cover"):
        one, other = getattr(left.canvas, name)[:, -2 * halo :], getattr(right.canvas, name)[:, : 2 * halo]
        assert one == pytest.approx(other, abs=1e-4), name
    owners = [
        np.concatenate([[0], block.nuclei.id])[block.canvas.owner[:, part]]
        for block, part in ((left, slice(-2 * halo, None)), (right, slice(None, 2 * halo)))
    ]
    assert (owners[0] == owners[1]).mean() > 0.9999


def test_no_seam_shows_between_blocks():
    picture = render_region(replace(SPEC, noise=0.0), "he", Box(1536, 1536, 1024, 512)).astype(float)
    steps = abs(np.diff(picture, axis=1)).mean(axis=(0, 2))
    assert steps[BLOCK_PX - 1] < steps.mean() + 4 * steps.std()


def test_the_same_seed_gives_the_same_pixels_and_another_does_not():
    once = render_region(SPEC, "he", PLACE)
    assert np.array_equal(once, render_region(replace(SPEC), "he", PLACE))
    assert (render_region(replace(SPEC, seed=9), "he", PLACE) != once).mean() > 0.5


def test_beside_the_tissue_is_plain_glass_and_skipping_it_changes_nothing():
    spec = replace(SPEC, width_px=20000, height_px=16000, tissue=0.1)
    assert not may_show(spec, spec.section("he"), 0, 0)
    assert render_block(spec, ("he",), 0, 0)["he"] is None
    assert (render_region(spec, "he", Box(0, 0, 64, 64)) == glass_colour(spec, "he")).all()
    assert block_at(spec, spec.section("he"), 0, 0, 16) is None  # asked all the same, it finds no tissue


def test_glass_in_a_block_with_tissue_is_the_glass_of_empty_blocks():
    spec = replace(SPEC, tissue=0.3)
    for x in range(0, 2560, BLOCK_PX):
        pixels = render_block(spec, ("he",), x, 1536)["he"]
        if pixels is not None:
            break
    glass = (pixels == glass_colour(spec, "he")).all(axis=2)
    assert glass[:, 0].any() and not glass.all()


def test_nuclei_are_darker_than_around_them_at_true_places(pictures, truth):
    x, y = places(truth, plain(truth))
    density = -np.log((pictures["he"].astype(float) + 1) / 256)[..., 0]
    middles = np.array([density[b - 3 : b + 4, a - 3 : a + 4].mean() for a, b in zip(x, y, strict=True)])
    assert len(middles) > 30
    assert (middles > np.median(density)).mean() > 0.95


def test_the_mask_says_what_the_truth_says(pictures, truth):
    x, y = places(truth, plain(truth))
    positive = np.array(truth["ki67"])[plain(truth)]
    classes = pictures["mask"][y, x]
    assert (classes[positive] == (255, 0, 0)).all(axis=1).mean() > 0.9
    assert (classes[~positive] == (0, 0, 255)).all(axis=1).mean() > 0.9
    colours = {tuple(c) for c in np.unique(pictures["mask"].reshape(-1, 3), axis=0).tolist()}
    assert colours == {(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)}


def test_the_mask_covers_the_outlines_area(truth, pictures):
    x, _ = places(truth, plain(truth))
    outlines = np.array(truth["outline_px"])[plain(truth)].reshape(len(x), -1, 2) - (2048, 1536)
    middle = outlines.mean(axis=1, keepdims=True)
    inside, outside = middle + 0.6 * (outlines - middle), middle + 1.7 * (outlines - middle)
    nucleus = pictures["mask"].any(axis=2)
    hit = [nucleus[p[..., 1].astype(int), p[..., 0].astype(int)].mean() for p in (inside, outside)]
    assert hit[0] > 0.98
    assert hit[1] < 0.6


def test_positive_nuclei_are_brown_and_negative_ones_blue_in_ki67(pictures, truth):
    x, y = places(truth, plain(truth))
    positive = np.array(truth["ki67"])[plain(truth)]
    red, _, blue = pictures["ki67"].astype(int)[y, x].T
    assert (red > blue)[positive].mean() > 0.75  # the weak ones are grey
    assert (red < blue)[~positive].mean() > 0.95


def test_marker_and_dapi_shine_where_nuclei_are(pictures, truth):
    x, y = places(truth, plain(truth))
    positive = np.array(truth["ki67"])[plain(truth)]
    marker, dapi = pictures["marker"][y, x, 0].astype(int), pictures["dapi"][y, x, 0].astype(int)
    assert marker[positive].min() > marker[~positive].max()
    assert (dapi > 60).mean() > 0.9
    dark = ~pictures["mask"].any(axis=2)
    assert np.median(pictures["dapi"][dark]) == pytest.approx(10, abs=2)


def test_mitoses_are_brown_in_phh3_and_little_else():
    spec = replace(SPEC, mitoses=0.03, lookalikes=0.0)
    box = Box(1536, 1536, 1024, 1024)
    picture = render_region(spec, "phh3", box).astype(int)
    table = truth_region(spec, box).to_pydict()
    divides = np.array(table["phase"]) != "none"
    x, y = np.array(table["x_px"]) - box.x, np.array(table["y_px"]) - box.y
    brown = picture[..., 0] - picture[..., 2]
    inside = (x > 24) & (y > 24) & (x < 1000) & (y < 1000)
    most = np.array(
        [
            brown[b - 22 : b + 23, a - 22 : a + 23].max() if i else 0
            for a, b, i in zip(x.astype(int), y.astype(int), inside, strict=True)
        ]
    )
    assert (divides & inside).sum() >= 8
    assert (most[divides & inside] > 30).all()
    alone = ~divides & inside & (np.array(table["phh3_dab"]) == 0)
    assert np.median(most[alone]) < 5


def test_stains_of_one_section_show_the_same_nuclei(pictures):
    nucleus = pictures["mask"].any(axis=2)
    for stain in ("he", "ki67", "hematoxylin"):
        red = pictures[stain][..., 0].astype(float)
        assert np.corrcoef(red.ravel(), nucleus.ravel())[0, 1] < -0.5, stain


def test_a_shifted_section_shows_the_same_tissue_further_on():
    moved = replace(SPEC, noise=0.0, variation=0.0, sections=(Section("mask", 16.0, -8.0),))
    here = render_region(SPEC, "mask", PLACE).any(axis=2)
    there = render_region(moved, "mask", Box(PLACE.x + 64, PLACE.y - 32, PLACE.width, PLACE.height)).any(axis=2)
    assert (here == there).mean() > 0.995
    table, again = (
        truth_region(s, b, "mask")
        for s, b in ((SPEC, PLACE), (moved, Box(PLACE.x + 64, PLACE.y - 32, PLACE.width, PLACE.height)))
    )
    assert set(table["id"].to_pylist()) == set(again["id"].to_pylist())
    shift = np.array(again.sort_by("id")["x_px"]) - np.array(table.sort_by("id")["x_px"])
    assert shift == pytest.approx(64.0)


def test_a_warped_section_draws_nuclei_where_its_truth_says():
    spec = replace(SPEC, sections=(Section("mask", 22.0, 9.0, 2.0, 12.0, 600.0),))
    table = truth_region(spec, PLACE, "mask").to_pydict()
    picture = render_region(spec, "mask", PLACE).any(axis=2)
    x, y = np.array(table["x_px"]) - PLACE.x, np.array(table["y_px"]) - PLACE.y
    assert len(x) > 20
    assert picture[y.astype(int), x.astype(int)][plain(table)].mean() > 0.97


@pytest.mark.parametrize("mpp", [0.2271, 0.5, 1.0])
def test_another_mpp_shows_the_same_tissue(mpp):
    spec = replace(SPEC, mpp=mpp, width_px=round(1250 / mpp), height_px=round(1000 / mpp))
    table = truth_region(spec, Box(0, 0, spec.width_px, spec.height_px))
    reference = truth_region(SPEC, Box(0, 0, SPEC.width_px, SPEC.height_px))
    both = set(table["id"].to_pylist()) & set(reference["id"].to_pylist())
    assert len(both) > 0.98 * reference.num_rows
    box = Box(round(525 / mpp), round(425 / mpp), round(100 / mpp), round(70 / mpp))
    picture = render_region(spec, "mask", box).any(axis=2)
    inside = truth_region(spec, box).to_pydict()
    x, y = (np.array(inside["x_px"]) - box.x).astype(int), (np.array(inside["y_px"]) - box.y).astype(int)
    assert picture[y, x].mean() > 0.85
    assert BLOCK_PX % coarse_step(mpp) == 0


def test_looks_differ_by_name_and_variation_moves_them_a_little():
    names = {name: look_of(replace(SPEC, look=name, variation=0.0), "he") for name in ("grey", "violet", "warm")}
    assert abs(names["grey"].second - names["violet"].second).max() > 0.05
    varied = [look_of(replace(SPEC, seed=s, look="grey", variation=1.0), "he").hematoxylin for s in range(8)]
    spread = np.std(varied, axis=0)
    assert (spread > 0.005).all() and (spread < 0.25).all()


def test_the_pen_covers_glass_and_its_block_is_not_skipped():
    spec = PhantomSpec(seed=3, width_px=9000, height_px=7000, tissue=0.4, pen=True)
    without = replace(spec, pen=False)
    box = Box(2560, 0, 512, 512)
    drawn, bare = render_region(spec, "he", box), render_region(without, "he", box)
    assert (bare == glass_colour(spec, "he")).all()
    assert (drawn != bare).any(axis=2).mean() > 0.2
    assert np.array_equal(render_region(spec, "mask", box), render_region(without, "mask", box))


def test_vessels_hold_red_cells_and_no_nuclei():
    spec = PhantomSpec(seed=12, width_px=8192, height_px=8192, tissue=1.0, tumour=0.1, fat=0.0)
    x, y = np.meshgrid(np.arange(0, 900.0, 3), np.arange(0, 900.0, 3))
    vessel = tissue_at(spec, x, y).vessel
    assert 0 < (vessel > 0).mean() < 0.05
    found = truth_region(spec, Box(0, 0, 3600, 3600)).to_pydict()
    at = tissue_at(spec, np.array(found["x_um"]), np.array(found["y_um"]))
    assert at.vessel.max() < 0
    row, column = np.unravel_index(vessel.argmax(), vessel.shape)
    px, py = (int(v * 4) // BLOCK_PX * BLOCK_PX for v in (x[row, column], y[row, column]))
    block = block_at(spec, spec.section("he"), px, py, 16)
    assert block.blood.max() > 0.5
    assert block.collagen[block.blood > 0.5].max() < 0.2
