"""The recipe of the DeepLIIF networks, read from TOML and checked."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.importers.deepliif.layout import TRAINED_WEIGHTS
from training.loop.config import Count, DeviceConfig, Positive, Section, Share, digest_of

EXPERIMENTS = Path(__file__).with_name("experiments")
Modality = Literal["hematoxylin", "dapi", "lap2", "marker"]
MODALITIES: tuple[Modality, ...] = ("hematoxylin", "dapi", "lap2", "marker")
Amount = Annotated[int, Field(ge=0)]
Span = tuple[float, float]


class PhantomConfig(Section):
    """Phantoms with all channels and exact truth, each a case of its own. Lists are gone through in turn."""

    train: Amount = 60
    val: Amount = 6
    test: Amount = 8
    side_px: Annotated[int, Field(ge=64)] = 512
    test_side_px: Annotated[int, Field(ge=64)] = 1024
    """The test's phantoms are larger than a tile, as slides are."""
    ki67: tuple[Share, ...] = (0.1, 0.2, 0.35, 0.55)
    pleomorphism: tuple[Share, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    blur_um: tuple[Positive, ...] = (0.25, 0.3, 0.4, 0.55, 0.3, 0.25, 0.35)
    tissue: tuple[Share, ...] = (1.0, 1.0, 1.0, 0.6)
    tumour: tuple[Share, ...] = (1.0, 0.6)
    lymphocytes: tuple[Share, ...] = (0.12, 0.12, 0.4)
    seed: int = 5100


class RealConfig(Section):
    """Real nuclei of H&E and other purple stains, turned IHC; parted by image."""

    use: bool = True
    variants: Count = 1
    """Pictures made of each image, with positive nuclei and colours of their own."""
    nucleus_px: Span = (24.0, 36.0)
    """Images are brought to a scale at which the median nucleus has such a diameter."""
    positive: Span = (0.05, 0.6)
    """From where to where the part of positive nuclei is drawn."""
    derived: bool = False
    """Whether modalities are made of outlines and amounts of stain, for the translators to learn from as well."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.08
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2


class DataConfig(Section):
    """What pictures are made of."""

    side_px: Annotated[int, Field(ge=32)] = 512
    """Of the pictures that are trained on."""
    boundary_px: Annotated[int, Field(ge=1, le=6)] = 2
    """Width of the mask's green boundary, inside of each cell."""
    phantom: PhantomConfig = PhantomConfig()
    real: RealConfig = RealConfig()
    panels: str = ""
    """A folder of your own in DeepLIIF's layout (`train`, `val`, `test`), relative to where the command runs."""


class NetsConfig(Section):
    """Shapes of the networks; the defaults are the paper's."""

    translator_width: Count = 64
    blocks: Count = 9
    segmenter_width: Count = 64
    levels: Annotated[int, Field(ge=5, le=9)] = 9
    """U-Net 512 has 9; the pictures' sides must be multiples of two to that power."""
    discriminator_width: Count = 64
    discriminator_layers: Annotated[int, Field(ge=1, le=4)] = 3
    """Strided convolutions; three see 70 x 70 px."""
    spectral_norm: bool = False
    dropout: bool = True
    padding: Literal["zero", "reflect"] = "zero"
    upsample: Literal["convtranspose", "resize_conv"] = "convtranspose"
    modalities: tuple[Modality, ...] = MODALITIES
    """Those that are translated to and segmented from: leave one out for an ablation."""
    weights: tuple[Share, ...] = TRAINED_WEIGHTS
    """Of the masks from the IHC, hematoxylin, DAPI, Lap2 and marker; those in use are scaled to a sum of one."""
    many_to_one: bool = False
    """One segmenter that takes the IHC and all modalities at once, in place of one for each."""

    @model_validator(mode="after")
    def _modalities_once_and_weighted(self) -> Self:
        if len(set(self.modalities)) != len(self.modalities):
            raise ValueError("modalities are named once each")
        if len(self.weights) != 1 + len(MODALITIES):
            raise ValueError(f"weights are {1 + len(MODALITIES)}: of the IHC and of {', '.join(MODALITIES)}")
        return self


class TrainConfig(Section):
    """Losses and schedule; the defaults are the paper's."""

    stage: Literal["joint", "translators", "segmenters"] = "joint"
    """`joint` is the paper; `segmenters` learn alone from translators that were given."""
    constant_epochs: Amount = 100
    decay_epochs: Amount = 100
    batch: Count = 1
    rate: Positive = 2e-4
    betas: tuple[Share, Share] = (0.5, 0.999)
    reconstruction: Positive = 100.0
    """Lambda, the weight of smooth L1."""
    smooth_l1: Literal["paper", "torch"] = "paper"
    adversarial: Annotated[float, Field(ge=0)] = 1.0
    """Weight of what the discriminators say; 0 trains without them."""
    pictures: Amount = 0
    """Of an epoch, drawn anew each; 0 takes all."""
    threads: Count = 2

    @property
    def epochs(self) -> int:
        """All of them."""
        return self.constant_epochs + self.decay_epochs

    @model_validator(mode="after")
    def _has_epochs(self) -> Self:
        if not self.epochs:
            raise ValueError("constant_epochs and decay_epochs are both 0: nothing would be trained")
        return self


class AugmentConfig(Section):
    """Random changes of training pictures; the paper names none."""

    turn: bool = False
    """Mirrors and quarter turns."""
    density: Share = 0.0
    """Spread of a factor on each colour's optical density, of the IHC alone."""
    light: Share = 0.0
    """The IHC's light is multiplied by 1 +- this."""
    blur_px: Annotated[float, Field(ge=0)] = 0.0
    """Half of the IHC pictures are blurred by up to this spread."""


class SyntheticConfig(Section):
    """The paper's generator of IHC from hematoxylin, DAPI and mask, whose pictures double the training set."""

    use: bool = False
    neg_to_pos: tuple[Share, ...] = (0.5, 0.7, 0.9)
    """Part of the negative cells that is turned positive; gone through in turn."""
    width: Count = 64
    blocks: Count = 9
    constant_epochs: Amount = 100
    decay_epochs: Amount = 100
    pictures: Amount = 0


class PackageConfig(Section):
    """How the package runs."""

    mode: Literal["exact", "compat"] = "exact"
    """`exact`: statistics once per slide, no seams; `compat`: of each tile, on DeepLIIF's grid."""
    scale_px: Count = 512
    """Of `compat`: the side of a tile."""
    tile_px: Count = 1024
    """Of `exact`: the side that a tile keeps."""
    mpp_min: Positive = 0.2
    mpp_max: Positive = 0.55


class Config(Section):
    """The whole recipe."""

    seed: int = 51
    mpp: Positive = 0.25
    data: DataConfig = DataConfig()
    nets: NetsConfig = NetsConfig()
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    synthetic: SyntheticConfig = SyntheticConfig()
    package: PackageConfig = PackageConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _sides_fit_the_networks(self) -> Self:
        step = 2**self.nets.levels
        if self.data.side_px % step:
            raise ValueError(
                f"side_px {self.data.side_px} is no multiple of {step}, which levels = {self.nets.levels} needs"
            )
        if self.data.phantom.side_px < self.data.side_px:
            raise ValueError("phantoms are smaller than the pictures that are cut from them")
        return self

    def data_digest(self) -> str:
        """SHA-256 over what `prepare` depends on."""
        return digest_of(self.data, str(self.mpp), str(self.seed))

    def digest(self) -> str:
        """SHA-256 over the values that change the weights; where it runs, and how it is used, do not matter."""
        return digest_of(self.model_dump_json(exclude={"package", "device"}), self.device.precision)


def mask_weights(nets: NetsConfig) -> tuple[float, ...]:
    """Weights of the masks from the IHC and the modalities in use, in their order; their sum is one.

    References
    ----------
    Ghahremani et al., doi:10.1038/s42256-022-00471-x: .25, .15, .25, .1 and .25 for all five.
    """
    given = [nets.weights[0], *(nets.weights[1 + MODALITIES.index(name)] for name in nets.modalities)]
    total = sum(given)
    if total <= 0:
        raise ValueError("all masks in use have the weight 0: give one a weight")
    return tuple(weight / total for weight in given)
