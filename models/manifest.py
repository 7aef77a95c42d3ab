"""The manifest of a model package: everything needed to run a network truthfully, and to explain its numbers later.

`model.json` in a package folder is one `Manifest`. Its JSON Schema is exported to `models/schema/` (`make schema`).
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from models.manifest_part import Colour, Digest, Name, Part, PositiveTriple, Triple, Version
from models.measures_spec import AreasMeasure, CellsMeasure, IhcCellsMeasure, Measure, TilesMeasure
from models.stain_spec import StainSeen, StainStep

SCHEMA_VERSION: Final = 1

Task = Literal[
    "tile-classification",
    "dense-classification",
    "semantic-segmentation",
    "image-to-image",
    "multi-output",
    "detection",
]
Stain = Literal["he", "ihc-dab", "any"]
Precision = Literal["float32", "bfloat16"]


class InputSpec(Part):
    """What the network eats: RGB tiles as (value * scale - mean) / std, or raw bytes where it normalises inside."""

    layout: Literal["NCHW", "NHWC"] = "NCHW"
    dtype: Literal["float32", "uint8"] = "float32"
    scale: float = 1 / 255
    mean: Triple = (0.0, 0.0, 0.0)
    std: PositiveTriple = (1.0, 1.0, 1.0)
    resize_px: Annotated[int, Field(ge=8, le=4096)] | None = None
    """Tiles are resized to a square of this side first: classifiers made for patches of another size."""
    stain: tuple[StainStep, ...] = ()
    """Stain normalisation steps, applied to the tile's bytes in order, before scaling."""

    @model_validator(mode="after")
    def _bytes_are_not_scaled(self) -> Self:
        if self.dtype == "uint8" and (self.mean != (0.0, 0.0, 0.0) or self.std != (1.0, 1.0, 1.0) or self.scale != 1):
            raise ValueError("a network that takes uint8 normalises inside: give scale 1, mean 0 and std 1")
        return self


class GridSpec(Part):
    """The frame the network sees: its resolution, the tile it is run with, and what it needs around a pixel."""

    mpp: Annotated[float, Field(gt=0, le=100)]
    mpp_min: Annotated[float, Field(gt=0, le=100)]
    mpp_max: Annotated[float, Field(gt=0, le=100)]
    """Slides whose finest level is coarser than `mpp_max` are refused; `mpp_min` bounds a user's override."""
    tile_px: Annotated[int, Field(ge=8, le=8192)]
    """Side of the box a tile keeps."""
    halo_px: Annotated[int, Field(ge=0, le=2048)]
    """Read around the tile and dropped; at least the receptive radius, so that stitched equals whole-image."""
    align_px: Annotated[int, Field(ge=1, le=4096)] = 1
    """The network's stride grid: tiles are read at multiples of it, so that pooling sees the same pixels everywhere."""
    batch: Annotated[int, Field(ge=1, le=256)] = 1
    fixed_tile: bool = False
    """True where the network runs at `tile_px + 2 * halo_px` only."""
    placement: Literal["grid", "clamped"] = "grid"
    """`grid`: tiles begin a halo outside of the frame, white there, and tissue alone is computed.

    `clamped`, as DeepLIIF lays them: from the frame's corner on, every `tile_px`, the last ones moved back to its end,
    nothing dropped at its edges; where two could keep a pixel the later one does. A frame shorter than a tile is
    mirrored. All of it is computed, tissue or not; areas stay those of tissue."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.mpp_min <= self.mpp <= self.mpp_max:
            raise ValueError(f"mpp {self.mpp} is outside of its own range {self.mpp_min}..{self.mpp_max}")
        if self.tile_px % self.align_px or self.halo_px % self.align_px:
            raise ValueError(f"tile_px and halo_px must be multiples of align_px {self.align_px}")
        if self.placement == "clamped" and (self.align_px != 1 or not self.fixed_tile):
            raise ValueError("clamped tiles end where the frame does: they take align_px 1 and a fixed_tile")
        return self


class ClassSpec(Part):
    """One class of an output, in the order of the network's channels."""

    name: str
    colour: Colour
    background: bool = False


class OutputSpec(Part):
    """One output of the network and what its numbers mean."""

    name: Name
    kind: Literal["classes", "image", "heat"]
    """`classes`: logits over `classes`; `image`: RGB; `heat`: one channel, a probability."""
    activation: Literal["softmax", "sigmoid", "tanh", "none"]
    """What turns the raw output into probabilities (or, for `tanh`, says that the raw range is -1..1 already)."""
    channels: Annotated[int, Field(ge=1, le=256)]
    stride_px: Annotated[int, Field(ge=1, le=4096)] = 1
    """Input pixels per output pixel."""
    inset_px: Annotated[int, Field(ge=0, le=2048)] = 0
    """How much smaller the network's output is than its input on each side, in input px (valid convolutions)."""
    classes: tuple[ClassSpec, ...] = ()
    keep_probabilities: bool = False
    """Store the probabilities of all channels (8 bit) beside the class map."""
    cut_off: bool = False
    """Bytes of an image are cut off, not rounded, as DeepLIIF makes them."""
    empty: Colour | None = None
    """What an image shows where a tile is empty, its brightness all but the same (DeepLIIF's rule): such tiles are not
    run through the network. All outputs have one, or none has."""
    virtual: Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,120}$")] | None = None
    """What it shows without its having been measured ("Ki-67 (virtual stain)"): every file and picture of it is marked.
    None where it shows what is on the slide."""

    @model_validator(mode="after")
    def _classes_match(self) -> Self:
        if self.kind == "classes" and len(self.classes) != self.channels:
            raise ValueError(f"output {self.name} has {self.channels} channels and {len(self.classes)} classes")
        if self.kind == "image" and self.channels != 3:
            raise ValueError(f"image output {self.name} must have 3 channels, not {self.channels}")
        if self.kind == "heat" and self.channels != 1:
            raise ValueError(f"heat output {self.name} must have 1 channel, not {self.channels}")
        if self.kind != "image" and (self.cut_off or self.empty is not None):
            raise ValueError(f"cut_off and empty are for images; output {self.name} is none")
        return self


class StatisticsSpec(Part):
    """Frozen normalisation statistics: the network takes them as a second input instead of computing them per tile."""

    length: Annotated[int, Field(ge=1)]
    sample_tiles: Annotated[int, Field(ge=1, le=256)] = 16
    sample_px: Annotated[int, Field(ge=32, le=2048)] = 256


Role = Literal["network", "calibrator", "golden-input", "golden-output", "golden-statistics", "card", "other"]


class FileSpec(Part):
    """A file of the package, by a path relative to it, with the digest it must have."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    role: Role
    sha256: Digest
    size_bytes: Annotated[int, Field(ge=0)]


class GoldenSpec(Part):
    """How closely the network must reproduce its recorded answer on its golden tile, on any provider it is run on."""

    absolute_tolerance: Annotated[float, Field(gt=0)] = 1e-3
    mean_tolerance: Annotated[float, Field(gt=0)] | None = None
    """Of the mean difference in each output; for networks in other numbers, whose single values may be far apart."""


class Metric(Part):
    """A measured number with its interval, and what it was measured on. Real and synthetic data are never mixed."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    data: str
    synthetic: bool


class Paper(Part):
    """Where the method was published."""

    title: str
    doi: str = ""


class Manifest(Part):
    """`model.json`: one version of one package."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: Version
    title: str
    analysis: Name | None = None
    """The analysis this package serves (`histoserve run --analysis`), where it is one of ours."""
    task: Task
    stain: Stain
    runtime: Literal["onnx", "torchscript"]
    precision: Precision = "float32"
    """What floats are computed in; a provider that cannot is refused. Whole numbers of 8 bits stand in the network."""
    grid: GridSpec
    input: InputSpec
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1)]
    measures: tuple[Measure, ...] = ()
    min_tissue_mm2: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Slides and regions with less analysed tissue are not scored; None is the rule for its measures."""
    seen: StainSeen | None = None
    statistics: StatisticsSpec | None = None
    golden: GoldenSpec = GoldenSpec()
    files: Annotated[tuple[FileSpec, ...], Field(min_length=1)]
    licence: str
    training_data: tuple[str, ...]
    metrics: tuple[Metric, ...] = ()
    intended_use: str
    not_for: str = "Research use only. Not for diagnosis."
    papers: tuple[Paper, ...] = ()
    recipe: dict[str, str] = Field(default={})
    """How it was made: seed, configuration and data digests, code version."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = [o.name for o in self.outputs]
        if len(set(names)) != len(names):
            raise ValueError("two outputs have the same name")
        if self.input.resize_px is not None and (self.task != "tile-classification" or self.grid.halo_px):
            raise ValueError(
                "resize_px is for tile classification without a halo: elsewhere pixels would lose their place"
            )
        if len({output.empty is None for output in self.outputs}) > 1:
            raise ValueError("an empty tile needs the colour of every output, or of none")
        if self.precision == "bfloat16" and self.runtime != "onnx":
            raise ValueError("bfloat16 is for ONNX networks")
        for output in self.outputs:
            self._fits_grid(output)
        for measure in self.measures:
            self._can_measure(measure)
        if not any(f.role == "network" for f in self.files):
            raise ValueError("no file has the role `network`")
        if self.statistics and not any(f.role == "calibrator" for f in self.files):
            raise ValueError("frozen statistics need a file with the role `calibrator`")
        if len({f.path for f in self.files}) != len(self.files):
            raise ValueError("two files have the same path")
        return self

    def _fits_grid(self, output: OutputSpec) -> None:
        if self.grid.align_px % output.stride_px:
            raise ValueError(f"output {output.name}: stride {output.stride_px} does not divide align_px")
        if output.inset_px > self.grid.halo_px or output.inset_px % output.stride_px:
            raise ValueError(f"output {output.name}: inset {output.inset_px} must be <= halo and on its stride grid")
        if output.inset_px and self.grid.placement == "clamped":
            raise ValueError(f"output {output.name}: clamped tiles keep their edges: inset_px must be 0")

    def _can_measure(self, measure: Measure) -> None:
        output = next((o for o in self.outputs if o.name == measure.output), None)
        if output is None:
            raise ValueError(f"a measure names the unknown output {measure.output}")
        if isinstance(measure, IhcCellsMeasure):
            self._are_images([name for name in (measure.output, measure.marker) if name is not None])
        if isinstance(measure, TilesMeasure):
            self._are_tiles(measure, output)
        named: tuple[str | None, ...] = ()
        if isinstance(measure, CellsMeasure):
            named = (measure.interior,)
        elif isinstance(measure, AreasMeasure):
            named = (measure.positive, measure.negative)
        for name in named:
            if name is not None and name not in {c.name for c in output.classes}:
                raise ValueError(f"a measure names the unknown class {name}")

    def _are_tiles(self, measure: TilesMeasure, output: OutputSpec) -> None:
        if self.task != "tile-classification" or output.kind == "image":
            raise ValueError(f"a measure of tiles is for classes or heat of a tile classifier, not for {output.name}")
        if (measure.label is None) != (output.kind == "classes"):
            raise ValueError("a measure of tiles has a label for a heat map, and none for a map of classes")

    def _are_images(self, names: Sequence[str]) -> None:
        """The maps that cells of IHC are found and measured on: images of the network, of one size."""
        outputs = {output.name: output for output in self.outputs}
        for name in names:
            if name not in outputs:
                raise ValueError(f"a measure names the unknown output {name}")
            if outputs[name].kind != "image":
                raise ValueError(f"a measure of IHC cells needs {name} to be an image, not {outputs[name].kind}")
        if len({outputs[name].stride_px for name in names}) > 1:
            raise ValueError("mask and marker of a measure differ in stride_px")

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def output(self, name: str) -> OutputSpec:
        """The output of that name; KeyError where there is none."""
        return {o.name: o for o in self.outputs}[name]

    def file(self, role: Role) -> FileSpec | None:
        """The first file with that role."""
        return next((f for f in self.files if f.role == role), None)
