"""From PHH3 slides to labelled candidates and their patches."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.loop.config import digest_of
from training.mitosis.phh3.candidates import find_brown
from training.mitosis.phh3.config import Phh3Config, Phh3PhantomConfig
from training.mitosis.phh3.precipitate import SoiledSlide, draw_specks
from training.phantom.spec import LOOKS, PhantomSpec, Section
from training.sets.marks import MarkedImage
from training.sets.patch_set import META, PatchSet, cut_patches, join, patches_of, read_patch_set, write_patch_set
from training.sets.phantoms import marked_phantom, phantom_images
from workers.slides.opening import open_slide
from workers.slides.slide import Slide

if TYPE_CHECKING:
    import pyarrow as pa

ARTEFACT, OTHER, MITOSIS = "artefact", "other", "mitosis"
CLASSES = (ARTEFACT, OTHER, MITOSIS)
NUCLEUS = "nucleus"
"""In a phantom's truth: a nucleus that PHH3 does not stain."""
MANIFEST = "prepared.json"
LEAST_BROWN = 0.1
"""Of the truth's `phh3_dab`; stained nuclei have 0.22 and more."""
Points = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Labelled patches, and the phantoms they and the later tests come from."""

    patches: PatchSet
    folder: Path
    phantoms: tuple[str, ...]
    """All, in order: training, validation, test."""

    def part(self, config: Phh3PhantomConfig, name: str) -> tuple[str, ...]:
        """The phantoms of a part: "train", "validation" or "test"."""
        ends = {"train": (0, config.train), "validation": (config.train, config.train + config.validation)}
        first, last = ends.get(name, (config.train + config.validation, len(self.phantoms)))
        return self.phantoms[first:last]


def prepare_phh3(folder: Path, config: Phh3Config, own: Sequence[MarkedImage], tell: Tell) -> Prepared:
    """Phantom pairs, their candidates labelled by the truth, and the patches of both; what is there already is read.

    Parameters
    ----------
    own
        A user's PHH3 slides, each mark a candidate that was labelled "artefact", "other" or "mitosis" (`agreed` makes
        one label of several readers'). They are trained on; split by case, as the phantoms are.

    Raises
    ------
    ValueError
        A mark has another label.
    """
    specs = phantom_specs(config.phantom, config.dab.mpp)
    phantom_images(folder / "phantoms", specs, ("he", "phh3"), 2, lambda done, of: tell(f"phantoms {done} of {of}"))
    marks = [(i.name, i.case, i.mpp, [(m.x_px, m.y_px, m.label) for m in i.marks]) for i in own]
    key = digest_of(config.data_digest(), json.dumps(marks))
    manifest = folder / MANIFEST
    if not manifest.exists() or json.loads(manifest.read_text("utf-8"))["key"] != key:
        manifest.unlink(missing_ok=True)
        labelled = list(specs)[: config.phantom.train + config.phantom.validation]
        parts = []
        for number, name in enumerate(labelled):
            tell(f"candidates {number + 1} of {len(labelled)}: {name}")
            parts.append(phantom_patches(folder, name, config))
        parts += [_own_patches(image, config) for image in own]
        write_patch_set(folder / "patches", join(parts))
        manifest.write_text(json.dumps({"key": key, "phantoms": list(specs)}) + "\n", "utf-8")
    return load_prepared(folder)


def load_prepared(folder: Path) -> Prepared:
    """What `prepare_phh3` made.

    Raises
    ------
    FileNotFoundError
        It did not, or did not end.
    """
    if not (folder / MANIFEST).exists() or not (folder / "patches" / META).exists():
        raise FileNotFoundError(
            f"there is no prepared data in {folder}: run `prepare` with the same --experiment first"
        )
    told = json.loads((folder / MANIFEST).read_text("utf-8"))
    return Prepared(read_patch_set(folder / "patches"), folder, tuple(told["phantoms"]))


def phantom_specs(config: Phh3PhantomConfig, mpp: float) -> dict[str, PhantomSpec]:
    """The phantoms by name; each has its own look, rate of mitoses and place of the PHH3 section."""
    looks = LOOKS[1:]
    specs = {}
    for number in range(config.train + config.validation + config.test):
        x_um, y_um = np.random.default_rng([config.seed, number]).uniform(-1, 1, 2) * config.shift_um
        turn_deg = config.turn_deg * (1 if number % 2 else -1)
        section = Section("phh3", round(float(x_um), 2), round(float(y_um), 2), turn_deg, config.warp_um)
        specs[f"pair-{number:02d}"] = PhantomSpec(
            seed=config.seed + number,
            width_px=config.side_px,
            height_px=config.side_px,
            mpp=mpp,
            tissue=1.0,
            tumour=config.tumour,
            ki67=config.ki67,
            mitoses=config.mitoses[number % len(config.mitoses)],
            lookalikes=config.lookalikes,
            look=looks[number % len(looks)],
            sections=(section,),
        )
    return specs


def phantom_slide(folder: Path, name: str, config: Phh3Config) -> SoiledSlide:
    """The PHH3 slide of a phantom, open, with drawn precipitate."""
    slide = open_slide(folder / "phantoms" / name / "phh3.tiff", config.dab.mpp)
    width_um, height_um = slide.info.width_px * slide.info.mpp, slide.info.height_px * slide.info.mpp
    specks = draw_specks(width_um, height_um, config.phantom.specks_per_mm2, zlib.crc32(name.encode()))
    return SoiledSlide(slide, specks)


def phantom_patches(folder: Path, name: str, config: Phh3Config) -> PatchSet:
    """The candidates of a phantom as labelled patches."""
    image = marked_phantom(folder / "phantoms", name, "phh3", phh3_labels)
    slide = phantom_slide(folder, name, config)
    try:
        points = find_brown(slide, config.dab).points_px
        pixels = cut_patches(slide, points, config.net.patch_px, config.dab.mpp)
    finally:
        slide.close()
    labels = label_candidates(points, image, config.phantom.match_um)
    return PatchSet(
        pixels=pixels,
        labels=labels,
        classes=CLASSES,
        images=np.full(len(points), name),
        cases=np.full(len(points), name),
        x_px=points[:, 0],
        y_px=points[:, 1],
        synthetic=np.full(len(points), True),
        mpp=config.dab.mpp,
    )


def phh3_labels(truth: "pa.Table") -> list[str]:
    """The label of every nucleus of a phantom: mitosis, other (brown and none) or nucleus (not brown)."""
    phases, brown = truth["phase"].to_pylist(), truth["phh3_dab"].to_pylist()
    return [
        MITOSIS if phase != "none" else OTHER if dab > LEAST_BROWN else NUCLEUS
        for phase, dab in zip(phases, brown, strict=True)
    ]


def label_candidates(points_px: Points, image: MarkedImage, match_um: float) -> NDArray[np.int64]:
    """The class of each candidate: a mitosis within reach, else another brown nucleus, else an artefact."""
    labels = np.full(len(points_px), CLASSES.index(ARTEFACT), np.int64)
    for kind in (OTHER, MITOSIS):
        marks = image.points_px(kind)
        if len(marks) and len(points_px):
            near = cKDTree(marks).query(points_px)[0] * image.mpp <= match_um
            labels[near] = CLASSES.index(kind)
    return labels


def _own_patches(image: MarkedImage, config: Phh3Config) -> PatchSet:
    unknown = sorted({mark.label for mark in image.marks} - set(CLASSES))
    if unknown:
        raise ValueError(f"{image.name} has the label {unknown[0]!r}: labels are {', '.join(CLASSES)}")
    labels = [mark.label for mark in image.marks]
    return patches_of(image, image.points_px(), labels, CLASSES, config.net.patch_px, config.dab.mpp)


def open_pair(folder: Path, name: str, config: Phh3Config) -> tuple[Slide, Slide]:
    """The PHH3 slide, with precipitate, and the H&E slide of a phantom."""
    he = open_slide(folder / "phantoms" / name / "he.tiff", config.dab.mpp)
    return phantom_slide(folder, name, config), he
