"""A recipe and samples small enough for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from training.nuclei.config import Config, load_config
from training.nuclei.data import Prepared
from training.nuclei.sources import BLANK_TILES, Sample


def small_config(**train) -> Config:
    """The real recipe with a network and a loop a test can afford."""
    config = load_config()
    loop = {"steps": 6, "fold_steps": 4, "checkpoint_every": 2, "warmup": 2, "threads": 1} | train
    return config.model_copy(
        update={
            "network": config.network.model_copy(update={"widths": (4, 4, 4, 4), "depths": (1, 1, 1, 1)}),
            "sampling": config.sampling.model_copy(update={"patch_px": 32, "batch": 3}),
            "train": config.train.model_copy(update=loop),
        }
    )


def disc_sample(name="disc", source="nuclei_tnbc", kind="he", colour=(90, 60, 140)) -> Sample:
    """Two dark discs on a light ground, 48 x 64 px."""
    rows, columns = np.mgrid[:48, :64]
    instances = np.zeros((48, 64), np.int32)
    for number, (y, x) in enumerate(((16, 18), (30, 44)), start=1):
        instances[(rows - y) ** 2 + (columns - x) ** 2 <= 64] = number
    image = np.where(instances[..., None] > 0, np.array(colour), np.array((230, 190, 220))).astype(np.uint8)
    return Sample(name, source, kind, 1.0, image, instances)


def small_prepared() -> Prepared:
    """One image of each kind; the first two are held out in folds 0 and 1."""
    blank = Sample("glass", "qc_tiles", "blank", 1.0, np.full((40, 40, 3), 244, np.uint8), np.zeros((40, 40), np.int32))
    samples = (disc_sample(), disc_sample("purple", "nuclei_dsb2018", "stained", (70, 30, 150)), blank)
    return Prepared(samples, ("a", "b", "c"), (0, 1, -1), {"nuclei_tnbc": "0" * 64})


def write_tiny_data(folder: Path) -> Path:
    """A data folder in the layout of the real one: three DSB and three TNBC images, blank tiles."""
    for name in ("dsb2018/images", "dsb2018/labels", "tnbc/images", "tnbc/masks"):
        (folder / f"nuclei_{name}").mkdir(parents=True)
    (folder / "qc_tiles").mkdir()
    sample = disc_sample()
    for i in range(3):
        Image.fromarray(sample.image).save(folder / f"nuclei_dsb2018/images/d{i}.png")
        Image.fromarray(sample.instances.astype(np.uint16)).save(folder / f"nuclei_dsb2018/labels/d{i}.png")
        Image.fromarray(sample.image).save(folder / f"nuclei_tnbc/images/t{i}.png")
        Image.fromarray(sample.instances > 0).save(folder / f"nuclei_tnbc/masks/t{i}.png")
    for stem in BLANK_TILES:
        Image.fromarray(np.full((16, 16, 3), 240, np.uint8)).save(folder / f"qc_tiles/{stem}.png")
    return folder
