"""From labelled slides to patches: positives at the marks, negatives at dark discs, look-alikes and other nuclei."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.loop.config import digest_of
from training.mitosis.candidates import find_candidates
from training.mitosis.config import Config, PhantomConfig
from training.mitosis.parts import POSITIVE
from training.phantom.spec import LOOKS, PhantomSpec
from training.sets.brecahad import read_brecahad
from training.sets.marks import Mark, MarkedImage
from training.sets.patch_set import META, PatchSet, join, patches_of, read_patch_set, stored_digest, write_patch_set
from training.sets.phantoms import marked_phantom, phantom_images
from workers.measures.candidates import Points
from workers.slides.opening import open_slide

if TYPE_CHECKING:
    import pyarrow as pa

CLASSES = ("none", POSITIVE)
HARD_LABELS = frozenset({"apoptosis", "lookalike", "look-alike", "imposter", "hard negative"})
"""Marks of these classes are negatives without exception, in whatever letters they are written."""
MANIFEST = "prepared.json"
Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images, their patches, and which phantoms no network trains on."""

    images: tuple[MarkedImage, ...]
    patches: PatchSet
    patches_digest: str
    test_phantoms: tuple[str, ...]
    candidate_recall: Mapping[str, tuple[int, int]]
    """By source: mitoses with a candidate within `match_px` of them, and all mitoses."""


def prepare(data_dir: Path, work_dir: Path, config: Config, own: Sequence[MarkedImage], tell: Tell) -> Prepared:
    """The prepared data in `work_dir`, made or, where it is there for the same recipe and images, read.

    Parameters
    ----------
    data_dir
        Holds `mitosis_brecahad`.
    own
        Further labelled images: a user's.

    Raises
    ------
    ValueError
        Two images have one name.
    """
    images, test_phantoms = _gather(data_dir, work_dir, config, own, tell)
    if len({image.name for image in images}) != len(images):
        raise ValueError("two images have the same name: rename one of them")
    key = _key(images, config)
    manifest = work_dir / MANIFEST
    if manifest.exists() and json.loads(manifest.read_text("utf-8"))["key"] == key:
        return load_prepared(work_dir)
    manifest.unlink(missing_ok=True)
    parts, recall = [], dict[str, tuple[int, int]]()
    for number, image in enumerate(images):
        tell(f"candidates {number + 1} of {len(images)}: {image.name}")
        patches, found = image_patches(image, config)
        parts.append(patches)
        before = recall.get(image.source, (0, 0))
        recall[image.source] = (before[0] + found[0], before[1] + found[1])
    write_patch_set(work_dir / "patches", join(parts))
    told = {"key": key, "images": [_to_json(i) for i in images], "test_phantoms": test_phantoms, "recall": recall}
    manifest.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return load_prepared(work_dir)


def load_prepared(work_dir: Path) -> Prepared:
    """What `prepare` made.

    Raises
    ------
    FileNotFoundError
        It did not, or did not end.
    """
    if not (work_dir / MANIFEST).exists() or not (work_dir / "patches" / META).exists():
        raise FileNotFoundError(
            f"there is no prepared data in {work_dir}: run `prepare` with the same --experiment first"
        )
    told = json.loads((work_dir / MANIFEST).read_text("utf-8"))
    return Prepared(
        images=tuple(_from_json(image) for image in told["images"]),
        patches=read_patch_set(work_dir / "patches"),
        patches_digest=stored_digest(work_dir / "patches"),
        test_phantoms=tuple(told["test_phantoms"]),
        candidate_recall={name: (found, every) for name, (found, every) in told["recall"].items()},
    )


def image_patches(image: MarkedImage, config: Config) -> tuple[PatchSet, tuple[int, int]]:
    """The patches of an image, and (mitoses with a candidate near them, mitoses).

    Positives are centred on the marked mitoses. Negatives are all candidates and all marks of look-alike classes, some
    marks of other classes and some places drawn evenly, each farther than `match_px` from every mitosis. The paper's d
    of 100 px around every reference object counts as positive; here a patch 12 um beside a mitosis is a negative, for
    the network is to point at the mitosis, not at its neighbour.
    """
    scale = image.mpp / config.data.mpp
    slide = open_slide(image.path, image.mpp)
    try:
        candidates = find_candidates(slide, config.data.mpp, config.candidates) / scale
    finally:
        slide.close()
    mitoses = image.points_px(POSITIVE)
    reach_px = config.candidates.match_px / scale
    near = int((_nearest(mitoses, candidates) <= reach_px).sum())
    others = np.concatenate([candidates, _other_marks(image, config), _random_places(image, config)])
    negatives = others[far_from_mitoses(others, image, config)]
    points = np.concatenate([mitoses, negatives])
    labels = [POSITIVE] * len(mitoses) + ["none"] * len(negatives)
    patches = patches_of(image, points, labels, CLASSES, config.data.patch_px, config.data.mpp)
    return patches, (near, len(mitoses))


def far_from_mitoses(points: Points, image: MarkedImage, config: Config) -> NDArray[np.bool_]:
    """Which points, (n, 2) in level-0 px of the image, are farther than `match_px` from every mitosis."""
    reach_px = config.candidates.match_px * config.data.mpp / image.mpp
    return _nearest(points, image.points_px(POSITIVE)) > reach_px


def phantom_specs(phantom: PhantomConfig, mpp: float) -> dict[str, PhantomSpec]:
    """The phantoms by name: looks, rates of mitoses and sharpness in turn; the last `test` of them are held out."""
    looks = LOOKS[1:]
    return {
        f"phantom-{number:02d}": PhantomSpec(
            seed=phantom.seed + number,
            width_px=phantom.side_px,
            height_px=phantom.side_px,
            mpp=mpp,
            tissue=1.0,
            tumour=phantom.tumour,
            mitoses=phantom.mitoses[number % len(phantom.mitoses)],
            lookalikes=phantom.lookalikes,
            look=looks[number % len(looks)],
            blur_um=phantom.blur_um[number % len(phantom.blur_um)],
        )
        for number in range(phantom.train + phantom.test)
    }


def phantom_labels(truth: "pa.Table") -> list[str]:
    """The label of every nucleus of a phantom: mitosis, lookalike or nucleus."""
    phases, lookalikes = (truth[name].to_pylist() for name in ("phase", "lookalike"))
    return [
        POSITIVE if phase != "none" else "lookalike" if lookalike != "none" else "nucleus"
        for phase, lookalike in zip(phases, lookalikes, strict=True)
    ]


def _gather(
    data_dir: Path, work_dir: Path, config: Config, own: Sequence[MarkedImage], tell: Tell
) -> tuple[tuple[MarkedImage, ...], tuple[str, ...]]:
    real = read_brecahad(data_dir) if config.data.brecahad else ()
    images = [_with_label(image) for image in (*real, *own)]
    specs = phantom_specs(config.data.phantom, config.data.mpp)
    names = list(specs)
    if specs:
        phantom_images(
            work_dir / "phantoms", specs, ("he",), 2, lambda done, every: tell(f"phantoms {done} of {every}")
        )
        images += [marked_phantom(work_dir / "phantoms", name, "he", phantom_labels) for name in names]
    return tuple(images), tuple(names[config.data.phantom.train :])


def _with_label(image: MarkedImage) -> MarkedImage:
    """The image with "Mitosis" of any spelling under the one name we use."""
    names = {"mitosis", "mitotic figure", "mitotic_figure"}
    marks = tuple(
        Mark(m.x_px, m.y_px, POSITIVE if m.label.lower() in names else m.label, m.width_px, m.height_px)
        for m in image.marks
    )
    return MarkedImage(**{**_fields(image), "marks": marks})


def _other_marks(image: MarkedImage, config: Config) -> Points:
    """Marks that are negatives: all of the look-alikes, some of the others, the same ones for the same seed."""
    kinds = {mark.label for mark in image.marks} - {POSITIVE}
    hard = image.points_px(*sorted(k for k in kinds if _is_hard(k)) or ["\0"])
    plain = image.points_px(*sorted(k for k in kinds if not _is_hard(k)) or ["\0"])
    picked = np.sort(_generator(image, config, 0).permutation(len(plain))[: config.data.other_marks])
    return np.concatenate([hard, plain[picked]])


def _random_places(image: MarkedImage, config: Config) -> Points:
    """Places drawn evenly over the image, the same ones for the same seed."""
    return _generator(image, config, 1).uniform(
        (0, 0), (image.width_px, image.height_px), (config.data.random_places, 2)
    )


def _generator(image: MarkedImage, config: Config, purpose: int) -> np.random.Generator:
    return np.random.default_rng([config.seed, zlib.crc32(image.name.encode()), purpose])


def _is_hard(label: str) -> bool:
    return label.lower().replace("_", " ") in HARD_LABELS


def _nearest(points: Points, others: Points) -> NDArray[np.float64]:
    """The distance of each point to the nearest of the others; infinite where there is none."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    distances: NDArray[np.float64] = cKDTree(others).query(points)[0]
    return distances


def _key(images: Sequence[MarkedImage], config: Config) -> str:
    """What patches depend on, besides the pixels: a change of any of it makes them anew."""
    sizes = [image.path.stat().st_size if image.path.is_file() else 0 for image in images]
    return digest_of(config.data_digest(), json.dumps([_to_json(image) for image in images]), json.dumps(sizes))


def _fields(image: MarkedImage) -> dict[str, Any]:
    return {name: getattr(image, name) for name in image.__dataclass_fields__}


def _to_json(image: MarkedImage) -> dict[str, Any]:
    marks = [[m.x_px, m.y_px, m.label, m.width_px, m.height_px] for m in image.marks]
    return _fields(image) | {"path": str(image.path), "marks": marks}


def _from_json(told: Mapping[str, Any]) -> MarkedImage:
    marks = tuple(Mark(*mark) for mark in told["marks"])
    return MarkedImage(**{**told, "path": Path(told["path"]), "marks": marks})
