"""The candidates of a slide: dark discs that do not touch each other's centres."""

from collections.abc import Iterator

import numpy as np

from training.mitosis.config import CandidateConfig
from workers.geometry import Box
from workers.measures.candidates import DarkDiscs, Minima, Points, take_darkest, window_minima
from workers.slides.slide import Slide, frame_size

WINDOW_PX = 2048


def find_candidates(slide: Slide, mpp: float, config: CandidateConfig, window_px: int = WINDOW_PX) -> Points:
    """(n, 2) centres of the candidates in px of the slide's frame at `mpp`, darkest first.

    The mean of red, green and blue is smoothed by a Gaussian of `smooth_px` (the paper is silent; without it every dark
    grain of chromatin is a minimum), and its local minima up to `threshold` of white are taken, darkest first, of
    equals the upper left: each one nearer than `diameter_px` to one taken before is suppressed. That is the paper's
    "iterative detection and suppression of all circular areas of diameter d" until what is below t is exhausted.

    The slide is read in windows; the result is that of the whole image at once. Memory is a window and the minima.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section IV.A.
    """
    rule = DarkDiscs(config.diameter_px, config.threshold, config.smooth_px)
    width, height = frame_size(slide.info, mpp)
    parts = []
    for core in _windows(width, height, window_px):
        box = core.grow(rule.margin_px)
        parts.append(window_minima(slide.read(box, mpp), (box.x, box.y), core, rule))
    found = Minima(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "dark")))
    return take_darkest(found, rule.diameter_px)


def _windows(width: int, height: int, side: int) -> Iterator[Box]:
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Box(x, y, min(side, width - x), min(side, height - y))
