import numpy as np
import pytest
from scipy import ndimage

from models.dab import BLUE, BROWN, dab_classes
from training.deepliif.real import RealImage, derived_modalities, rescaled
from training.deepliif.stains import IhcLook, Reference, draw_look, mix, move_stain, read_reference

HEMATOXYLIN, DAB = np.array([0.77, 0.54, 0.34]), np.array([0.36, 0.55, 0.75])
LOOK = IhcLook(HEMATOXYLIN, DAB, np.array([235.0, 235, 240]), (-0.6, 0.2), (0.3, 0.2), 0.3, 0.0)


def purple(side=96):
    """Four round nuclei, the second paler than the first, on pale pink ground."""
    rows, columns = np.mgrid[:side, :side]
    instances = np.zeros((side, side), np.int32)
    for number, (y, x) in enumerate([(24, 24), (24, 70), (70, 24), (70, 70)], 1):
        instances[(rows - y) ** 2 + (columns - x) ** 2 < 12**2] = number
    strength = np.array([0, 1.0, 0.6, 0.9, 0.8])[instances]
    ground = 0.25 * (instances == 0) * (columns > 4)
    density = strength[..., None] * np.array([0.65, 0.7, 0.29]) + ground[..., None] * np.array([0.07, 0.99, 0.11])
    grain = np.random.default_rng(0).normal(0, 1, density.shape)
    return np.clip(250 * np.exp(-density) + grain, 0, 255).astype(np.uint8), instances


def turned(positive, seed=3):
    rgb, instances = purple()
    generator = np.random.default_rng(seed)
    amounts = move_stain(rgb, instances, np.array(positive), LOOK, generator)
    return mix(amounts, LOOK, generator), instances, amounts


def test_positive_nuclei_turn_brown_and_negative_ones_stay_blue():
    ihc, instances, _ = turned([True, False, True, False])
    kinds = dab_classes(ihc)
    core = ndimage.binary_erosion(instances > 0, iterations=2)
    for number, wanted in ((1, BROWN), (2, BLUE), (3, BROWN), (4, BLUE)):
        assert (kinds[core & (instances == number)] == wanted).mean() > 0.9, number
    outside = ~ndimage.binary_dilation(instances > 0, iterations=4)
    assert (kinds[outside] == 0).mean() > 0.98


def test_no_ring_of_the_old_stain_stays_around_a_brown_nucleus():
    ihc, instances, amounts = turned([True, True, True, True])
    ring = ndimage.binary_dilation(instances > 0, iterations=2) & (instances == 0)
    assert (dab_classes(ihc)[ring] == BLUE).mean() < 0.05
    assert amounts.brown[instances > 0].mean() > 5 * amounts.brown[instances == 0].mean()


def test_the_same_seed_gives_the_same_picture():
    first, second, other = (turned([True, False, False, False], seed)[0] for seed in (3, 3, 4))
    assert (first == second).all() and (first != other).any()


def test_a_picture_without_nuclei_stays_without():
    rgb, _ = purple()
    generator = np.random.default_rng(0)
    blank = np.full_like(rgb, 240)
    amounts = move_stain(blank, np.zeros(rgb.shape[:2], np.int32), np.zeros(0, bool), LOOK, generator)
    assert not dab_classes(mix(amounts, LOOK, generator)).any()


def test_a_reference_gives_back_the_stains_it_was_drawn_with():
    ihc, _, _ = turned([True, False, True, False])
    found = read_reference("drawn", np.tile(ihc, (2, 2, 1)))
    assert found.hematoxylin @ HEMATOXYLIN / np.linalg.norm(HEMATOXYLIN) > 0.99
    assert found.dab @ DAB / np.linalg.norm(DAB) > 0.99
    assert len(found.blue) == 8 and len(found.brown) == 8
    with pytest.raises(ValueError, match="cannot be a reference"):
        read_reference("glass", np.full((64, 64, 3), 255, np.uint8))


def test_looks_lie_between_the_references_and_need_enough_nuclei():
    one, two = np.full(20, 0.5), np.full(20, 1.5)
    references = [
        Reference("a", HEMATOXYLIN, DAB, np.full(3, 230.0), one, two),
        Reference("b", HEMATOXYLIN, DAB, np.full(3, 240.0), one, np.zeros(0)),
    ]
    looks = [draw_look(references, np.random.default_rng(seed)) for seed in range(8)]
    assert all(look.hematoxylin @ HEMATOXYLIN / np.linalg.norm(HEMATOXYLIN) > 0.98 for look in looks)
    assert np.mean([look.brown[0] for look in looks]) == pytest.approx(np.log(1.5), abs=0.2)
    with pytest.raises(ValueError, match="10 are needed"):
        draw_look(references[1:], np.random.default_rng(0))


def test_derived_modalities_are_dark_where_there_is_no_nucleus():
    _, instances, amounts = turned([True, False, False, False])
    hematoxylin, dapi, lap2, marker = derived_modalities(amounts, instances)
    outside = instances == 0
    assert (dapi[outside] == 10).all() and (lap2[outside] == 0).all() and (marker[outside] == 10).all()
    assert dapi[instances > 0].mean() > 80 and marker[instances == 1].mean() > 40 > marker[instances == 2].mean()
    assert hematoxylin[outside].mean() > hematoxylin[instances > 0].mean()
    rim, core = (lap2[(instances > 0) & picked].mean() for picked in _rim_and_core(instances))
    assert rim > 2 * core


def _rim_and_core(instances):
    core = ndimage.binary_erosion(instances > 0, iterations=5)
    return (instances > 0) & ~ndimage.binary_erosion(instances > 0, iterations=3), core


def test_images_are_brought_to_one_size_of_nuclei_and_mirrored_to_fill_a_square():
    rgb, instances = purple()
    image = rescaled(RealImage("a", "set", rgb, instances), 36.0, 200)
    areas = np.bincount(image.instances.ravel())[1:]
    assert image.instances.shape == (200, 200) and image.rgb.shape == (200, 200, 3)
    assert 2 * np.sqrt(np.median(areas) / np.pi) == pytest.approx(36, rel=0.1)
    # A nucleus that is mirrored whole is another cell.
    assert ndimage.label(image.instances > 0)[1] == int(image.instances.max()) > 4
    assert (image.rgb[:144, :144][:, ::-1] != image.rgb[:144, :144]).any()
