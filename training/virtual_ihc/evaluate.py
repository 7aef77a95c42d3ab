"""All numbers of a run: the virtual stain of phantoms that nothing was learned from, against their true stain."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.metrics.classification import auc
from training.metrics.numbers import Number
from training.nets.resnet18 import Ki67Net
from training.phantom.spec import PhantomSpec
from training.sets.phantoms import TRUTH
from training.virtual_ihc.batches import to_bytes, to_float
from training.virtual_ihc.config import HE, KI67, Config
from training.virtual_ihc.data import MOVED, TEST, TRAIN, read_prepared, read_tiles
from training.virtual_ihc.index import Nuclei, brown_share, dab_at, read_nuclei
from training.virtual_ihc.networks import Generator
from training.virtual_ihc.phantoms import held_out_specs, moved_specs
from training.virtual_ihc.pictures import draw_indices, draw_log, draw_views
from training.virtual_ihc.quality import MEASURES, channel_means, compare, hash_likeness
from training.virtual_ihc.report import (
    MovedRow,
    Report,
    SlideRow,
    epoch_cost,
    file_digest,
    machine_name,
    mean_number,
    own_code,
    read_log,
    write_report,
)
from training.virtual_ihc.sections import error_um, lay, whole
from training.virtual_ihc.slide_map import VirtualSlide, virtual_slide
from training.virtual_ihc.train import RUN, TO_HE, trained, weights_path
from workers.measures.correlation import correlate, pearson
from workers.registration.errors import RegistrationFailedError
from workers.slides.opening import open_slide
from workers.slides.slide import Slide

Progress = Callable[[str, int, int], None]
Picture = NDArray[np.uint8]
TILES = 12
"""Tiles of a slide that are hashed; four of them go there and back."""
GUESS_TILES = 200


@dataclass(frozen=True)
class Judge:
    """The networks that a slide is looked at with."""

    to_ki67: Generator
    to_he: Generator
    hash_net: Ki67Net


def evaluate(config: Config, work_dir: Path, hash_net: tuple[Ki67Net, str], progress: Progress) -> Report:
    """The report, also written as `report.json` and `report.md`, and its pictures in `pictures`.

    Parameters
    ----------
    hash_net
        The ResNet18 of the perceptual hash and in words where its weights come from (`quality.hash_net`).

    Raises
    ------
    FileNotFoundError
        The run has not ended.
    """
    prepared = read_prepared(config, work_dir)
    judge = Judge(trained(config, work_dir), trained(config, work_dir, TO_HE), hash_net[0].eval())
    slides, moved, lost = _slides(judge, config, work_dir, progress)
    log, guess = read_log(work_dir / RUN / "log.csv"), guessed_index(config, work_dir)
    report = Report(
        variant=config.variant(),
        seed=config.seed,
        config=config.digest(),
        data=prepared.digests,
        code=own_code(),
        weights=file_digest(weights_path(work_dir)),
        hash_weights=hash_net[1],
        threads=config.fit.threads,
        machine=machine_name(),
        epoch=epoch_cost(log),
        guess=guess,
        numbers=tuple(numbers_of(slides, moved, guess, config.seed)),
        slides=tuple(slides),
        moved=tuple(moved),
        lost=tuple(lost),
    )
    write_report(report, work_dir)
    draw_indices(slides, work_dir / "pictures" / "indices.png")
    draw_log(log, work_dir / "pictures" / "epochs.png")
    return report


def numbers_of(slides: Sequence[SlideRow], moved: Sequence[MovedRow], guess: float, seed: int) -> list[Number]:
    """What the rows come to, with intervals by slide."""
    data = "held-out phantoms, whole slides"

    def mean(name: str, values: Sequence[float]) -> Number:
        return mean_number(data, name, values, seed)

    found = [mean(f"{m} of virtual against true Ki-67", [s.image[m] for s in slides]) for m in MEASURES]
    found += [mean(f"{m} of H&E there and back, tiles", [s.cycle[m] for s in slides]) for m in MEASURES]
    found += [
        mean("perceptual hash, virtual against true Ki-67, tiles", [s.likeness for s in slides]),
        mean("perceptual hash, H&E as it is against true Ki-67, tiles", [s.likeness_of_he for s in slides]),
        mean("error of the index, virtual stain", [abs(s.virtual_index - s.true_index) for s in slides]),
        mean("error of the index, true stain by the same filter", [abs(s.real_index - s.true_index) for s in slides]),
        mean("error of the index, guessed from the training tiles", [abs(guess - s.true_index) for s in slides]),
        mean("seam score", [s.seam for s in slides]),
        mean("seam score within the phase of the stride", [s.seam_in_phase for s in slides]),
    ]
    found += _by_nucleus(slides, mean)
    return [*found, *_correlation(slides, data, seed), *_moved_numbers(moved, seed)]


def _by_nucleus(slides: Sequence[SlideRow], mean: Callable[[str, Sequence[float]], Number]) -> list[Number]:
    """Whether the brown is on the right nuclei, over the slides that can tell."""
    told = [s.brown_r for s in slides if s.brown_r is not None]
    found = [mean("correlation of virtual brown with positive, nuclei", told)] if told else []
    both = [s.auc for s in slides if s.auc]
    words = {"virtual": "of virtual brown", "real": "of true brown", "best": "at best from H&E"}
    if both:
        found += [mean(f"AUC {word}, tumour nuclei", [row[kind] for row in both]) for kind, word in words.items()]
    return found


def guessed_index(config: Config, work_dir: Path) -> float:
    """brown / (brown + blue) of the training tiles of Ki-67."""
    tiles = read_tiles(config, work_dir, TRAIN, KI67)
    rows = np.linspace(0, len(tiles) - 1, min(GUESS_TILES, len(tiles))).round().astype(int)
    return brown_share(tiles.pixels[rows])


def _slides(
    judge: Judge, config: Config, work_dir: Path, progress: Progress
) -> tuple[list[SlideRow], list[MovedRow], list[str]]:
    """Every held-out phantom, its moved section where there is one, and pictures of three."""
    specs, moved = held_out_specs(config.data.phantom), moved_specs(config.data.phantom)
    by_index = sorted(specs, key=lambda name: specs[name].ki67)
    shown = {by_index[0], by_index[len(by_index) // 2], by_index[-1]}
    rows: list[SlideRow] = []
    moved_rows: list[MovedRow] = []
    lost: list[str] = []
    views: list[tuple[Picture, ...]] = []
    for done, name in enumerate(by_index):
        folder = work_dir / TEST / name
        he, ki67 = (open_slide(folder / f"{stain}.tiff", specs[name].mpp) for stain in (HE, KI67))
        try:
            made, true = virtual_slide(judge.to_ki67, he, config), whole(ki67, config.data.mpp)
            nuclei = read_nuclei(folder / TRUTH, specs[name].mpp, (he.info.width_px, he.info.height_px))
            rows.append(slide_row(name, made, true, nuclei, (judge, config)))
            views += [(made.he, made.virtual, true)] * (name in shown)
            if name in moved:
                moved_rows.append(_moved_row(name, made, he, nuclei, (judge, config, work_dir, moved[name])))
        except RegistrationFailedError:
            lost.append(name)
        finally:
            he.close()
            ki67.close()
        progress("held-out slides", done + 1, len(by_index))
    draw_views(views, work_dir / "pictures")
    return rows, moved_rows, lost


def slide_row(name: str, made: VirtualSlide, true: Picture, nuclei: Nuclei, how: tuple[Judge, Config]) -> SlideRow:
    """All that is told of one slide."""
    judge, config = how
    mpp, side = config.data.mpp, config.data.tile_px
    tiles = [_tiles(picture, side) for picture in (made.he, made.virtual, true)]
    means = [channel_means(judge.hash_net, part) for part in tiles]
    brown = {
        kind: dab_at(picture, mpp, nuclei.x_um, nuclei.y_um)
        for kind, picture in (("virtual", made.virtual), ("real", true))
    }
    return SlideRow(
        name=name,
        true_index=nuclei.index,
        true_area_index=nuclei.area_index,
        real_index=brown_share(true),
        virtual_index=brown_share(made.virtual),
        image=compare(true, made.virtual),
        cycle=_there_and_back(judge, tiles[0][:: max(1, len(tiles[0]) // 4)]),
        likeness=float(hash_likeness(means[1], means[2]).mean()),
        likeness_of_he=float(hash_likeness(means[0], means[2]).mean()),
        nuclei=len(nuclei.positive),
        brown_r=_finite(pearson(brown["virtual"], nuclei.positive.astype(np.float64))),
        auc=_aucs(brown | {"best": nuclei.llr}, nuclei),
        seam=made.seam,
        seam_in_phase=made.seam_in_phase,
    )


def _moved_row(
    name: str, made: VirtualSlide, he: Slide, nuclei: Nuclei, how: tuple[Judge, Config, Path, PhantomSpec]
) -> MovedRow:
    """The virtual stain against a section that had to be registered first, where both are seen."""
    judge, config, work_dir, spec = how
    moving = open_slide(work_dir / MOVED / name / f"{KI67}.tiff", spec.mpp)
    try:
        laid = lay(he, moving, config.data.mpp, config.data.phantom.registration_mpp)
    finally:
        moving.close()
    inside = _largest_box(laid.common)
    virtual, true = made.virtual[inside], laid.picture[inside]
    means = [channel_means(judge.hash_net, _tiles(picture, config.data.tile_px)) for picture in (virtual, true)]
    return MovedRow(
        name=name,
        error_um=error_um(spec, laid.registration, nuclei.x_um, nuclei.y_um),
        common=float(laid.common.mean()),
        real_index=brown_share(laid.picture[laid.common]),
        virtual_index=brown_share(made.virtual[laid.common]),
        image=compare(true, virtual),
        likeness=float(hash_likeness(*means).mean()),
    )


def _largest_box(common: NDArray[np.bool_]) -> tuple[slice, slice]:
    """A box in which both sections are: the sides of the slide are moved in until nothing is missing."""
    top, left, bottom, right = 0, 0, *common.shape
    while bottom - top > 1 and right - left > 1:
        missing = {
            "top": (~common[top, left:right]).mean(),
            "bottom": (~common[bottom - 1, left:right]).mean(),
            "left": (~common[top:bottom, left]).mean(),
            "right": (~common[top:bottom, right - 1]).mean(),
        }
        side = max(missing, key=lambda name: missing[name])
        if not missing[side]:
            break
        top, bottom = top + (side == "top"), bottom - (side == "bottom")
        left, right = left + (side == "left"), right - (side == "right")
    return slice(top, bottom), slice(left, right)


def _there_and_back(judge: Judge, tiles: Sequence[Picture]) -> dict[str, float]:
    with torch.no_grad():
        back = [to_bytes(judge.to_he(judge.to_ki67(to_float(tile[None]))))[0] for tile in tiles]
    rows = [compare(tile, made) for tile, made in zip(tiles, back, strict=True)]
    return {name: float(np.mean([row[name] for row in rows])) for name in MEASURES}


def _tiles(picture: Picture, side: int) -> list[Picture]:
    """Up to so many squares side by side, evenly through the picture; the picture's middle where it is smaller."""
    side = min(side, *picture.shape[:2])
    corners = [
        (y, x) for y in range(0, picture.shape[0] - side + 1, side) for x in range(0, picture.shape[1] - side + 1, side)
    ]
    chosen = np.linspace(0, len(corners) - 1, min(TILES, len(corners))).round().astype(int)
    return [picture[y : y + side, x : x + side] for y, x in (corners[i] for i in chosen)]


def _correlation(slides: Sequence[SlideRow], data: str, seed: int) -> list[Number]:
    if len(slides) < 3:
        return []
    found = correlate(np.array([s.virtual_index for s in slides]), np.array([s.true_index for s in slides]), seed)
    name = "Pearson r of the index, virtual stain against truth"
    if not np.isfinite(found.r):
        return []
    return [Number(data=data, name=name, value=found.r, low=found.low, high=found.high, n=found.n, synthetic=True)]


def _moved_numbers(moved: Sequence[MovedRow], seed: int) -> list[Number]:
    if not moved:
        return []
    data = "held-out phantoms, moved sections, registered"
    values = {
        "error of the registration in um": [m.error_um for m in moved],
        "ssim of virtual against true Ki-67": [m.image["ssim"] for m in moved],
        "perceptual hash, virtual against true Ki-67, tiles": [m.likeness for m in moved],
        "difference of the index, virtual against true stain": [abs(m.virtual_index - m.real_index) for m in moved],
    }
    return [mean_number(data, name, rows, seed) for name, rows in values.items()]


def _aucs(values: Mapping[str, NDArray[np.float64]], nuclei: Nuclei) -> dict[str, float]:
    """How well each of these tells positive from negative tumour nuclei; mitoses and look-alikes, which show, aside."""
    rows = nuclei.tumour & np.isfinite(nuclei.llr)
    positive = nuclei.positive[rows]
    if positive.all() or not positive.any():
        return {}
    return {kind: auc(value[rows], positive) for kind, value in values.items()}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
