"""The recipe of the virtual Ki-67 stain, read from TOML and checked. Defaults are the paper's numbers."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from training.loop.config import Count, DeviceConfig, Positive, Section, Share, digest_of

EXPERIMENTS = Path(__file__).with_name("experiments")
STRIDE_PX = 8
"""Of the generators: three halvings."""
HE: Final = "he"
KI67: Final = "ki67"
Amount = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0)]
Upsample = Literal["transposed", "resize"]
Widths = tuple[Count, Count, Count, Count]


class PhantomConfig(Section):
    """Phantoms to learn from and to be held against; lists are gone through in turn.

    H&E is rendered of some, Ki-67 of others: nothing in training is a pair. `check` and `test` phantoms have both
    stains; the first are looked at after each epoch, the second only when all is done.
    """

    he: Amount = 12
    ki67: Amount = 12
    check: Count = 2
    test: Annotated[int, Field(ge=3)] = 10
    side_px: Annotated[int, Field(ge=256)] = 2560
    mpp: Positive = 0.25
    ki67_index: tuple[Share, ...] = (0.08, 0.3, 0.15, 0.5, 0.22, 0.4)
    ki67_effect: Annotated[float, Field(ge=0)] = 2.0
    pleomorphism: tuple[Share, ...] = (0.3, 0.1, 0.5, 0.7, 0.2)
    blur_um: tuple[Positive, ...] = (0.25, 0.3, 0.4, 0.35)
    tissue: tuple[Share, ...] = (1.0, 1.0, 0.8)
    tumour: tuple[Share, ...] = (0.9, 0.6, 0.75)
    test_low: Share = 0.05
    test_high: Share = 0.55
    """Ki-67 of the test phantoms goes evenly from low to high."""
    moved: Amount = 4
    """So many test phantoms get a second Ki-67 section, shifted, turned and warped, to be registered to the H&E."""
    registration_mpp: Positive = 1.0
    seed: int = 68_000


class DataConfig(Section):
    """How slides are cut into tiles."""

    tile_px: Annotated[int, Field(ge=32, multiple_of=STRIDE_PX)] = 288
    step_px: Count = 144
    mpp: Positive = 0.5
    tissue: Share = 0.1
    """A tile is taken where at least so much of it is tissue. Low, as in pale IHC little but nuclei is taken for it:
    with more, Ki-67 tiles would hold more nuclei than those of H&E, and the discriminators would see that."""
    per_slide: Amount = 0
    """Most tiles of a slide, drawn at random; 0 takes all."""
    own_share: Share = 1.0
    """Part of the tiles that come from your own slides, where a stain has some; the rest is phantoms."""
    phantom: PhantomConfig = PhantomConfig()


class NetConfig(Section):
    """The networks. `use_skip` is one of the two options of the paper's four variants."""

    widths: Widths = (64, 128, 256, 512)
    """Channels at full, half, quarter and eighth size. The paper names none."""
    blocks: Count = 10
    use_skip: bool = True
    upsample: Upsample = "transposed"
    """The paper's transposed convolutions, or each pixel four times and a 3x3 convolution: no checkerboard."""
    judge_widths: Widths = (64, 128, 256, 512)
    """Channels of the discriminators' first four convolutions."""


class LossConfig(Section):
    """Adversarial + `cycle` * L1 + `structure` * (1 - SSIM), both ways."""

    adversarial: Literal["log", "least_squares"] = "log"
    """`log` is what the paper writes; `least_squares` is what is usual beside a cycle, and steadier."""
    cycle: Weight = 5.0
    """The paper's lambda."""
    structure: Weight = 5.0
    """The paper's beta."""
    use_ssim: bool = True
    """Without it `structure` does not count: the other option of the four variants."""
    window_px: Annotated[int, Field(ge=3)] = 11
    pool: Amount = 0
    """So many made images are kept to show to the discriminators again; the paper speaks of none."""


class FitConfig(Section):
    """Adam at `rate`, multiplied by `decay` every `decay_epochs`."""

    epochs: Count = 20
    batch: Count = 4
    steps: Amount = 0
    """Batches of an epoch; 0 is as many as the smaller of the two sets fills."""
    rate: Positive = 2e-4
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    decay_epochs: Count = 2
    betas: tuple[Share, Share] = (0.5, 0.999)
    """The paper is silent; 0.5 is the usual first one against a discriminator."""
    crop_px: Annotated[int, Field(ge=0, multiple_of=STRIDE_PX)] = 0
    """A random square of the tile is learned from; the whole tile where 0."""
    mirror: bool = True
    """Random mirrors and quarter turns."""
    threads: Count = 2
    """Of torch. Sums are taken in another order with another number, so it belongs to the recipe."""
    samples: Count = 8
    """Check tiles of each stain that are measured, and partly drawn, after each epoch."""


class PackageConfig(Section):
    """What goes into the manifest's grid; the halo is what the generator sees."""

    tile_px: Annotated[int, Field(ge=64, multiple_of=STRIDE_PX)] = 512
    sample_tiles: Count = 16
    sample_px: Annotated[int, Field(ge=64, multiple_of=STRIDE_PX)] = 288
    """Squares that the slide's statistics are fitted on; as large as training's tiles at best."""
    mpp_min: Positive = 0.2
    mpp_max: Positive = 0.55


class Config(Section):
    """The whole recipe."""

    seed: int = 68
    data: DataConfig = DataConfig()
    net: NetConfig = NetConfig()
    loss: LossConfig = LossConfig()
    fit: FitConfig = FitConfig()
    package: PackageConfig = PackageConfig()
    device: DeviceConfig = DeviceConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        side_px = self.fit.crop_px or self.data.tile_px
        if side_px > self.data.tile_px:
            raise ValueError(f"crop_px {side_px} is larger than the tile of {self.data.tile_px} px")
        if self.loss.window_px > side_px:
            raise ValueError(f"window_px {self.loss.window_px} does not fit into {side_px} px")
        if self.data.phantom.moved > self.data.phantom.test:
            raise ValueError(f"moved is {self.data.phantom.moved}: there are {self.data.phantom.test} test phantoms")
        return self

    def data_digest(self) -> str:
        """SHA-256 over what `prepare` depends on."""
        return digest_of(self.data.model_dump_json(exclude={"own_share"}), str(self.seed))

    def digest(self) -> str:
        """SHA-256 over the values that change the weights; where it runs, and how it is used, do not matter."""
        return digest_of(self.model_dump_json(exclude={"package", "device"}), self.device.precision)

    def rate(self, epochs_done: int) -> float:
        """The learning rate after so many epochs."""
        return float(self.fit.rate * self.fit.decay ** (epochs_done // self.fit.decay_epochs))

    def variant(self) -> str:
        """Which of the paper's four variants this is."""
        parts = ["skip connections"] * self.net.use_skip + ["SSIM"] * self.loss.use_ssim
        return " + ".join(["CycleGAN", *parts])
