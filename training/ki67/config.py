"""The recipe of the Ki-67 network, read from TOML and checked."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.loop.config import Count, DeviceConfig, LoopConfig, Positive, Section, Share, digest_of
from training.nets.resnet18 import WINDOW_PX

EXPERIMENTS = Path(__file__).with_name("experiments")
CLASSES = ("negative", "positive", "background")
NEGATIVE, POSITIVE, BACKGROUND = range(3)
Amount = Annotated[int, Field(ge=0)]


class PhantomConfig(Section):
    """Phantoms to take patches from; each is a case of its own. Lists are gone through in turn."""

    count: Amount = 30
    side_px: Annotated[int, Field(ge=256)] = 2560
    ki67: tuple[Share, ...] = (0.15, 0.25, 0.35, 0.5)
    ki67_effect: Annotated[float, Field(ge=0)] = 2.0
    pleomorphism: tuple[Share, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    blur_um: tuple[Positive, ...] = (0.25, 0.3, 0.4, 0.55, 0.3, 0.25, 0.35)
    defocus: tuple[Share, ...] = (0.0, 0.0, 0.15)
    tissue: tuple[Share, ...] = (1.0, 1.0, 0.75)
    tumour: Share = 1.0
    seed: int = 6700


class PairConfig(Section):
    """Pairs of H&E and Ki-67 phantoms that the quantification is held against; never trained on."""

    count: Amount = 32
    width_px: Annotated[int, Field(ge=512)] = 2048
    height_px: Annotated[int, Field(ge=512)] = 1536
    ki67_low: Share = 0.03
    ki67_high: Share = 0.6
    moved: bool = True
    """The Ki-67 section is shifted, turned and warped, and registered to the H&E; else it lies as the H&E does."""
    registration_mpp: Positive = 1.0
    seed: int = 9700


class DataConfig(Section):
    """What patches are cut from, and how cases are parted."""

    mpp: Positive = 0.25
    context_px: Annotated[int, Field(ge=0, multiple_of=WINDOW_PX)] = 0
    """Side of the patches, of which the central 64 px decide; 0 is the paper's 64 px without any neighbourhood."""
    negative: Count = 6086
    positive: Count = 5900
    background: Count = 6776
    cell_box_px: Count = WINDOW_PX
    background_box_px: Count = WINDOW_PX
    """Boxes of cells and of background; one of background is kept where it meets none of a cell."""
    on_tissue: Share = 0.7
    """Part of the background boxes that lie on tissue, as far as there is room."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Part of the cases that is never trained on."""
    folds: Annotated[int, Field(ge=2)] = 10
    phantom: PhantomConfig = PhantomConfig()
    pairs: PairConfig = PairConfig()

    @property
    def patch_px(self) -> int:
        """Side of the patches that the network is trained on."""
        return max(WINDOW_PX, self.context_px)


class AugmentConfig(Section):
    """Random changes. The paper's are the mirrors alone, and they are always on; the others are off at 0."""

    turn: bool = False
    """Quarter turns."""
    shift_px: Amount = 0
    """The cell lies up to so many px beside the middle, as on the grid of the dense map."""
    stain_sigma: Share = 0.0
    brightness: Share = 0.0
    """Light is multiplied by 1 +- this."""
    halved: Share = 0.0
    """Part of the patches that is shrunk to half and blown up again: slides of 0.5 um/px."""


class PackageConfig(Section):
    """What goes into the manifest's grid."""

    stride_px: Literal[8, 16, 32] = 8
    tile_px: Count = 1024
    halo_px: Count = 256
    mpp_min: Positive = 0.2
    mpp_max: Positive = 0.55


class Config(Section):
    """The whole recipe."""

    seed: int = 67
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Channels relative to ResNet18's."""
    loop: LoopConfig
    balanced: bool = False
    """As many patches of each class in every batch; `loop.batch` must then be a multiple of three."""
    fold_epochs: Amount = 0
    """Epochs of a fold's network; as many as the final one where 0."""
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    package: PackageConfig = PackageConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _folds_step_down_too(self) -> Self:
        if self.loop.decay == "step" and 0 < self.fold_epochs < 2:
            raise ValueError("fold_epochs must be 2 or more: one epoch at each rate")
        if self.balanced and self.loop.batch % len(CLASSES):
            raise ValueError(f"a balanced batch holds as many of each class: {self.loop.batch} is no multiple of 3")
        return self

    def data_digest(self) -> str:
        """SHA-256 over what `prepare` depends on."""
        return digest_of(self.data, str(self.augment.shift_px), str(self.seed))

    def digest(self) -> str:
        """SHA-256 over the values that change the weights; where it runs, and how it is used, do not matter."""
        return digest_of(self.model_dump_json(exclude={"package", "device"}))

    def loop_of(self, fold: int | None) -> LoopConfig:
        """The loop of a fold's network, or of the final one where `fold` is None.

        A shorter run steps down at the same part of its epochs.
        """
        if fold is None or not self.fold_epochs:
            return self.loop
        step = max(1, round(self.loop.step_epoch * self.fold_epochs / self.loop.epochs))
        return self.loop.model_copy(update={"epochs": self.fold_epochs, "step_epoch": step})
