"""What nuclei do: which proliferate, divide or die, and how much of it shows in their shape.

How Ki-67 shows in H&E. Four traits of a nucleus (size, darkness, coarseness of chromatin, nucleoli) are each normal
with unit spread; positive nuclei have their means moved by `TRAIT_WEIGHTS * spec.ki67_effect`. The weights have unit
length, so `ki67_effect` is the distance d' between the two classes: the best possible classifier of traits has
AUC = Phi(d' / sqrt 2) and, for classes of equal size, accuracy Phi(d' / 2): 0.921 and 0.841 for d' = 2. Rendering,
staining and blur take from that. Mitoses are all Ki-67 positive and drawn as figures of their own.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from training.phantom.chance import Floats, normal, stream
from training.phantom.noise import smooth_noise
from training.phantom.nucleus import Nuclei
from training.phantom.spec import PhantomSpec
from training.phantom.tissue import Tissue

TRAIT_WEIGHTS = (0.60, 0.52, 0.44, 0.42)
"""Size, darkness, coarseness, nucleoli; their squares sum to one."""
SIZE_SPREAD = (0.135, 0.15, 0.09)
DARK_SPREAD = (0.17, 0.2, 0.12)
COARSE_SPREAD = 0.32
LONGEST_UM = 12.0
"""No half axis of a nucleus is longer."""
PHASE_PARTS = (0.2, 0.42, 0.17, 0.21)
LOOKALIKE_PARTS = (0.42, 0.33, 0.25)
OTHERS_PROLIFERATE = (1.0, 0.12, 0.3)
"""Relative to tumour nuclei: stroma proliferates little, lymphocytes some."""


def alive(spec: PhantomSpec, nuclei: Nuclei, tissue: Tissue, u: Floats) -> Nuclei:
    """The nuclei with their biology; `u` (20, n) are the random numbers to spend."""
    phase, lookalike = _fates(spec, nuclei, u)
    rate = _ki67_rate(spec, nuclei)
    positive = ((u[2] < rate) & (lookalike == 0)) | (phase > 0)
    tumour = nuclei.kind == 0
    shown = np.where(tumour & (phase == 0) & (lookalike == 0), spec.ki67_effect, 0.0)
    moves = np.array(TRAIT_WEIGHTS)[:, None] * shown
    traits = np.stack([normal(u[4 + 2 * k], u[5 + 2 * k]) for k in range(4)]).clip(-2.6, 2.6) + moves * positive
    grown = replace(
        nuclei,
        ki67=positive,
        ki67_llr=(moves * traits - moves * moves / 2).sum(axis=0),
        brown=_brown(positive, u),
        phh3=_phh3(positive, phase, lookalike, u),
        phase=phase,
        lookalike=lookalike,
    )
    return _figures(_with_traits(spec, grown, traits, tissue), u)


def _fates(spec: PhantomSpec, nuclei: Nuclei, u: Floats) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    tumour = nuclei.kind == 0
    gain = np.where(nuclei.hotspot, spec.hotspot_gain, 1.0)
    divides = tumour & (u[0] < spec.mitoses * gain)
    dies = ~divides & (u[1] < spec.lookalikes * np.where(tumour, 1.0, 0.15))
    phase = np.where(divides, 1 + np.searchsorted(np.cumsum(PHASE_PARTS)[:-1], u[12], side="right"), 0)
    lookalike = np.where(dies, 1 + np.searchsorted(np.cumsum(LOOKALIKE_PARTS)[:-1], u[12], side="right"), 0)
    return phase.astype(np.int8), lookalike.astype(np.int8)


def _ki67_rate(spec: PhantomSpec, nuclei: Nuclei) -> Floats:
    """The chance of each nucleus to be positive: the index, uneven over the slide, higher in hotspots."""
    uneven = np.exp(0.35 * smooth_noise(stream(spec.seed, "ki67"), nuclei.x, nuclei.y, 350.0))
    gain = np.where(nuclei.hotspot, 1.0 + 0.3 * spec.hotspot_gain, 1.0)
    part = min(spec.ki67, 1.0 - 1e-6)
    odds = part / (1.0 - part) * uneven * gain
    rate: Floats = odds / (1.0 + odds) * np.array(OTHERS_PROLIFERATE)[nuclei.kind]
    return rate if spec.ki67 < 1.0 else np.ones_like(rate)


def _brown(positive: NDArray[np.bool_], u: Floats) -> Floats:
    """DAB in Ki-67 staining: positive ones from weak to black, negative ones a trace."""
    strong = np.clip(np.exp(0.55 * normal(u[13], u[14])), 0.22, 2.2)
    return np.where(positive, strong, 0.05 * u[13] ** 3)


def _phh3(positive: NDArray[np.bool_], phase: NDArray[np.int8], lookalike: NDArray[np.int8], u: Floats) -> Floats:
    """DAB in PHH3 staining: mitoses strong, a few late-G2 nuclei weak, some dying cells by mistake."""
    strong = 0.8 + 0.7 * u[15]
    waiting = positive & (phase == 0) & (u[16] < 0.03)
    mistaken = (lookalike > 0) & (u[16] < 0.1)
    return np.where(phase > 0, strong, np.where(waiting, 0.22 + 0.15 * u[15], np.where(mistaken, 0.5, 0.0)))


def _with_traits(spec: PhantomSpec, nuclei: Nuclei, traits: Floats, tissue: Tissue) -> Nuclei:
    """Size, darkness, coarseness and nucleoli: the trait, on top of what the place's grade makes of tumour nuclei."""
    tumour = nuclei.kind == 0
    wild = np.where(tumour, spec.pleomorphism, 0.0)
    place = 0.08 * np.where(tumour, tissue.grade, 0.0) + wild * (0.32 + 0.12 * tissue.grade)
    size = np.exp(np.array(SIZE_SPREAD)[nuclei.kind] * traits[0] + place)
    size = np.minimum(size, LONGEST_UM / nuclei.major)
    depth = np.array(DARK_SPREAD)[nuclei.kind] * traits[1] - 0.16 * (nuclei.soft - 0.35) + 0.15 * wild
    return replace(
        nuclei,
        major=nuclei.major * size,
        minor=nuclei.minor * size,
        dark=nuclei.dark * np.exp(depth),
        coarse=nuclei.coarse * np.exp(COARSE_SPREAD * traits[2] - 0.5 * wild),
        nucleolus=np.where(tumour, np.clip(0.22 + 0.2 * traits[3], 0.0, 1.0), 0.0),
    )


def _figures(nuclei: Nuclei, u: Floats) -> Nuclei:
    """Shapes of dividing and dying nuclei: half axes of the ellipse around the whole figure."""
    major, minor, dark = nuclei.major.copy(), nuclei.minor.copy(), nuclei.dark.copy()
    size = 0.9 + 0.3 * u[17]
    round_plate = u[18] < 0.22
    shapes = (
        (nuclei.phase == 1, (5.2, 4.6), 1.35),
        (nuclei.phase == 2, (np.where(round_plate, 4.3, 5.2), np.where(round_plate, 4.0, 1.65)), 1.85),
        (nuclei.phase == 3, (4.4, 2.9 + 1.6 * u[19]), 1.85),
        (nuclei.phase == 4, (3.9, 5.2 + 1.4 * u[19]), 1.8),
        (nuclei.lookalike == 1, (2.5, 2.4), 2.2),
        (nuclei.lookalike == 2, (3.2 + 0.5 * u[19], 2.3), 1.9),
        (nuclei.lookalike == 3, (5.2, 3.4 + 0.8 * u[19]), 1.6),
    )
    for which, axes, depth in shapes:
        major, minor = np.where(which, axes[0] * size, major), np.where(which, axes[1] * size, minor)
        dark = np.where(which, depth * (0.9 + 0.2 * u[14]), dark)
    calm = np.where((nuclei.phase > 0) | (nuclei.lookalike == 1), 0.0, 1.0)
    return replace(
        nuclei,
        major=major,
        minor=minor,
        dark=dark,
        waves=nuclei.waves * calm[:, None, None],
        coarse=np.where(nuclei.lookalike > 0, 0.06, nuclei.coarse),
        nucleolus=np.where(nuclei.special, 0.0, nuclei.nucleolus),
        soft=np.where(nuclei.special, 0.35, nuclei.soft),
    )
