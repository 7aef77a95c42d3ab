"""Tiles that hold nothing: answered with flat colours, without the network, where a package says which.

References
----------
Ghahremani et al., doi:10.1038/s42256-022-00471-x, whose program does so.
"""

import numpy as np

from models.manifest import Manifest, OutputSpec
from workers.deepliif.grid import is_empty
from workers.slides.slide import RGB


def is_answered(tile: RGB, manifest: Manifest) -> bool:
    """Whether the tile is empty and every output says what it shows there."""
    return all(output.empty is not None for output in manifest.outputs) and is_empty(tile)


def flat_answer(output: OutputSpec) -> RGB:
    """What an output shows in an empty tile: uint8 (3, 1, 1), the same at every pixel.

    Raises
    ------
    ValueError
        The output does not say.
    """
    if output.empty is None:
        raise ValueError(f"output {output.name} has no colour for an empty tile")
    return np.array(output.empty, np.uint8)[:, None, None]
