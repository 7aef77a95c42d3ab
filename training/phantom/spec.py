"""What a phantom is: everything that decides its pixels and its truth, in one frozen value."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from models.errors import RefusedInputError

Stain = Literal["he", "ki67", "phh3", "hematoxylin", "dapi", "lap2", "marker", "mask"]
STAINS: tuple[Stain, ...] = ("he", "ki67", "phh3", "hematoxylin", "dapi", "lap2", "marker", "mask")
BRIGHT_FIELD: frozenset[Stain] = frozenset({"he", "ki67", "phh3", "hematoxylin"})
LOOKS = ("auto", "grey", "violet", "rose", "warm", "plum")


@dataclass(frozen=True)
class Section:
    """How the slide of one stain lies against the reference: a shift, a turn about the centre and a smooth warp."""

    stain: Stain
    shift_x_um: float = 0.0
    shift_y_um: float = 0.0
    turn_deg: float = 0.0
    warp_um: float = 0.0
    """Spread of the warp, in each direction."""
    warp_wavelength_um: float = 1500.0


@dataclass(frozen=True)
class PhantomSpec:
    """All that decides a phantom. The same spec gives the same bytes, in any order and any number of processes."""

    seed: int = 0
    width_px: int = 4096
    height_px: int = 4096
    mpp: float = 0.25
    """um per level-0 px. Tissue is made in um: another mpp shows the same tissue."""
    tissue: float = 0.6
    """Part of the slide that is tissue, 0 to 1; 1 fills it."""
    pieces: int = 1
    tumour: float = 0.5
    """Part of the tissue where tumour nests and glands may stand."""
    fat: float = 0.12
    lymphocytes: float = 0.12
    """Part of the stroma under lymphocytic infiltrate."""
    pleomorphism: float = 0.3
    """How large, uneven and dark tumour nuclei are: 0 low grade, 1 high."""
    ki67: float = 0.2
    """Mean part of tumour nuclei that are Ki-67 positive, outside of hotspots."""
    ki67_effect: float = 2.0
    """Distance d' between the morphology of negative and positive nuclei; 0 makes Ki-67 invisible in H&E."""
    mitoses: float = 0.003
    """Part of tumour nuclei in mitosis, outside of hotspots."""
    lookalikes: float = 0.006
    """Part of tumour nuclei that look like mitoses and are none."""
    hotspots: int = 1
    """Hotspots in each piece of tissue."""
    hotspot_gain: float = 5.0
    look: str = "auto"
    """A named stain look, or `auto`: one drawn from the seed."""
    variation: float = 0.5
    """Spread of stain vectors, strengths and white point about the look; 0 is the look itself."""
    blur_um: float = 0.3
    """Spread of the optics' point."""
    defocus: float = 0.0
    """Part of the slide that is out of focus."""
    noise: float = 1.2
    """Spread of the sensor's noise, in grey levels."""
    pen: bool = False
    quality: int = 80
    sections: tuple[Section, ...] = field(default=())

    def __post_init__(self) -> None:
        _check(self)

    @property
    def width_um(self) -> float:
        """Width of the slide in um."""
        return self.width_px * self.mpp

    @property
    def height_um(self) -> float:
        """Height of the slide in um."""
        return self.height_px * self.mpp

    def section(self, stain: Stain) -> Section:
        """How the slide of `stain` lies; unmoved where nothing is said."""
        found = [section for section in self.sections if section.stain == stain]
        return found[0] if found else Section(stain)

    def digest(self) -> str:
        """SHA-256 over every field: two phantoms of the same digest are the same phantom."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _check(spec: PhantomSpec) -> None:
    parts = ("tissue", "tumour", "fat", "lymphocytes", "pleomorphism", "ki67", "mitoses", "lookalikes", "defocus")
    for name in parts:
        if not 0.0 <= getattr(spec, name) <= 1.0:
            raise RefusedInputError(f"{name} is {getattr(spec, name)}.", "Give a part between 0 and 1.")
    if not 0.05 <= spec.mpp <= 8.0:
        raise RefusedInputError(f"mpp is {spec.mpp}.", "Give um per pixel between 0.05 and 8.")
    if min(spec.width_px, spec.height_px) < 1:
        raise RefusedInputError(f"The size is {spec.width_px} x {spec.height_px}.", "Give at least 1 x 1 px.")
    if spec.pieces < 1 or spec.hotspots < 0:
        raise RefusedInputError(f"{spec.pieces} pieces, {spec.hotspots} hotspots.", "Give at least one piece.")
    if spec.look not in LOOKS:
        raise RefusedInputError(f"There is no look {spec.look!r}.", f"Give one of {', '.join(LOOKS)}.")
    if not 1 <= spec.quality <= 100:
        raise RefusedInputError(f"JPEG quality is {spec.quality}.", "Give 1 to 100.")
