"""The recipe of the nuclei network, read from TOML and checked."""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

DEFAULT_CONFIG = Path(__file__).with_name("nuclei.toml")


class Section(BaseModel):
    """A frozen table of the TOML file that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """How the sources are brought to one scale and split."""

    mpp: Positive
    folds: Annotated[int, Field(ge=2)]
    groups: Count
    nucleus_um: Positive
    dsb_scales: tuple[Positive, ...]


class NetworkConfig(Section):
    """Width of every resolution and convolutions per encoder stage."""

    widths: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]
    depths: Annotated[tuple[Count, ...], Field(min_length=4, max_length=4)]


class SamplingConfig(Section):
    """Patches per step and the share of each kind of source."""

    patch_px: Annotated[int, Field(ge=32, multiple_of=8)]
    batch: Count
    he: Share
    stained: Share
    blank: Share


class AugmentConfig(Section):
    """Ranges of the random changes; see `augment`."""

    scale_min: Positive
    scale_max: Positive
    stain_alpha: Share
    stain_beta: Share
    vector_jitter: Share
    eosin_share: Share
    gain: Share
    contrast: Share
    blur_sigma_px: Positive
    sharpen: Positive
    noise: Share


class LossConfig(Section):
    """Weights of the classes, of contact lines, and of the Dice term."""

    class_weights: tuple[Positive, Positive, Positive]
    touching_weight: Positive
    dice: Annotated[float, Field(ge=0)]


class TrainConfig(Section):
    """The loop."""

    steps: Count
    fold_steps: Count
    rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Count
    average: Share
    checkpoint_every: Count
    threads: Count


class GridConfig(Section):
    """What goes into the manifest's grid and cells."""

    tile_px: Count
    halo_px: Count
    mpp_min: Positive
    mpp_max: Positive
    grow_px: Annotated[int, Field(ge=0)]
    min_area_um2: Annotated[float, Field(ge=0)]
    max_area_um2: Positive


class Config(Section):
    """The whole recipe."""

    seed: int
    data: DataConfig
    network: NetworkConfig
    sampling: SamplingConfig
    augment: AugmentConfig
    loss: LossConfig
    train: TrainConfig
    grid: GridConfig

    def digest(self) -> str:
        """SHA-256 over the values that change the weights; comments, order and the grid of use do not matter."""
        return hashlib.sha256(self.model_dump_json(exclude={"grid"}).encode()).hexdigest()


def load_config(path: Path = DEFAULT_CONFIG) -> Config:
    """The recipe in a TOML file.

    Raises
    ------
    pydantic.ValidationError
        A key is missing, unknown or out of range.
    """
    return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
