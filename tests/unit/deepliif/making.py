"""Small masks of many shapes, with the pictures that go with them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

PALETTE = np.array(
    [
        (0, 0, 0),
        (0, 0, 0),
        (255, 0, 0),
        (0, 0, 255),
        (0, 255, 0),
        (60, 80, 60),
        (61, 80, 60),
        (90, 81, 90),
        (40, 10, 200),
    ],
    np.uint8,
)


def _seg(picks, cells_only):
    return PALETTE[np.where(picks > 1, picks, 0) if not cells_only else np.where(picks > 5, 2, picks % 4)]


masks = st.builds(
    _seg,
    hnp.arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 8)),
    st.booleans(),
)


def picture_for(seg, seed=0, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (*seg.shape[:2], channels), dtype=np.uint8)


def mask_of(rows):
    """A mask from letters: r red, b blue, g green, anything else black."""
    colours = {"r": (255, 0, 0), "b": (0, 0, 255), "g": (0, 255, 0)}
    return np.array([[colours.get(letter, (0, 0, 0)) for letter in row] for row in rows], np.uint8)
