"""From labelled images to patches of negative cells, positive cells and background, parted by case."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.ki67.config import BACKGROUND, CLASSES, NEGATIVE, POSITIVE, Config, DataConfig
from training.ki67.phantoms import labels_of, pair_specs, specs_of
from training.sets.background import IsTissue, background_boxes, tissue_of
from training.sets.marks import MarkedImage
from training.sets.patch_set import META, PatchSet, join, patches_of, read_patch_set, stored_digest, write_patch_set
from training.sets.phantoms import marked_phantom, phantom_images
from training.sets.sources import read_sources_file
from training.sets.splits import split_by_case

TRAIN, TEST = "train", "test"
PARTS = (TRAIN, TEST)
INDEX = "prepared.json"
PHANTOMS, PAIRS = "phantoms", "pairs"
Points = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ImageRow:
    """A labelled image, and what became of it."""

    name: str
    case: str
    source: str
    synthetic: bool
    path: str
    mpp: float
    part: str
    patches: dict[str, int]
    """Patches by class."""


@dataclass(frozen=True)
class Prepared:
    """`prepared.json`."""

    data: str
    """Digest of the recipe's part that `prepare` depends on."""
    digests: dict[str, str]
    """Of the patches of each part."""
    images: tuple[ImageRow, ...]

    def image(self, name: str) -> ImageRow:
        """The image of that name."""
        return next(row for row in self.images if row.name == name)


def prepare(config: Config, work_dir: Path, sources: Path | None, processes: int, progress: Progress) -> Prepared:
    """Patches of all sources, written as one set for training and one for the test; the phantoms and pairs, rendered.

    Parameters
    ----------
    sources
        A file that names a user's own labelled images, see `training.sets.sources`.

    Raises
    ------
    ValueError
        There is no image, or its marks have other labels than the classes.
    """
    images = [*_phantoms(config, work_dir, processes, progress), *(read_sources_file(sources) if sources else ())]
    if not images:
        raise ValueError("there is nothing to learn from: set data.phantom.count, or give --sources FILE")
    cases = np.array([image.case for image in images])
    parts = split_by_case(cases, (1 - config.data.test, config.data.test), config.seed)
    counts = shares_of(images, config.data)
    sets: list[PatchSet] = []
    for done, image in enumerate(images):
        sets.append(patches_of_image(image, counts[done], config, done))
        progress("patches", done + 1, len(images))
    for number, part in enumerate(PARTS):
        chosen = [s for s, p in zip(sets, parts, strict=True) if p == number]
        if not chosen:
            raise ValueError(f"no case is left for the part {part!r}: more cases are needed, or another data.test")
        write_patch_set(work_dir / part, join(chosen))
    rows = tuple(_row(i, s, PARTS[p]) for i, s, p in zip(images, sets, parts, strict=True))
    found = Prepared(config.data_digest(), {part: stored_digest(work_dir / part) for part in PARTS}, rows)
    (work_dir / INDEX).write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")
    return found


def read_prepared(config: Config, work_dir: Path) -> Prepared:
    """What `prepare` wrote.

    Raises
    ------
    FileNotFoundError
        It did not run here.
    ValueError
        It ran with another recipe.
    """
    if not (work_dir / INDEX).exists():
        raise FileNotFoundError(f"nothing was prepared in {work_dir}: run `prepare` first")
    read = json.loads((work_dir / INDEX).read_text("utf-8"))
    if read["data"] != config.data_digest():
        raise ValueError(f"{work_dir} was prepared with another recipe: run `prepare` again, or take another folder")
    return Prepared(read["data"], read["digests"], tuple(ImageRow(**row) for row in read["images"]))


def read_part(config: Config, work_dir: Path, part: str) -> PatchSet:
    """The patches of a part, once it is sure that they are those of the recipe."""
    prepared = read_prepared(config, work_dir)
    if not (work_dir / part / META).exists() or stored_digest(work_dir / part) != prepared.digests[part]:
        raise ValueError(f"the patches in {work_dir / part} are not those that `prepare` wrote: run it again")
    return read_patch_set(work_dir / part)


def shares_of(images: Sequence[MarkedImage], data: DataConfig) -> tuple[tuple[int, int, int], ...]:
    """How many negative, positive and background patches each image gives: as evenly as its cells allow."""
    negative, positive = (
        fair_shares([len(image.points_px(name)) for image in images], wanted)
        for name, wanted in ((CLASSES[NEGATIVE], data.negative), (CLASSES[POSITIVE], data.positive))
    )
    background = fair_shares([data.background] * len(images), data.background)
    return tuple(zip(negative, positive, background, strict=True))


def fair_shares(available: Sequence[int], wanted: int) -> list[int]:
    """How many of each to take for `wanted` in all: as many of each, or all of it where there are fewer."""
    shares = [0] * len(available)
    left = wanted
    for place, index in enumerate(sorted(range(len(available)), key=lambda index: available[index])):
        shares[index] = min(available[index], -(-left // (len(available) - place)))
        left -= shares[index]
    return shares


def patches_of_image(image: MarkedImage, counts: tuple[int, int, int], config: Config, number: int) -> PatchSet:
    """The image's share of the patches: cells by their marks, background where no box of a cell is met."""
    data = config.data
    unknown = {mark.label for mark in image.marks} - set(CLASSES[:BACKGROUND])
    if unknown:
        raise ValueError(f"{image.name} has marks labelled {sorted(unknown)}: map them to negative or positive")
    seed = config.seed * 100_003 + number
    points = [_cells(image, name, data, counts[CLASSES.index(name)], seed) for name in CLASSES[:BACKGROUND]]
    points.append(_background(image, data, counts[BACKGROUND], seed))
    labels = [name for name, found in zip(CLASSES, points, strict=True) for _ in found]
    size_px = data.patch_px + 2 * config.augment.shift_px
    return patches_of(image, np.concatenate(points), labels, CLASSES, size_px, data.mpp)


def _cells(image: MarkedImage, label: str, data: DataConfig, count: int, seed: int) -> Points:
    """Centres of so many cells of a class, those left out whose box the image's edge cuts."""
    points = image.points_px(label)
    margin = data.cell_box_px / 2 * data.mpp / image.mpp
    inside = ((points >= margin) & (points <= np.array([image.width_px, image.height_px]) - margin)).all(axis=1)
    points = points[inside]
    return points[np.sort(np.random.default_rng([seed, CLASSES.index(label)]).permutation(len(points))[:count])]


def _background(image: MarkedImage, data: DataConfig, count: int, seed: int) -> Points:
    """Centres of so many boxes that meet no cell's box: a share on tissue, the rest beside it where there is room."""
    scale = data.mpp / image.mpp
    sizes_px = (data.background_box_px * scale, data.cell_box_px * scale)
    on_tissue = tissue_of(image)

    def found(wanted: int, turn: int, where: IsTissue | None) -> Points:
        return background_boxes(image, sizes_px[0], wanted, seed + turn, where, sizes_px[1])

    inside = found(round(count * data.on_tissue), 0, on_tissue)
    beside = found(count - len(inside), 1, lambda points: ~on_tissue(points))
    more = found(count - len(inside) - len(beside), 2, None)
    return np.concatenate([inside, beside, more])


def _phantoms(config: Config, work_dir: Path, processes: int, progress: Progress) -> Sequence[MarkedImage]:
    """The phantoms, written where they are not there yet, and the pairs for the quantification."""
    specs = specs_of(config.data.phantom)
    phantom_images(
        work_dir / PHANTOMS, specs, ("he",), processes, lambda done, total: progress("phantoms", done, total)
    )
    pairs = pair_specs(config.data.pairs, config.data.phantom)
    phantom_images(
        work_dir / PAIRS, pairs, ("he", "ki67"), processes, lambda done, total: progress("pairs", done, total)
    )
    return [marked_phantom(work_dir / PHANTOMS, name, "he", labels_of) for name in specs]


def _row(image: MarkedImage, patches: PatchSet, part: str) -> ImageRow:
    counts = np.bincount(patches.labels, minlength=len(CLASSES)).tolist()
    return ImageRow(
        image.name,
        image.case,
        image.source,
        image.synthetic,
        str(image.path),
        image.mpp,
        part,
        dict(zip(CLASSES, counts, strict=True)),
    )
