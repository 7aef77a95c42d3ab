"""Brown, blue or neither: colour channel filtering of a slide stained with DAB over hematoxylin."""

import numpy as np
from numpy.typing import NDArray

from models.colour import to_hed

Bytes = NDArray[np.uint8]
REST, BLUE, BROWN = 0, 1, 2
BROWN_DENSITY = 0.35
BLUE_DENSITY = 0.45


def dab_classes(rgb: Bytes, brown_density: float = BROWN_DENSITY, blue_density: float = BLUE_DENSITY) -> Bytes:
    """uint8 (H, W): 2 where DAB shows, 1 where hematoxylin alone does, 0 elsewhere.

    The paper filters colour channels and names no thresholds. Here a pixel is unmixed into hematoxylin, eosin and DAB;
    it is brown at `brown_density` of DAB or more, otherwise blue at `blue_density` of hematoxylin or more.

    The defaults were chosen on four phantoms of 1024 px, whose negative nuclei have 0.5 to 1.2 of hematoxylin and less
    than 0.03 of DAB, positive ones 0.4 of DAB or more, and the rest of the tissue at most 0.25 and 0.08. There brown
    covers 0.97 to 1.05 of the area of positive nuclei and blue 0.99 to 1.04 of that of negative ones. They were then
    looked at on a real section (OpenSlide's OS-2), where pale nuclei are found and cytoplasm is not. Another
    laboratory's counterstain may ask for other numbers.

    Parameters
    ----------
    rgb
        uint8, (H, W, 3).
    brown_density, blue_density
        Optical densities (natural logarithm) along the unit vectors of DAB and of hematoxylin.

    References
    ----------
    Liu et al., doi:10.3389/fmolb.2020.00183 (colour channel filtering); Ruifrok and Johnston 2001, PMID 11531144 (the
    unmixing).
    """
    amounts = to_hed(rgb)
    brown = amounts[..., 2] >= brown_density
    blue = ~brown & (amounts[..., 0] >= blue_density)
    found: Bytes = blue.astype(np.uint8) + BROWN * brown.astype(np.uint8)
    return found
