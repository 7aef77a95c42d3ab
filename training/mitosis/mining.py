"""Hard negatives from everywhere: places of the training images' dense maps, where a network sees what is not there."""

import dataclasses
import zlib
from pathlib import Path

import numpy as np
from torch import nn

from training.loop.config import digest_of
from training.loop.fit import load_weights
from training.mitosis.config import Config, StageKind
from training.mitosis.detect import Map, probability_map
from training.mitosis.fold import Fold, file_digest, new_network, torch_device
from training.mitosis.prepare import CLASSES, far_from_mitoses
from training.nets.all_convolutional import STRIDE_PX
from training.sets.marks import MarkedImage
from training.sets.patch_set import META, PatchSet, join, patches_of, read_patch_set, stored_digest, write_patch_set
from training.sets.sampling import draw_in_proportion
from workers.measures.candidates import Points
from workers.slides.opening import open_slide

LEAST_PROBABILITY = 1e-6
"""Added before places are drawn: an image on which the network is sure of everything has places to draw too."""


def with_mined(fold: Fold, stage: StageKind, weights: Path) -> Fold:
    """The fold with further training negatives, `mined` from each of its training images; kept on disk for next time.

    The paper draws hard negatives from candidates. A dense map also answers between them, and there a network that
    knows candidates alone is wrong: here they are drawn from all of the map, in proportion to the probability as well.
    """
    folder = fold.folder / f"mined-{stage}"
    key = digest_of(file_digest(weights), fold.prepared.patches_digest, fold.config.data_digest(), fold.name)
    if not (folder / META).exists() or (folder / "key").read_text("utf-8") != key:
        net = load_weights(new_network(fold.config, stage), weights).to(torch_device(fold.config.device))
        images = [image for image in fold.prepared.images if image.name in fold.parts.train]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key").write_text(key, "utf-8")
        write_patch_set(folder, join([mined_patches(net, image, fold.config) for image in images]))
    return _extended(fold, read_patch_set(folder), stored_digest(folder))


def mined_patches(net: nn.Module, image: MarkedImage, config: Config) -> PatchSet:
    """Patches of an image at places drawn in proportion to the network's probability, none near a mitosis."""
    slide = open_slide(image.path, image.mpp)
    try:
        probability = probability_map(net, slide, config.data.mpp)
    finally:
        slide.close()
    points = drawn_places(probability, image, config)
    return patches_of(image, points, ["none"] * len(points), CLASSES, config.data.patch_px, config.data.mpp)


def drawn_places(probability: Map, image: MarkedImage, config: Config) -> Points:
    """(n, 2) places in level-0 px of the image: `mined` px of the map, each at most once, none near a mitosis."""
    scale = STRIDE_PX * config.data.mpp / image.mpp
    rows, columns = np.indices(probability.shape)
    places: Points = (np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64) + 0.5) * scale
    far = far_from_mitoses(places, image, config)
    seed = zlib.crc32(f"{config.seed} mined {image.name}".encode())
    weights = probability.ravel()[far].astype(np.float64) + LEAST_PROBABILITY
    drawn = draw_in_proportion(weights, min(config.mined, len(weights)), seed, replace=False)
    taken: Points = places[far][drawn]
    return taken


def _extended(fold: Fold, mined: PatchSet, digest: str) -> Fold:
    """The fold with these patches as rows after its own, all for training."""
    prepared = fold.prepared
    patches = join([prepared.patches, mined])
    rows = np.arange(len(prepared.patches), len(patches))
    return dataclasses.replace(
        fold,
        prepared=dataclasses.replace(
            prepared, patches=patches, patches_digest=digest_of(prepared.patches_digest, digest)
        ),
        train=np.concatenate([fold.train, rows]),
    )
