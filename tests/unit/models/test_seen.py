"""Whether a slide is stained as training was: the numbers by hand, and looks that must and must not be told."""

import numpy as np
import pytest

from models.colour import HED_VECTORS, from_density
from models.seen import STATISTICS, describe_stain, find_unmeasured, find_unseen, seen_of
from models.stain_spec import SeenRange, StainSeen

HEMATOXYLIN, EOSIN, DAB = HED_VECTORS


def picture(hematoxylin=1.0, eosin=1.0, second=EOSIN, seed=0):
    """uint8 (60, 60, 3): a third glass, nuclei of pure hematoxylin, plasma of the second stain and mixtures."""
    generator = np.random.default_rng(seed)
    amounts = generator.uniform(0.3, 1.0, (60, 60, 2)) * (hematoxylin, eosin)
    kind = generator.random((60, 60))
    amounts[kind < 0.25, 1] = 0
    amounts[kind > 0.75, 0] = 0
    amounts[:20] = 0
    return from_density((amounts @ np.stack((HEMATOXYLIN, second))).astype(np.float32))


@pytest.fixture(scope="module")
def seen():
    return seen_of([picture(*strengths(seed), seed=seed) for seed in range(12)], mpp=0.5)


def strengths(seed):
    return tuple(np.random.default_rng(100 + seed).uniform(0.85, 1.15, 2))


def test_the_stains_hues_and_strengths_are_found():
    found = describe_stain(picture())
    assert tuple(found) == STATISTICS
    hues = [np.degrees(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) for r, g, b in (HEMATOXYLIN, EOSIN)]
    assert found["hematoxylin_hue"] == pytest.approx(hues[0], abs=3)
    assert found["eosin_hue"] == pytest.approx(hues[1], abs=3)
    # amounts are even between 0.3 and 1, a quarter of them 0: 95 in 100 are below 0.953
    assert found["hematoxylin_strength"] == pytest.approx(0.953, abs=0.02)
    assert found["eosin_strength"] == pytest.approx(0.953, abs=0.02)


def test_densities_are_medians_over_tissue_alone():
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[:20] = from_density(np.array([0.5, 0.9, 0.2], dtype=np.float32))
    found = describe_stain(pixels)
    assert [found[name] for name in STATISTICS[:3]] == pytest.approx([0.5, 0.9, 0.2], abs=0.01)


def test_one_stain_has_no_hues_and_glass_has_nothing():
    one = np.full((40, 40, 3), from_density(EOSIN), dtype=np.uint8)
    assert tuple(describe_stain(one)) == STATISTICS[:3]
    assert describe_stain(np.full((40, 40, 3), 250, dtype=np.uint8)) == {}


def test_dab_has_a_hue_far_from_eosin_s_without_a_jump_between():
    eosin, brown = (describe_stain(picture(second=vector))["eosin_hue"] for vector in (EOSIN, DAB))
    assert 100 < eosin < 140 and 180 < brown < 240


def test_a_slide_like_the_training_s_is_not_told(seen):
    for seed in range(20, 30):
        assert find_unseen(seen, describe_stain(picture(*strengths(seed), seed=seed))) == ()


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"hematoxylin": 0.4}, "hematoxylin_strength", "hematoxylin is fainter"),
        ({"hematoxylin": 2.5}, "hematoxylin_strength", "hematoxylin is stronger"),
        ({"eosin": 0.4}, "eosin_strength", "eosin is fainter"),
        ({"second": DAB}, "eosin_hue", "eosin is more orange"),
        ({"hematoxylin": 2.0, "eosin": 2.0}, "density_green", "more green light"),
    ],
)
def test_an_extreme_slide_is_told_in_words_and_numbers(seen, changes, name, words):
    unseen = {item.name: item for item in find_unseen(seen, describe_stain(picture(**changes)))}
    text = unseen[name].text()
    assert words in text and f"{seen.ranges[name].low:.3g} to {seen.ranges[name].high:.3g}" in text
    assert unseen[name].as_dict()["value"] == pytest.approx(unseen[name].value, abs=1e-4)


def test_a_range_is_its_percentiles_and_a_quarter_more_at_each_end(seen):
    values = [describe_stain(picture(*strengths(s), seed=s))["hematoxylin_strength"] for s in range(12)]
    low, high = np.percentile(values, [1, 99])
    more = max(0.25 * (high - low), 0.15 * (low + high) / 2)
    found = seen.ranges["hematoxylin_strength"]
    assert (found.low, found.high) == pytest.approx((low - more, high + more), abs=1e-4)
    assert (seen.images, seen.mpp) == (12, 0.5)


def test_what_the_slide_gives_no_number_for_is_named(seen):
    one = np.full((40, 40, 3), from_density(EOSIN * 0.5), dtype=np.uint8)
    assert find_unmeasured(seen, describe_stain(one)) == STATISTICS[3:]
    assert find_unmeasured(seen, describe_stain(picture())) == ()


def test_statistics_without_a_range_are_not_compared():
    some = StainSeen(images=5, mpp=0.5, ranges={"eosin_hue": SeenRange(low=0, high=1)})
    assert [item.name for item in find_unseen(some, describe_stain(picture()))] == ["eosin_hue"]


def test_too_few_images_give_no_range():
    glass = np.full((40, 40, 3), 250, dtype=np.uint8)
    assert seen_of([*(picture(seed=seed) for seed in range(4)), glass], mpp=0.5) is None
