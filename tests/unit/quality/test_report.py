"""The whole report of painted slides, and its pictures."""

import json
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.array_slide import ArraySlide
from tests.unit.quality.paintings import band, disc, draw, glass, slide, stain
from workers.quality import assess, pictures, report, write_pictures
from workers.quality.pictures import PEN_COLOUR, TISSUE_COLOUR

NAMES = ["tissue.png", "stain.png", "focus.png"]


@cache
def _sharp_slide(sigma: float = 0.0, inked: bool = False) -> ArraySlide:
    """A grainy H&E square of 768 px at 0.5 um/px on glass, 1024 px wide."""
    shape = (768, 1024)
    grains = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 0.7)
    place = np.zeros(shape, dtype=bool)
    place[:, 128:896] = True
    canvas = stain(glass(*shape), place, {"eosin": 0.3, "hematoxylin": 0.1})
    canvas = stain(canvas, place & (grains > 0.3), {"hematoxylin": 0.5})
    canvas = draw(canvas, band(shape, 0, 120), "green") if inked else canvas
    return slide(ndimage.gaussian_filter(canvas, (sigma, sigma, 0)) if sigma else canvas, 0.5)


@pytest.fixture(scope="module")
def sharp():
    return assess(_sharp_slide())


def test_a_good_slide_has_no_warnings(sharp):
    assert sharp.warnings == ()
    assert sharp.tissue_fraction == pytest.approx(0.75, rel=0.03)
    assert sharp.tissue_mm2 == pytest.approx(0.384**2, rel=0.03)
    assert sharp.pen_fraction == 0
    assert sharp.stain.stain == "he"
    assert sharp.focus.in_focus == 1


def test_the_dictionary_is_json(sharp):
    told = sharp.as_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert set(told) == {"tissue_mm2", "tissue_fraction", "pen_fraction", "mask_mpp", "stain", "focus"}


def test_a_blank_slide_is_told_in_json_too():
    blank = assess(slide(glass()))
    told = blank.as_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["tissue_mm2"], told["stain"]["stain"], told["focus"]["in_focus"]) == (0, "other", None)


def test_ink_and_blur_are_warned_of():
    slugs = dict(assess(_sharp_slide(sigma=3, inked=True)).warnings)
    assert list(slugs) == ["pen", "out-of-focus"]
    assert slugs["out-of-focus"].startswith("Only 0%")


def test_a_slide_too_coarse_for_focus_is_told_with_its_mpp():
    canvas = stain(glass(), disc((300, 400), 200, 150, 100), {"eosin": 0.4})
    warnings = dict(assess(slide(canvas)).warnings)
    assert list(warnings) == ["focus-unknown"]
    assert "8 um/px" in warnings["focus-unknown"]


def test_stain_pixels_are_bounded_and_independent_of_strips(monkeypatch):
    painted = slide(stain(glass(), disc((300, 400), 200, 150, 100), {"eosin": 0.4}))
    monkeypatch.setattr(report, "STAIN_PIXELS", 5000)
    thinned = assess(painted)
    monkeypatch.setattr(report, "STAIN_PIXELS", 10**9)
    assert assess(painted).stain.eosin == pytest.approx(thinned.stain.eosin, abs=0.01)


def test_pictures_are_written_with_the_slide_s_shape(sharp, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "SIDE_PX", 800)
    paths = write_pictures(tmp_path, _sharp_slide(), sharp)
    assert [path.name for path in paths] == NAMES == [p.name for p in paths if p.is_file()]
    for path in (paths[0], paths[2]):
        with Image.open(path) as image:
            assert image.width in (pictures.SIDE_PX, pictures.SIDE_PX + 1)
            assert image.height > round(pictures.SIDE_PX * 768 / 1024)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_pictures_show_tissue_ink_and_squares(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "SIDE_PX", 800)
    painted = _sharp_slide(inked=True)
    tissue_path, _, focus_path = write_pictures(tmp_path, painted, assess(painted))
    tissue, focus = (np.asarray(Image.open(path).convert("RGB")) for path in (tissue_path, focus_path))
    outline = (tissue == TISSUE_COLOUR).all(axis=2)
    legend = (tissue == PEN_COLOUR).all(axis=2)
    squares = (focus == pictures.SHARP_COLOUR).all(axis=2)
    assert outline.sum() > 1000
    assert legend.sum() > 100
    assert squares.sum() > 1000
    # Under ink the picture is nearer to the legend's colour than where it is glass.
    inked, bare = tissue[90, 400], tissue[400, 20]
    assert np.abs(inked - np.int64(PEN_COLOUR)).sum() < np.abs(bare - np.int64(PEN_COLOUR)).sum()


def test_pictures_are_the_same_bytes_each_time(sharp, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "SIDE_PX", 300)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_pictures(tmp_path / name, _sharp_slide(), sharp)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_narrow_slide_and_an_unjudged_focus_have_pictures_too(tmp_path):
    narrow = slide(glass(40, 900))
    paths = write_pictures(tmp_path, narrow, assess(narrow))
    assert all(path.stat().st_size > 0 for path in paths)
