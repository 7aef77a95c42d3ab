"""The seam score: 1 where tiles cannot show, above where they do, none where there is too little to say."""

import numpy as np

from workers.engine.seams import SeamSums, measure_seams

SIDE = 256
BORDERS = ([64, 128, 192], [64, 128, 192])
ALL = np.ones((SIDE, SIDE), dtype=bool)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)


def test_a_ramp_has_no_seam() -> None:
    ramp = np.tile(np.arange(SIDE, dtype=np.uint8), (1, SIDE, 1))
    both = (ramp.astype(int) + ramp.swapaxes(1, 2)) // 2
    assert measure_seams(both.astype(np.uint8), ALL, BORDERS).score == 1.0


def test_noise_scores_about_one() -> None:
    score = measure_seams(noise(), ALL, BORDERS).score
    assert score is not None
    assert abs(score - 1) < 0.03


def test_a_step_at_every_tile_shows() -> None:
    steps = np.repeat(np.arange(4, dtype=np.uint8) * 40, 64)
    values = (steps[None, :, None] + steps[None, None, :] + noise()[:1] // 32).astype(np.uint8)
    score = measure_seams(values, ALL, BORDERS).score
    assert score is not None
    assert score > 5


def test_pixels_outside_of_the_tissue_do_not_count() -> None:
    values = noise()
    values[:, :, 128:] = 255
    tissue = ALL.copy()
    tissue[:, 128:] = False
    sums = measure_seams(values, tissue, ([128], []))
    assert sums.border_count == 0
    assert sums.score is None


def test_sums_add_up() -> None:
    assert SeamSums(1, 2, 3, 4) + SeamSums(10, 20, 30, 40) == SeamSums(11, 22, 33, 44)


def test_one_border_by_hand() -> None:
    row = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 11], dtype=np.uint8)
    sums = measure_seams(row[None, None], np.ones((1, 18), dtype=bool), ([9], []))
    # Beside the border: columns 1, 4, 6, 12, 14 and 17; only the last sees a step, of 2.
    assert sums == SeamSums(border_sum=9, border_count=1, near_sum=2, near_count=6)
