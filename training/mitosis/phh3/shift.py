"""From PHH3 to H&E: one shift for the slide, then one for each candidate, by cross-correlation of tiles.

Both are looked for in the optical density of red, which hematoxylin takes up in either stain and DAB takes up too,
while eosin hardly does: nuclei are what the two pictures share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from models.colour import DENSITY_OF_BYTE
from training.mitosis.phh3.config import RegistrationConfig, ShiftConfig
from workers.geometry import Box
from workers.slides.slide import Slide, frame_size

Floats = NDArray[np.float64]
Points = NDArray[np.float64]
OVERVIEW_UM = 16.0
"""Tissue is looked for at this mpp."""
FLAT = 1e-3
"""Spread of density below which a window shows nothing."""


@dataclass(frozen=True)
class Peak:
    """The best shift of a correlation map."""

    x_um: float
    y_um: float
    score: float
    """Mean normalised correlation there, -1 to 1."""
    confidence: float
    """By how many spreads of the rest of the map the peak is above the highest value of the rest; 0 where the peak
    lies at the map's border, for then it may be the foot of one outside."""

    def is_trusted(self, config: ShiftConfig) -> bool:
        """Whether the peak is sharp enough to be used."""
        return self.confidence >= config.least_confidence


@dataclass(frozen=True, eq=False)
class GlobalShift:
    """The shift of a whole slide, and the map it is the peak of."""

    peak: Peak
    heat: Floats
    """(k, k): mean correlation over the tile pairs; row and column are the shifts in y and x."""
    centres_um: Points
    """Of the tiles on the PHH3 slide."""
    trusted: bool


@dataclass(frozen=True, eq=False)
class LocalShifts:
    """The shift of each candidate."""

    shifts_um: Points
    """(n, 2): add to a place on PHH3 to come to H&E; the global shift where no own one is trusted."""
    confidence: Floats
    trusted: NDArray[np.bool_]


def global_shift(phh3: Slide, he: Slide, config: RegistrationConfig, seed: int) -> GlobalShift:
    """The shift that takes the PHH3 slide to the H&E slide: the peak of the mean map of random tile pairs on tissue.

    Raises
    ------
    ValueError
        There is no tissue on the PHH3 slide.

    References
    ----------
    Tellez et al., doi:10.1109/TMI.2018.2820199, section III.B: 10 pairs. Which correlation, at what size and in what
    range they do not say: here it is the normalised one, and the rest are options.
    """
    centres_um = random_tissue(phh3, config, seed)
    maps = [shift_map(phh3, he, (x, y), (0, 0), config.whole) for x, y in centres_um.tolist()]
    heat: Floats = np.mean(maps, axis=0)
    peak = peak_of(heat, config.whole)
    return GlobalShift(peak, heat, centres_um, peak.is_trusted(config.whole))


def local_shifts(phh3: Slide, he: Slide, points_um: Points, start: Peak, config: ShiftConfig) -> LocalShifts:
    """The shift of each of these places on PHH3, looked for around the global shift `start`."""
    whole_um = np.array([start.x_um, start.y_um])
    start_px = np.rint(whole_um / config.mpp).astype(int)
    around = (int(start_px[0]), int(start_px[1]))
    peaks = [peak_of(shift_map(phh3, he, (x, y), around, config), config) for x, y in points_um.tolist()]
    trusted = np.array([peak.is_trusted(config) for peak in peaks], bool)
    own_um = np.array([(peak.x_um, peak.y_um) for peak in peaks], np.float64).reshape(-1, 2) + start_px * config.mpp
    shifts = np.where(trusted[:, None], own_um, whole_um)
    return LocalShifts(shifts, np.array([peak.confidence for peak in peaks], np.float64), trusted)


def shift_map(
    phh3: Slide, he: Slide, centre_um: tuple[float, float], start_px: tuple[int, int], config: ShiftConfig
) -> Floats:
    """(2r + 1, 2r + 1): correlation of the PHH3 tile around a place with H&E, moved by `start_px` and up to r px more.

    Pixels are those of `config.mpp`.
    """
    reach = max(1, round(config.range_um / config.mpp))
    side = max(2, round(config.tile_um / config.mpp))
    left, top = (round(place / config.mpp - side / 2) for place in centre_um)
    tile = _density(phh3, Box(left, top, side, side), config.mpp)
    field = _density(he, Box(left, top, side, side).shift(*start_px).grow(reach), config.mpp)
    return correlate_tile(field, tile)


def correlate_tile(field: Floats, tile: Floats) -> Floats:
    """Normalised correlation of `tile` with each window of `field` that holds it whole; 0 where either is flat.

    References
    ----------
    Lewis 1995, Fast normalized cross-correlation, Vision Interface 95:120-123 (no DOI).
    """
    height, width = tile.shape
    centred = tile - tile.mean()
    shape = [fft.next_fast_len(side, real=True) for side in field.shape]
    spectrum = fft.rfft2(field, shape) * np.conj(fft.rfft2(centred, shape))
    rows, columns = field.shape[0] - height + 1, field.shape[1] - width + 1
    product = fft.irfft2(spectrum, shape)[:rows, :columns]
    mean = _window_sums(field, height, width) / tile.size
    variance = np.maximum(_window_sums(field**2, height, width) / tile.size - mean**2, 0.0)
    spread = np.sqrt(variance) * tile.std()
    scores: Floats = np.where(spread > FLAT**2, product / tile.size / np.maximum(spread, FLAT**2), 0.0)
    return scores


def peak_of(heat: Floats, config: ShiftConfig) -> Peak:
    """The peak of a correlation map whose middle is no shift."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    middle = (np.array(heat.shape) - 1) / 2
    rows, columns = np.indices(heat.shape)
    rest = heat[np.hypot(rows - row, columns - column) * config.mpp > config.peak_um]
    score, spread = float(heat[row, column]), float(rest.std()) if len(rest) else 0.0
    at_border = row in (0, heat.shape[0] - 1) or column in (0, heat.shape[1] - 1)
    confidence = 0.0 if at_border or spread == 0 else max(0.0, (score - float(rest.max())) / spread)
    y_um, x_um = ((np.array([row, column]) - middle) * config.mpp).tolist()
    return Peak(x_um, y_um, score, confidence)


def random_tissue(slide: Slide, config: RegistrationConfig, seed: int) -> Points:
    """(tiles, 2): places in um where the slide is stained, drawn at random, each place once where there are enough.

    Raises
    ------
    ValueError
        There is none.
    """
    width, height = frame_size(slide.info, OVERVIEW_UM)
    density = DENSITY_OF_BYTE[slide.read(Box(0, 0, width, height), OVERVIEW_UM)].mean(axis=2)
    rows, columns = np.nonzero(density > config.tissue_density)
    if not len(rows):
        raise ValueError("there is no tissue on the PHH3 slide: lower tissue_density, or look at the slide")
    generator = np.random.default_rng([seed, 6001])
    chosen = generator.choice(len(rows), config.tiles, replace=len(rows) < config.tiles)
    return (np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64) + 0.5) * OVERVIEW_UM


def errors_um(found_um: Points, truth_um: Points) -> Floats:
    """(n,): distances between places and where they should be."""
    gaps: Floats = np.hypot(found_um[:, 0] - truth_um[:, 0], found_um[:, 1] - truth_um[:, 1])
    return gaps


def summary_um(errors: Floats) -> dict[str, float]:
    """Median, 90th percentile and largest of some errors; empty where there are none."""
    if not len(errors):
        return {}
    names: Sequence[str] = ("median", "p90", "largest")
    return dict(zip(names, np.percentile(errors, [50, 90, 100]).round(3).tolist(), strict=True))


def _density(slide: Slide, box: Box, mpp: float) -> Floats:
    """Optical density of red in a box of the slide's frame at `mpp`."""
    density: Floats = DENSITY_OF_BYTE[slide.read(box, mpp)[..., 0]].astype(np.float64)
    return density


def _window_sums(values: Floats, height: int, width: int) -> Floats:
    """The sum over each window of that size."""
    table = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    sums: Floats = table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    return sums
