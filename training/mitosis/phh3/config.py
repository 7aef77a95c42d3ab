"""The recipe of the PHH3 chain, read from TOML and checked."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from training.augment.chain import AugmentConfig
from training.loop.config import Count, DeviceConfig, LoopConfig, Positive, Section, Share, digest_of

EXPERIMENTS = Path(__file__).with_name("experiments")
Spread = Annotated[float, Field(ge=0)]


class DabConfig(Section):
    """What is a candidate: a brown component of about a cell's size."""

    mpp: Positive = 0.25
    density: Positive = 0.35
    """Of DAB after unmixing, natural logarithm; where `models.dab` draws the line between brown and blue."""
    min_area_um2: Positive = 4.0
    max_area_um2: Positive = 250.0
    join_um: Spread = 7.0
    """Components whose centres are this near are one candidate: the two plates of an anaphase or telophase."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_area_um2 >= self.max_area_um2:
            raise ValueError("min_area_um2 must be below max_area_um2")
        return self


class ShiftConfig(Section):
    """Tiles that are correlated, and when their best shift is believed."""

    mpp: Positive
    tile_um: Positive
    """Side of the PHH3 tile that is looked for."""
    range_um: Positive
    """Shifts up to this, in x and in y, are tried."""
    peak_um: Positive = 8.0
    """The peak reaches this far; what lies beyond is noise it is held against."""
    least_confidence: Spread = 2.0
    """See `Peak.confidence`: less is not believed."""


class RegistrationConfig(Section):
    """From PHH3 to H&E."""

    tiles: Count = 10
    """Random pairs whose correlation maps are averaged."""
    tissue_density: Positive = 0.08
    """Mean optical density (natural logarithm) of a place that a random tile may be centred on."""
    whole: ShiftConfig = ShiftConfig(mpp=1.0, tile_um=400.0, range_um=250.0)
    local: ShiftConfig = ShiftConfig(mpp=0.5, tile_um=80.0, range_um=20.0, peak_um=5.0)


class Phh3PhantomConfig(Section):
    """Phantom slide pairs; the PHH3 section is shifted, turned and bent against the H&E one."""

    train: Count = 10
    validation: Count = 8
    test: Count = 6
    side_px: Annotated[int, Field(ge=512)] = 2048
    mitoses: tuple[Share, ...] = (0.01, 0.02, 0.04)
    """Part of tumour nuclei in mitosis; phantoms take these in turn."""
    lookalikes: Share = 0.03
    tumour: Share = 0.7
    ki67: Share = 0.3
    shift_um: Spread = 40.0
    """The largest shift in x and in y; each phantom draws its own."""
    turn_deg: Spread = 0.2
    warp_um: Spread = 3.0
    specks_per_mm2: Spread = 600.0
    """Drawn precipitate: phantoms have none, real PHH3 slides have more of it than of mitoses."""
    match_um: Positive = 6.0
    """A candidate this near to a nucleus of the truth is that nucleus."""
    seed: int = 900


class PooledConfig(Section):
    """CNN1 and CNN2."""

    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    norm: bool = False
    patch_px: Count = 128
    crop_px: Annotated[int, Field(ge=32)] = 100
    steps: Annotated[int, Field(ge=0)] = 0
    """Batches of an epoch; 0: as many as hold all patches once."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop_px > self.patch_px:
            raise ValueError("crop_px must not be above patch_px")
        return self


class Phh3Config(Section):
    """The whole recipe; the defaults are the paper's numbers, and ours where it has none."""

    seed: int = 3
    prune: bool = False
    """Whether what CNN1 calls an artefact never reaches CNN2. In the paper CNN1 only spared annotators the artefacts;
    CNN2, which learned them as negatives, sees every candidate."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """CNN2's probability from which a candidate is a mitosis, and CNN1's from which it is a cell."""
    dab: DabConfig = DabConfig()
    net: PooledConfig = PooledConfig()
    augment: AugmentConfig = AugmentConfig(letters="REB")
    loop: LoopConfig = LoopConfig(epochs=20, batch=64)
    registration: RegistrationConfig = RegistrationConfig()
    phantom: Phh3PhantomConfig = Phh3PhantomConfig()
    device: DeviceConfig = DeviceConfig()

    def data_digest(self) -> str:
        """SHA-256 over what `prepare` depends on."""
        return digest_of(self.dab, self.phantom, str(self.net.patch_px), str(self.seed))

    def digest(self) -> str:
        """SHA-256 over the values that change the weights."""
        exclude = {"device", "registration", "prune", "threshold"}
        return digest_of(self.model_dump_json(exclude=exclude))
