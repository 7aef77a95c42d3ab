"""From phantoms and your own slides to two sets of tiles that are no pairs, and phantoms in both stains beside them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training.phantom.spec import PhantomSpec, Stain
from training.sets.patch_set import META, PatchSet, join, read_patch_set, stored_digest, write_patch_set
from training.sets.phantoms import phantom_images
from training.virtual_ihc.config import HE, KI67, Config
from training.virtual_ihc.phantoms import check_specs, held_out_specs, moved_specs, training_specs
from training.virtual_ihc.tiles import STAINS, Source, cut_source

INDEX = "prepared.json"
PHANTOMS, TRAIN, CHECK, TEST, MOVED = "phantoms", "train", "check", "test", "moved"
SLIDE_ENDINGS = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".dcm", ".png", ".jpg", ".jpeg", ".bif", ".vms")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SlideRow:
    """A slide that tiles were cut from. Its name alone is kept of its path."""

    name: str
    stain: str
    part: str
    synthetic: bool
    tiles: int


@dataclass(frozen=True)
class Prepared:
    """`prepared.json`."""

    data: str
    """Digest of the recipe's part that `prepare` depends on."""
    digests: dict[str, str]
    """Of each set of tiles."""
    slides: tuple[SlideRow, ...]

    def count(self, stain: str, *, synthetic: bool) -> tuple[int, int]:
        """Slides and tiles of a stain that are learned from."""
        rows = [r for r in self.slides if r.part == TRAIN and r.stain == stain and r.synthetic == synthetic]
        return len(rows), sum(row.tiles for row in rows)


def own_sources(paths: Sequence[Path], stain: Stain, mpp: float | None) -> list[Source]:
    """The slides among files and folders, as sources of one stain.

    Parameters
    ----------
    mpp
        um/px of PNG and JPEG files, which state none.

    Raises
    ------
    FileNotFoundError
        A path is missing, or a folder has no slide.
    """
    found: list[Source] = []
    for path in paths:
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.suffix.lower() in SLIDE_ENDINGS)
        if not files:
            raise FileNotFoundError(f"there is no slide at {path}")
        for file in files:
            plain = file.suffix.lower() in (".png", ".jpg", ".jpeg")
            found.append(Source(f"{stain}-{file.name}", file, stain, False, mpp if plain else None))
    return found


def prepare(config: Config, work_dir: Path, own: Sequence[Source], processes: int, progress: Progress) -> Prepared:
    """Phantoms rendered, and all slides cut: a set of tiles for each stain to learn from, and one to look at.

    Raises
    ------
    ValueError
        A stain has no tile to learn from, or a slide is in two parts.
    """
    phantoms = _phantoms(config, work_dir, processes, progress)
    names = [source.name for _, source in phantoms] + [source.name for source in own]
    if len(set(names)) != len(names):
        raise ValueError("two slides of one stain have the same file name: rename one")
    parts: dict[str, list[PatchSet]] = {}
    rows: list[SlideRow] = []
    everything = [*phantoms, *((TRAIN, source) for source in own)]
    for done, (part, source) in enumerate(everything):
        # The two stains of a check phantom come one after the other, and are cut at the same places.
        like = parts[set_name(CHECK, HE)][-1] if (part, source.stain) == (CHECK, KI67) else None
        tiles = cut_source(source, config.data, config.seed * 100_003 + done, like)
        parts.setdefault(set_name(part, source.stain), []).append(tiles)
        rows.append(SlideRow(source.name, source.stain, part, source.synthetic, len(tiles)))
        progress("slides cut", done + 1, len(everything))
    for part in (TRAIN, CHECK):
        for stain in STAINS:
            name = set_name(part, stain)
            if not sum(map(len, parts.get(name, []))):
                raise ValueError(f"there is no tile of {stain} for {part}: more tissue, or other slides, are needed")
            write_patch_set(work_dir / name, join(parts[name]))
    found = Prepared(config.data_digest(), {name: stored_digest(work_dir / name) for name in parts}, tuple(rows))
    (work_dir / INDEX).write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")
    return found


def set_name(part: str, stain: str) -> str:
    """The folder of a set of tiles."""
    return f"{part}-{stain}"


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
    return Prepared(read["data"], read["digests"], tuple(SlideRow(**row) for row in read["slides"]))


def read_tiles(config: Config, work_dir: Path, part: str, stain: str) -> PatchSet:
    """The tiles of a part and stain, once it is sure that they are those of the recipe."""
    name = set_name(part, stain)
    folder = work_dir / name
    if not (folder / META).exists() or stored_digest(folder) != read_prepared(config, work_dir).digests[name]:
        raise ValueError(f"the tiles in {folder} are not those that `prepare` wrote: run it again")
    return read_patch_set(folder)


def _phantoms(config: Config, work_dir: Path, processes: int, progress: Progress) -> list[tuple[str, Source]]:
    """(part, source) of every phantom slide that is cut; those of the test are rendered and stay whole."""
    spec = config.data.phantom

    def render(step: str, folder: str, specs: dict[str, PhantomSpec], stains: tuple[Stain, ...]) -> None:
        phantom_images(
            work_dir / folder, specs, stains, processes, lambda done, total: progress(f"phantoms, {step}", done, total)
        )

    sources = []
    for stain in STAINS:
        specs = training_specs(spec, stain)
        render(stain, PHANTOMS, specs, (stain,))
        sources += [(TRAIN, _source(work_dir / PHANTOMS, name, stain)) for name in specs]
    render("check", PHANTOMS, check_specs(spec), STAINS)
    render("test", TEST, held_out_specs(spec), STAINS)
    render("moved sections", MOVED, moved_specs(spec), (KI67,))
    return sources + [(CHECK, _source(work_dir / PHANTOMS, n, s)) for n in check_specs(spec) for s in STAINS]


def _source(folder: Path, name: str, stain: Stain) -> Source:
    return Source(f"{name}-{stain}", folder / name / f"{stain}.tiff", stain, True)
