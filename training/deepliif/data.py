"""From phantoms, real nuclei and one's own panels to pictures for training, validation and test, parted by case."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from training.deepliif.config import Config
from training.deepliif.masks import number_cells
from training.deepliif.panels import Panels, list_training_data, read_panels, write_training_data
from training.deepliif.phantoms import PARTS, phantom_cells, phantom_specs
from training.deepliif.real import Cells, read_images, read_references, rescaled, turned_ihc
from training.deepliif.store import PictureRow, PictureSet, SetWriter, read_set, set_digest, write_whole
from training.sets.splits import split_by_case
from workers.deepliif.cells import find_cells
from workers.deepliif.thresholds import Thresholds

TRAIN, VAL, TEST = PARTS
PREPARED = "prepared.json"
PHANTOM, OWN = "phantom", "panels"
Progress = Callable[[str, int, int], None]
Labelled = tuple[str, PictureRow, Cells]
"""Part, origin, picture."""


@dataclass(frozen=True)
class Prepared:
    """`prepared.json`."""

    data: str
    """Digest of the recipe's part that `prepare` depends on."""
    digests: dict[str, str]
    """Of the pictures of each part."""
    pictures: dict[str, dict[str, int]]
    """Whole pictures by part and source."""
    tiles: dict[str, int]
    """Pictures of the training's size by part."""
    derived: bool
    """Whether real nuclei were given modalities."""


def prepare(config: Config, work_dir: Path, data_dir: Path, progress: Progress) -> Prepared:
    """Everything in `work_dir`: `train` and `val` cut to the training's size, `test` whole.

    Raises
    ------
    FileNotFoundError
        Real data are missing.
    ValueError
        A part stays empty.
    """
    (work_dir / PREPARED).unlink(missing_ok=True)
    for path in (work_dir / TEST).glob("*.npz"):
        path.unlink()
    counts: dict[str, dict[str, int]] = {part: {} for part in PARTS}
    test_digest = hashlib.sha256()
    with ExitStack() as stack:
        writers = {p: stack.enter_context(SetWriter(work_dir / p, config.data.side_px)) for p in (TRAIN, VAL)}
        for part, row, cells in labelled_pictures(config, data_dir, progress):
            counts[part][row.source] = counts[part].get(row.source, 0) + 1
            if part == TEST:
                test_digest.update(write_whole(work_dir / TEST / f"{row.source}-{row.name}.npz", row, cells).encode())
            else:
                for tile in tiles_of(cells, config.data.side_px):
                    writers[part].add(row, tile.panels, tile.instances)
    if empty := [part for part in PARTS if not counts[part]]:
        raise ValueError(f"no picture is left for {' and '.join(empty)}: set phantom.{empty[0]}, or use real nuclei")
    digests = {part: set_digest(work_dir / part) for part in (TRAIN, VAL)} | {TEST: test_digest.hexdigest()}
    tiles = {part: len(read_set(work_dir / part)) for part in (TRAIN, VAL)}
    found = Prepared(config.data_digest(), digests, counts, tiles, config.data.real.derived)
    (work_dir / PREPARED).write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")
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
    if not (work_dir / PREPARED).exists():
        raise FileNotFoundError(f"nothing was prepared in {work_dir}: run `prepare` first")
    found = Prepared(**json.loads((work_dir / PREPARED).read_text("utf-8")))
    if found.data != config.data_digest():
        raise ValueError(f"{work_dir} was prepared with another recipe: run `prepare` again, or take another folder")
    return found


def labelled_pictures(config: Config, data_dir: Path, progress: Progress) -> Iterator[Labelled]:
    """All pictures of all sources, in a fixed order."""
    yield from _phantoms(config, progress)
    if config.data.real.use:
        yield from _real(config, data_dir, progress)
    if config.data.panels:
        yield from _own(Path(config.data.panels))


def tiles_of(cells: Cells, side_px: int) -> Iterator[Cells]:
    """The picture cut into as many squares as fit, spread evenly; cells are numbered anew in each.

    Raises
    ------
    ValueError
        The picture is smaller than a square.
    """
    height, width = cells.instances.shape
    if min(height, width) < side_px:
        raise ValueError(f"a picture of {width} x {height} px is smaller than side_px = {side_px}")
    for y in _starts(height, side_px):
        for x in _starts(width, side_px):
            cut = (slice(y, y + side_px), slice(x, x + side_px))
            panels = Panels(*(np.ascontiguousarray(panel[cut]) for panel in vars(cells.panels).values()))
            instances, names = number_cells(cells.instances[cut])
            yield Cells(panels, instances, cells.positive[names - 1])


def export_panels(work_dir: Path, out: Path) -> dict[str, int]:
    """How many pictures of each part were written to `out` in DeepLIIF's layout; those without modalities stay out.

    Raises
    ------
    FileNotFoundError
        Nothing was prepared.
    """
    parts: dict[str, dict[str, Panels]] = {}
    for part in (TRAIN, VAL):
        pictures = read_set(work_dir / part)
        with_all = [i for i, row in enumerate(pictures.rows) if row.has_modalities]
        parts[part] = {f"{pictures.rows[i].name}-{i:05d}": pictures.panels(i) for i in with_all}
    write_training_data(out, parts)
    return {part: len(found) for part, found in parts.items()}


def modality_share(pictures: PictureSet) -> float:
    """The part of the pictures that has modalities."""
    return sum(row.has_modalities for row in pictures.rows) / max(1, len(pictures))


def _starts(length_px: int, side_px: int) -> list[int]:
    starts = np.linspace(0, length_px - side_px, length_px // side_px)
    return [int(start) for start in starts.round()]


def _phantoms(config: Config, progress: Progress) -> Iterator[Labelled]:
    parts = phantom_specs(config.data.phantom, config.mpp)
    total, done = sum(map(len, parts.values())), 0
    for part, specs in parts.items():
        for name, spec in specs.items():
            yield part, PictureRow(name, name, PHANTOM, True, True), phantom_cells(spec, config.data.boundary_px)
            done += 1
            progress("phantoms", done, total)


def _real(config: Config, data_dir: Path, progress: Progress) -> Iterator[Labelled]:
    """Split by image, within each set; every variant of an image lies in its part. The test takes one of each."""
    real, data = config.data.real, config.data
    images, references = list(read_images(data_dir)), read_references(data_dir)
    part_of: dict[str, str] = {}
    for source in dict.fromkeys(image.source for image in images):
        names = [image.name for image in images if image.source == source]
        shares = (1 - real.val - real.test, real.val, real.test)
        parts = split_by_case(names, shares, config.seed)
        part_of |= {name: PARTS[part] for name, part in zip(names, parts.tolist(), strict=True)}
    for done, image in enumerate(images):
        part = part_of[image.name]
        for variant in range(1 if part == TEST else real.variants):
            seed = (config.seed, done, variant)
            nucleus_px = np.random.default_rng(seed).uniform(*real.nucleus_px)
            scaled = rescaled(image, float(nucleus_px), data.side_px)
            name = f"{image.name}-{variant}" if variant else image.name
            row = PictureRow(name, image.name, image.source, True, real.derived)
            yield part, row, turned_ihc(scaled, references, real, (*seed, 1), data.boundary_px)
        progress("real nuclei", done + 1, len(images))


def _own(folder: Path) -> Iterator[Labelled]:
    """One's own panels; cells are the mask's."""
    listed = list_training_data(folder) | {TEST: tuple(sorted((folder / TEST).glob("*.png")))}
    for part, paths in listed.items():
        for path in paths:
            yield part, PictureRow(path.stem, path.stem, OWN, False, True), own_cells(path)


def own_cells(path: Path) -> Cells:
    """A picture in DeepLIIF's layout, with the cells that its mask holds."""
    from PIL import Image

    with Image.open(path) as image:
        side_px = image.size[1]
    panels = read_panels(path, side_px)
    cells, labels = find_cells(panels.seg, Thresholds())
    return Cells(panels, labels.astype(np.int32), cells.is_voted_positive)
