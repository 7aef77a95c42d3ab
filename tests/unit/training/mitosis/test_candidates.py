"""The candidate detector against a slow reference; windows against the whole."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.mitosis.candidates import find_candidates
from training.mitosis.config import CandidateConfig
from workers.geometry import Box
from workers.measures.candidates import smooth_intensity


class ArraySlide:
    """A slide held in memory, white outside."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.info = SimpleNamespace(width_px=pixels.shape[1], height_px=pixels.shape[0], mpp=0.25)

    def read(self, box: Box, mpp: float):
        out = np.full((box.height, box.width, 3), 255, np.uint8)
        inside = box.intersect(Box(0, 0, self.info.width_px, self.info.height_px))
        if not inside.is_empty:
            part = self.pixels[inside.y : inside.bottom, inside.x : inside.right]
            y, x = inside.y - box.y, inside.x - box.x
            out[y : y + inside.height, x : x + inside.width] = part
        return out


def config(**numbers):
    return CandidateConfig(**({"diameter_px": 6, "threshold": 0.6, "smooth_px": 0, "match_px": 3} | numbers))


def grey(*rows):
    return np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2)


def test_darkest_first_and_nothing_within_the_diameter():
    pixels = np.full((1, 20, 3), 255, np.uint8)
    for x, value in ((2, 50), (6, 10), (11, 90), (13, 40)):
        pixels[0, x] = value
    found = find_candidates(ArraySlide(pixels), 0.25, config())
    # 50 at x = 2 lies 4 px from 10 at x = 6; 90 at x = 11 lies 2 px from 40 at x = 13.
    assert found.tolist() == [[6.5, 0.5], [13.5, 0.5]]


def test_a_suppressed_disc_suppresses_nothing():
    pixels = np.full((1, 20, 3), 255, np.uint8)
    for x, value in ((2, 10), (7, 20), (11, 30)):
        pixels[0, x] = value
    found = find_candidates(ArraySlide(pixels), 0.25, config())
    assert found[:, 0].tolist() == [2.5, 11.5]


def test_the_threshold_is_of_white_and_ends_the_search():
    pixels = grey([255, 152, 255, 255, 255, 255, 255, 255, 255, 154, 255])
    assert find_candidates(ArraySlide(pixels), 0.25, config())[:, 0].tolist() == [1.5]


def test_equal_darkness_goes_by_place():
    pixels = np.full((12, 12, 3), 255, np.uint8)
    pixels[2, 8] = pixels[4, 4] = 10
    assert find_candidates(ArraySlide(pixels), 0.25, config())[0].tolist() == [8.5, 2.5]


def test_nothing_dark_gives_no_candidate():
    assert find_candidates(ArraySlide(np.full((9, 9, 3), 255, np.uint8)), 0.25, config()).shape == (0, 2)


def test_smoothing_is_exact_in_whole_numbers():
    flat = np.full((9, 9, 3), 200, np.uint8)
    assert (smooth_intensity(flat, 1.5) == 600 * 4096**2).all()


def slow(pixels, rule):
    """Take the darkest pixel, blank its disc, again; on plain minima of the whole image."""
    smooth = smooth_intensity(np.pad(pixels, ((9, 9), (9, 9), (0, 0)), constant_values=255), rule.smooth_px)
    white = 765 * 4096**2 if rule.smooth_px else 765
    height, width = pixels.shape[:2]
    left = [
        (int(smooth[y + 9, x + 9]), y, x)
        for y in range(height)
        for x in range(width)
        if smooth[y + 9, x + 9] <= rule.threshold * white
        and smooth[y + 9, x + 9] == smooth[y + 8 : y + 11, x + 8 : x + 11].min()
    ]
    taken = []
    for _, y, x in sorted(left):
        if all((x - a) ** 2 + (y - b) ** 2 >= rule.diameter_px**2 for a, b in taken):
            taken.append((x, y))
    return [[x + 0.5, y + 0.5] for x, y in taken]


small_images = arrays(
    np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14), st.just(3)), elements=st.integers(0, 255)
)


@given(small_images, st.integers(3, 16), st.sampled_from([0, 1.0]))
def test_windows_give_what_the_whole_image_gives(pixels, window, smooth):
    rule = config(smooth_px=smooth, diameter_px=4)
    found = find_candidates(ArraySlide(pixels), 0.25, rule, window_px=window)
    assert found.tolist() == slow(pixels, rule)
