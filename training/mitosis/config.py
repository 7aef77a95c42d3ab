"""The recipe of the mitosis network, read from TOML and checked."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.augment.chain import AugmentConfig
from training.loop.config import Count, DeviceConfig, LoopConfig, Positive, Section, Share, digest_of

EXPERIMENTS = Path(__file__).with_name("experiments")
StageKind = Literal["cnn3", "cnn4", "cnn5"]
Width = Annotated[float, Field(gt=0, le=1)]
Threshold = Annotated[float, Field(gt=0, lt=1)]


class PhantomConfig(Section):
    """Phantoms to train on and to be scored on; two in three of the looks come with mitoses in hotspots too."""

    train: Annotated[int, Field(ge=0)] = 12
    test: Annotated[int, Field(ge=0)] = 3
    side_px: Annotated[int, Field(ge=256)] = 2048
    mitoses: tuple[Share, ...] = (0.01, 0.02, 0.03)
    """Part of tumour nuclei in mitosis; phantoms take these in turn."""
    lookalikes: Share = 0.03
    tumour: Share = 0.6
    blur_um: tuple[Positive, ...] = (0.25, 0.45, 0.65)
    """Spread of the optics' point; phantoms take these in turn."""
    seed: int = 400


class DataConfig(Section):
    """What patches are cut from, and how images are parted."""

    brecahad: bool = True
    mpp: Positive = 0.25
    patch_px: Count = 128
    crop_px: Annotated[int, Field(ge=97, le=100)] = 100
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Part of the training images, of each source, that thresholds and epochs are chosen on."""
    other_marks: Annotated[int, Field(ge=0)] = 60
    """Marks of other classes per image that become negatives, besides all hard ones; the paper has candidates alone."""
    random_places: Annotated[int, Field(ge=0)] = 0
    """Places per image drawn evenly that become negatives: a dense map also looks beside and between the nuclei."""
    validation_negatives: Count = 100_000
    """Negatives of each source that an epoch is validated on, at most."""
    phantom: PhantomConfig = PhantomConfig()


class CandidateConfig(Section):
    """The candidate detector."""

    diameter_px: Positive = 100.0
    threshold: Share = 0.6
    smooth_px: Annotated[float, Field(ge=0)] = 4.0
    """Spread of the Gaussian that intensity is smoothed with before minima are sought; the paper is silent."""
    match_px: Positive = 30.0
    """A candidate this near to a mitosis is no negative. 100 in the paper, which labels it positive instead."""


class StageConfig(Section):
    """A network of the chain: how wide, and how many patches it is shown."""

    gamma: Width = 1.0
    draws: Count = 122_000
    """Patches per epoch."""
    epochs: Count = 20
    rate: Positive = 1e-3
    warm: bool = False
    """Start from the network before it in the chain rather than from chance; both must be of one width."""


class RealShare(Section):
    """Part of the drawn patches that is real, where there is both real and synthetic."""

    positives: Share = 0.5
    negatives: Share = 0.5


class EvaluateConfig(Section):
    """How a map becomes detections, and detections are held against the truth."""

    component_threshold: Threshold = 0.8
    min_distance_px: Annotated[float, Field(ge=0)] = 100.0
    match_um: Positive = 7.5
    least_threshold: Threshold = 0.8
    """Thresholds from here to 1 are tried."""


class PackageConfig(Section):
    """What goes into the manifest's grid."""

    tile_px: Count = 512
    mpp_min: Positive = 0.2
    mpp_max: Positive = 0.55


class Config(Section):
    """The whole recipe."""

    name: str = "mine"
    """Of the experiment, for the card."""
    seed: int = 4
    stages: tuple[StageKind, ...] = ("cnn3", "cnn4", "cnn5")
    folds: tuple[str, ...] = ()
    """Folds that `--fold all` trains: names of held-out cases and `final`; all of them where none is named."""
    norm: bool = False
    """Batch normalisation in all networks; the paper's have none."""
    k: Count = 10
    mined: Annotated[int, Field(ge=0)] = 0
    """Places per training image drawn from CNN3's map, besides candidates, that CNN4 and CNN5 learn from."""
    hard_negatives: Count = 400_000
    soft_share: Share = 1.0
    """How much of CNN5's target is what the ensemble thinks; the rest is what the marks say. 1 in the paper."""
    real_share: RealShare = RealShare()
    data: DataConfig = DataConfig()
    candidates: CandidateConfig = CandidateConfig()
    augment: AugmentConfig = AugmentConfig()
    loop: LoopConfig = LoopConfig(epochs=20, batch=64)
    cnn3: StageConfig = StageConfig()
    cnn4: StageConfig = StageConfig()
    cnn5: StageConfig = StageConfig(gamma=0.6)
    evaluate: EvaluateConfig = EvaluateConfig()
    package: PackageConfig = PackageConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.stages != ("cnn3", "cnn4", "cnn5")[: len(self.stages)] or not self.stages:
            raise ValueError("stages are cnn3, cnn4 and cnn5, or the first ones of them")
        for name, before in (("cnn4", self.cnn3), ("cnn5", self.cnn4)):
            stage: StageConfig = getattr(self, name)
            if name in self.stages and stage.warm and stage.gamma != before.gamma:
                raise ValueError(f"{name} is to start from the network before it, which is of another width")
        return self

    def data_digest(self) -> str:
        """SHA-256 over what `prepare` depends on."""
        return digest_of(self.data, self.candidates, str(self.seed))

    def digest(self) -> str:
        """SHA-256 over the values that change the weights; where it runs, and how it is used, do not matter."""
        shown = self.model_dump_json(exclude={"name", "evaluate", "package", "device", "folds"})
        return digest_of(shown, self.device.precision)

    def loop_of(self, stage: StageKind) -> LoopConfig:
        """The loop of a stage."""
        own: StageConfig = getattr(self, stage)
        final = min(self.loop.final_rate, own.rate)
        return self.loop.model_copy(update={"epochs": own.epochs, "rate": own.rate, "final_rate": final})
