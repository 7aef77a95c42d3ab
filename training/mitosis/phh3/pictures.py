"""Pictures of the chain: candidates by what the networks say of them, and the map of the global shift."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.mitosis.grading import hotspot_counts
from training.mitosis.phh3.config import Phh3Config
from training.mitosis.phh3.data import CLASSES
from training.mitosis.phh3.evaluate import Pair
from training.mitosis.phh3.shift import GlobalShift
from workers.measures.hotspots import HOTSPOT_MM2, radius_of

Bytes = NDArray[np.uint8]
Points = NDArray[np.float64]
COLUMNS, SIDE_PX, RIM_PX, GAP_PX = 14, 64, 3, 10
RIMS = {"artefact": (120, 120, 120), "other": (40, 90, 220), "mitosis": (0, 150, 70)}
"""By what the truth says; the blocks are what the networks say."""
DECISIONS = ("artefact", "no mitosis", "mitosis")


def draw_candidates(pairs: Sequence[Pair], config: Phh3Config, path: Path, most: int = 42) -> None:
    """Three blocks, top to bottom: what CNN1 calls an artefact, what CNN2 calls no mitosis, what it calls one.

    The rim says what the candidate is in truth: grey an artefact, blue another brown nucleus, green a mitosis.
    """
    blocks: list[Bytes] = []
    for decision in DECISIONS:
        patches: list[Bytes] = []
        for pair in pairs:
            rows = np.flatnonzero(decisions_of(pair, config) == decision)
            patches += [_rimmed(pair, row) for row in rows[: most - len(patches)].tolist()]
        blocks.append(_block(patches))
    Image.fromarray(np.concatenate(blocks)).save(path)


def decisions_of(pair: Pair, config: Phh3Config) -> NDArray[np.str_]:
    """What CNN1 and then CNN2 say of each candidate."""
    mitosis = np.where(pair.judged.mitosis >= config.threshold, "mitosis", "no mitosis")
    return np.where(pair.judged.cell < config.threshold, "artefact", mitosis)


def draw_heat(shift: GlobalShift, mpp: float, path: Path) -> None:
    """The mean correlation map with its peak."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    reach = shift.heat.shape[0] / 2 * mpp
    axes = figure.add_subplot(xlabel="shift in x (um)", ylabel="shift in y (um)")
    shown = axes.imshow(shift.heat, extent=(-reach, reach, reach, -reach), cmap="magma")
    axes.plot([shift.peak.x_um], [shift.peak.y_um], "o", mfc="none", mec="cyan", ms=14)
    axes.set_title(
        f"mean of {len(shift.centres_um)} tile pairs: ({shift.peak.x_um:g}, {shift.peak.y_um:g}) um, "
        f"confidence {shift.peak.confidence:.1f}",
        fontsize=9,
    )
    figure.colorbar(shown, label="normalised correlation")
    figure.savefig(path)


def draw_hotspot(points_um: Points, positions_um: Points, path: Path, area_mm2: float = HOTSPOT_MM2) -> None:
    """Mitoses, the densest circle, and the counts of circles around all positions."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

    from workers.measures.hotspots import disc_counts

    found = hotspot_counts(points_um, positions_um, area_mm2)
    figure = Figure(figsize=(6.4, 5.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="x (um)", ylabel="y (um)", aspect="equal")
    counts = disc_counts(points_um, positions_um, area_mm2)
    shown = axes.scatter(
        positions_um[:, 0], positions_um[:, 1], c=counts, s=14, marker="s", cmap="viridis", linewidths=0
    )
    axes.plot(points_um[:, 0], points_um[:, 1], ".", color="white", mec="black", ms=5)
    if found.x_um is not None and found.y_um is not None:
        axes.add_patch(Circle((found.x_um, found.y_um), radius_of(area_mm2), fill=False, ec="red", lw=1.8))
    axes.invert_yaxis()
    axes.set_title(f"densest circle {found.densest}, 95th percentile {found.percentile_95:.1f}", fontsize=9)
    figure.colorbar(shown, label=f"mitoses in {area_mm2:g} mm2 around a place")
    figure.savefig(path)


def _rimmed(pair: Pair, row: int) -> Bytes:
    pixels = pair.judged.patches.pixels[row]
    start = (pixels.shape[0] - SIDE_PX) // 2
    framed = np.empty((SIDE_PX + 2 * RIM_PX,) * 2 + (3,), np.uint8)
    framed[:] = RIMS[CLASSES[int(pair.kinds[row])]]
    framed[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = pixels[start : start + SIDE_PX, start : start + SIDE_PX]
    return framed


def _block(patches: Sequence[Bytes]) -> Bytes:
    side = SIDE_PX + 2 * RIM_PX
    rows = max(1, -(-len(patches) // COLUMNS))
    sheet = np.full((rows * side + GAP_PX, COLUMNS * side, 3), 255, np.uint8)
    for number, patch in enumerate(patches):
        row, column = divmod(number, COLUMNS)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = patch
    return sheet
