"""What is tissue and what is not, on painted slides whose truth is known."""

import numpy as np
import pytest

from tests.unit.quality.paintings import GLASS, EndlessSlide, band, disc, draw, glass, slide, stain
from workers.geometry import Box
from workers.quality import find_tissue, masks, tissue
from workers.quality.ink import find_ink

HE = {"hematoxylin": 0.25, "eosin": 0.35}
INK_NAMES = ("blue", "green", "black", "red")


def _agreement(found: np.ndarray, true: np.ndarray) -> float:
    """Intersection over union."""
    return float((found & true).sum() / (found | true).sum())


# Glass


@pytest.mark.parametrize(("grey", "noise"), [(255, 0.0), (228, 0.0), (255, 4.0), (240, 4.0), (216, 4.0)])
def test_blank_glass_has_no_tissue(grey, noise):
    found = find_tissue(slide(glass(level=(grey, grey, grey)), noise=noise))
    assert not found.mask.any()
    assert not found.pen.any()


@pytest.mark.parametrize("tint", [(244, 241, 236), (238, 242, 246), (240, 244, 240)])
def test_tinted_glass_has_no_tissue(tint):
    assert not find_tissue(slide(glass(level=tint), noise=3.0)).mask.any()


def test_uneven_light_is_no_tissue():
    canvas = glass() * np.linspace(0.88, 1.0, 400, dtype=np.float32)[None, :, None]
    assert not find_tissue(slide(canvas, noise=2.0)).mask.any()


def test_a_coverslip_rim_and_a_bubble_are_no_tissue():
    canvas = glass()
    canvas[:, 120:124] *= 0.2
    canvas[disc(canvas.shape, 250, 150, 80)] *= 0.93
    assert not find_tissue(slide(canvas, noise=2.0)).mask.any()


def test_where_nothing_was_scanned_is_no_tissue():
    canvas = glass()
    canvas[:, 200:] = 255
    canvas = stain(canvas, disc(canvas.shape, 100, 150, 60), HE)
    found = find_tissue(slide(canvas, bounds=Box(0, 0, 200, 300)))
    assert found.mask[:, :200].any()
    assert not found.mask[:, 190:].any()


# Tissue


@pytest.mark.parametrize(
    ("amounts", "mpp"),
    [(HE, 8.0), ({"eosin": 0.3}, 8.0), ({"hematoxylin": 0.3}, 30.0), ({"hematoxylin": 0.1, "dab": 0.4}, 30.0)],
    ids=str,
)
def test_a_stained_disc_is_found_with_its_area(amounts, mpp):
    canvas = glass()
    true = disc(canvas.shape, 180, 140, 90)
    found = find_tissue(slide(stain(canvas, true, amounts), mpp, noise=2.0))
    area_mm2 = np.pi * (90 * mpp / 1000) ** 2
    assert found.mpp == mpp
    assert found.tissue_mm2 == pytest.approx(area_mm2, rel=0.05)
    assert _agreement(found.mask, true) > 0.95
    assert not found.pen.any()


def test_a_fine_slide_is_looked_at_coarsely():
    canvas = stain(glass(600, 600), disc((600, 600), 300, 300, 150), HE)
    found = find_tissue(slide(canvas, mpp=4.0))
    assert (found.mpp, found.level0_mpp, found.mask.shape) == (8.0, 4.0, (300, 300))
    assert found.tissue_mm2 == pytest.approx(np.pi * 0.6**2, rel=0.05)


def test_faint_fat_counts_where_it_touches_tissue_and_not_alone():
    canvas = glass()
    fat, lone = disc(canvas.shape, 150, 150, 60), disc(canvas.shape, 330, 150, 40)
    canvas[fat | lone] *= np.array([0.98, 0.9, 0.96], dtype=np.float32)
    canvas = stain(canvas, disc(canvas.shape, 80, 150, 40), HE)
    found = find_tissue(slide(canvas)).mask
    assert found[fat].mean() > 0.95
    assert not found[lone].any()


def test_weak_textured_stain_is_found_and_the_same_without_texture_is_not():
    """The alveoli of a weakly counterstained section: thin blue walls, on average little denser than glass."""
    place = disc((300, 400), 200, 150, 110)
    rows, columns = np.indices(place.shape)
    walls = place & ((rows % 5 < 2) | (columns % 5 < 2))
    weak = find_tissue(slide(stain(glass(), walls, {"hematoxylin": 0.08}), noise=1.0)).mask
    smooth = find_tissue(slide(glass() * np.where(place, 0.94, 1.0)[..., None], noise=1.0)).mask
    assert weak[place].mean() > 0.9
    assert weak[~place].mean() < 0.03
    assert not smooth.any()


def test_a_region_smaller_than_a_speck_of_a_slide_may_be_tissue():
    everywhere = np.ones((256, 256), dtype=bool)
    found = find_tissue(slide(stain(glass(256, 256), everywhere, HE), mpp=0.25))
    assert found.mask.all()
    assert found.tissue_mm2 == pytest.approx(0.064**2)


def test_specks_are_dropped_and_small_holes_filled():
    canvas = glass()
    piece, hole, speck = (disc(canvas.shape, *at) for at in ((150, 150, 80), (150, 150, 6), (330, 60, 3)))
    found = find_tissue(slide(stain(canvas, (piece & ~hole) | speck, HE))).mask
    assert found[hole].all()
    assert not found[speck].any()


def test_a_big_hole_and_a_corner_of_glass_stay_glass():
    shape = (300, 400)
    hole, corner = disc(shape, 200, 150, 40), disc(shape, 0, 0, 14)
    found = find_tissue(slide(stain(glass(), ~hole & ~corner, HE))).mask
    assert found[hole].mean() < 0.1
    assert found[corner].mean() < 0.3


# Ink and padding


@pytest.mark.parametrize("ink", INK_NAMES)
def test_a_stroke_on_glass_is_ink_and_not_tissue(ink):
    canvas = glass()
    stroke = band(canvas.shape, 130, 160)
    found = find_tissue(slide(draw(canvas, stroke, ink), noise=2.0))
    assert found.pen[stroke].mean() > 0.99
    assert found.pen[~band(canvas.shape, 125, 165)].mean() == 0
    assert not found.mask.any()


@pytest.mark.parametrize("ink", ["blue", "green", "black"])
def test_a_stroke_over_tissue_takes_its_place(ink):
    canvas = glass()
    piece, stroke = disc(canvas.shape, 200, 150, 100), band(canvas.shape, 130, 160)
    found = find_tissue(slide(draw(stain(canvas, piece, HE), stroke, ink), noise=2.0))
    assert found.pen[stroke].mean() > 0.97
    assert not (found.mask & found.pen).any()
    away = piece & ~band(canvas.shape, 122, 168)
    assert found.mask[away].mean() > 0.97


@pytest.mark.parametrize("ink", ["blue", "green"])
def test_the_pale_rim_of_a_stroke_is_ink(ink):
    canvas = glass()
    distance = np.abs(np.arange(300) - 150)
    strength = np.clip((30 - distance) / 15, 0, 1)[:, None, None]
    inked = draw(canvas, np.ones(canvas.shape[:2], dtype=bool), ink)
    found = find_tissue(slide((canvas * (1 - strength) + inked * strength).astype(np.float32)))
    assert not found.mask.any()
    assert found.pen[(distance < 27)].mean() > 0.98
    assert not found.pen[distance > 40].any()


@pytest.mark.parametrize(
    "amounts", [HE, {"hematoxylin": 0.8}, {"eosin": 1.0}, {"dab": 0.9}, {"hematoxylin": 0.5, "dab": 0.5}], ids=str
)
def test_no_stain_is_taken_for_ink(amounts):
    canvas = stain(glass(), disc((300, 400), 200, 150, 100), amounts)
    assert not find_tissue(slide(canvas, noise=2.0)).pen.any()


def test_black_padding_is_excluded():
    canvas = stain(glass(), disc((300, 400), 120, 150, 90), HE)
    canvas[:, 300:] = 0
    found = find_tissue(slide(canvas))
    assert found.pen[:, 300:].all()
    assert not found.mask[:, 295:].any()
    assert found.mask[:, :290].any()


def test_dark_specks_are_not_strokes():
    picture = np.full((100, 100, 3), GLASS, dtype=np.uint8)
    picture[::10, ::10] = 5
    assert not find_ink(picture, 8.0).any()


# Bounds of work


def test_strips_do_not_show(monkeypatch):
    rows, columns = np.indices((300, 400))
    canvas = stain(glass(), disc((300, 400), 130, 150, 100), HE)
    canvas = stain(canvas, (columns > 250) & ((rows % 5 < 2) | (columns % 5 < 2)), {"hematoxylin": 0.08})
    painted = slide(draw(canvas, band(canvas.shape, 40, 60), "green"), noise=2.0)
    whole = find_tissue(painted)
    assert whole.mask[:, 260:].any()
    for rows_px in (17, 299):
        monkeypatch.setattr(masks, "STRIP_ROWS", rows_px)
        monkeypatch.setattr(tissue, "STRIP_ROWS", rows_px)
        cut = find_tissue(painted)
        np.testing.assert_array_equal(cut.mask, whole.mask)
        np.testing.assert_array_equal(cut.pen, whole.pen)


def test_a_huge_slide_is_read_in_strips_of_a_bounded_mask(monkeypatch):
    monkeypatch.setattr(tissue, "MAX_SIDE_PX", 700)
    endless = EndlessSlide(10_000_000, 0.25, Box(2_000_000, 3_000_000, 4_000_000, 2_000_000))
    found = find_tissue(endless)
    assert found.mask.shape == (700, 700)
    assert endless.most_px <= masks.STRIP_ROWS * 700
    assert found.tissue_mm2 == pytest.approx(4e6 * 2e6 * (0.25 / 1000) ** 2, rel=0.03)


def test_the_mask_of_the_largest_slide_has_a_bounded_side():
    largest = EndlessSlide(10_000_000, 0.25, Box(0, 0, 1, 1))
    assert 10_000_000 * 0.25 / tissue.mask_mpp(largest.info) == pytest.approx(tissue.MAX_SIDE_PX)
