"""Where a person drew on the glass, and where the scanner filled with black: neither is tissue.

Hematoxylin, eosin and DAB all absorb green at least about as much as red; blue and green ink absorb red most, black ink
absorbs everything, red ink absorbs green and blue alike and very much. Where ink lies over tissue the two add up, so
that near a stroke a red absorption only a little above the green one is ink too.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from workers.quality.density import densities, mean, spread
from workers.quality.masks import Mask, strips, without_holes, without_specks

BLACK_VALUE = 40
MIN_STROKE_UM2 = 10_000.0
MIN_STROKE_PX = 9
REACH_UM = 200.0
"""How far from a stroke its pale rim and its mixture with tissue are looked for."""
REACH_PX = 24
"""The same on fine masks, whose strokes are wider than this picture of them."""


def find_ink(rgb: NDArray[np.uint8], mpp: float) -> Mask:
    """Ink and black padding of a picture (H, W, 3) at `mpp`, bool (H, W)."""
    strong = np.zeros(rgb.shape[:2], dtype=bool)
    weak = np.zeros_like(strong)
    for rows, seen, inner in strips(rgb.shape[0]):
        marked, tinted = _look_at(rgb[seen])
        strong[rows], weak[rows] = marked[inner], tinted[inner]
    return _strokes(strong, weak, mpp)


def _look_at(rgb: NDArray[np.uint8]) -> tuple[Mask, Mask]:
    """Pixels that are ink or padding by themselves, and pixels that are where ink is near."""
    channels = densities(rgb)
    red, green, blue = channels
    density, chroma = mean(channels), spread(channels)
    black = (rgb.max(axis=2) < BLACK_VALUE) | ((density > 0.7) & (chroma < 0.15))
    coloured = density > 0.12
    bluish = coloured & (red > 1.25 * green) & (red > 1.6 * blue) & (chroma > 0.15)
    # Crowded nuclei of a bluish hematoxylin come this far: ink goes further, or is darker.
    bluish &= (red > 1.7 * green) | (red > 2.9 * blue) | (red > 0.6)
    # Blue ink over eosin is as dark in green as in red, like hematoxylin, which absorbs more blue beside.
    mixed = (density > 0.35) & (red > 0.85 * green) & (blue < 0.3 * red)
    # The rim of a stroke is pale; no stain absorbs green least, so that faint green is ink already.
    greenish = (density > 0.03) & (red > 1.3 * green) & (blue > 1.02 * green) & (chroma > 0.03)
    reddish = coloured & (green > 4 * red) & (blue > 0.75 * green) & (chroma > 0.5) & (blue < 1.3 * green)
    # Nuclei under ink are as dark in green as in red: the mean of a neighbourhood tells what a pixel cannot.
    red, green, blue = (ndimage.uniform_filter(channel, 5) for channel in (red, green, blue))
    tinted = (red > 1.08 * green + 0.01) & (red > 1.15 * blue + 0.01)
    tinted |= (red > 0.85 * green) & (blue < 0.33 * red) & (red > 0.4)
    return black | bluish | mixed | greenish | reddish, tinted


def _strokes(strong: Mask, weak: Mask, mpp: float) -> Mask:
    """Ink as a person sees it: specks of a few pixels are nuclei or dirt; strokes have rims and no holes."""
    least = max(MIN_STROKE_PX, round(MIN_STROKE_UM2 / mpp**2))
    strokes = without_specks(strong, least)
    if not strokes.any():
        return strokes
    reach = max(2, min(REACH_PX, round(REACH_UM / mpp)))
    near = ndimage.maximum_filter(strokes, 2 * reach + 1)
    whole = without_specks(strokes | (weak & near), least)
    return without_holes(ndimage.binary_dilation(whole, iterations=2), least)
