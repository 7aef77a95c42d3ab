"""What a nucleus of the phantom is: its place, shape, kind and stains. This is the truth that the pictures show."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats

TYPES = ("tumour", "stroma", "lymphocyte")
PHASES = ("none", "prophase", "metaphase", "anaphase", "telophase")
LOOKALIKES = ("none", "apoptotic", "pyknotic", "smudged")
HARMONICS = (2, 3, 4, 5)
LARGEST_UM = 16.0
"""No nucleus reaches further from its centre."""


@dataclass(frozen=True)
class Nuclei:
    """Columns over nuclei, in the order of their ids. Places are in the tissue's um."""

    id: NDArray[np.int64]
    kind: NDArray[np.int8]
    x: Floats
    y: Floats
    major: Floats
    """Half axes in um."""
    minor: Floats
    angle: Floats
    waves: Floats
    """(n, 2, 4): cosine and sine parts of the outline's harmonics 2 to 5, relative to the radius."""
    dark: Floats
    """Strength of hematoxylin: 1 is a usual tumour nucleus."""
    coarse: Floats
    """Strength of the chromatin's clumps."""
    nucleolus: Floats
    """Strength of the nucleoli."""
    soft: Floats
    """Width of the edge in um: nuclei out of the plane of focus are softer."""
    ki67: NDArray[np.bool_]
    ki67_llr: Floats
    """Log-likelihood ratio of positive against negative that the H&E morphology carries; 0 where it says nothing."""
    brown: Floats
    """Strength of DAB in Ki-67 staining."""
    phh3: Floats
    """Strength of DAB in PHH3 staining."""
    phase: NDArray[np.int8]
    lookalike: NDArray[np.int8]
    hotspot: NDArray[np.bool_]
    grain: NDArray[np.int64]
    """A number of its own, from which its texture is drawn."""

    def __len__(self) -> int:
        return len(self.id)

    def take(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Nuclei":
        """Some of the nuclei."""
        return Nuclei(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    @property
    def special(self) -> NDArray[np.bool_]:
        """True for mitoses and look-alikes, which are not drawn as nuclei are."""
        return (self.phase > 0) | (self.lookalike > 0)


def join(parts: list[Nuclei]) -> Nuclei:
    """All nuclei of the parts, in order."""
    return Nuclei(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Nuclei)})


def resized(nuclei: Nuclei, factor: Floats) -> Nuclei:
    """The nuclei with their half axes multiplied."""
    return replace(nuclei, major=nuclei.major * factor, minor=nuclei.minor * factor)
