"""Pictures a person can judge a segmentation by."""

import numpy as np
from scipy import ndimage

from training.nuclei.sources import RGB, Instances

TRUE_COLOUR = (255, 210, 0)
FOUND_COLOUR = (0, 230, 90)


def outline(image: RGB, instances: Instances, colour: tuple[int, int, int], zoom: int = 2) -> RGB:
    """The image enlarged `zoom` times with one-pixel outlines drawn just inside every instance."""
    large = image.repeat(zoom, 0).repeat(zoom, 1).copy()
    numbers = instances.repeat(zoom, 0).repeat(zoom, 1)
    rim = (numbers > 0) & (
        (ndimage.minimum_filter(numbers, 3, mode="nearest") != numbers)
        | (ndimage.maximum_filter(numbers, 3, mode="nearest") != numbers)
    )
    large[rim] = colour
    return large


def side_by_side(image: RGB, truth: Instances, found: Instances) -> RGB:
    """Truth in yellow on the left, prediction in green on the right, a white line between."""
    left, right = outline(image, truth, TRUE_COLOUR), outline(image, found, FOUND_COLOUR)
    return np.hstack([left, np.full((len(left), 4, 3), 255, np.uint8), right])
