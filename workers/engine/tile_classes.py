"""What a tile classifier says of a slide: its tiles with class and probability, shares, and a heat map per class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ClassSpec
from models.measures_spec import TilesMeasure
from workers.engine.keep import Target
from workers.geometry import Box
from workers.outputs.maps import MapSpec, read_box
from workers.outputs.marks import mark_lines
from workers.outputs.picture import RGB
from workers.outputs.place import Place, place_of
from workers.outputs.tile_heat import write_tile_heat
from workers.outputs.tiles_table import TileBatch, TileLabels, write_tiles
from workers.plan import Plan
from workers.regions import Shape, in_region
from workers.result_scores import TileClassPart

HEAT_COLOUR, REST_COLOUR = (200, 40, 60), (150, 160, 170)
MOST_PICTURES = 12
"""Heat maps are made of so many classes at most, the manifest's first."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TilesSource:
    """What tiles are read from."""

    measure: TilesMeasure
    target: Target
    likely: Target | None
    """The probabilities of a class map's classes, where they were stored."""
    maps: Path
    plan: Plan

    @property
    def spec(self) -> MapSpec:
        """Of the map: each pixel is a tile."""
        return self.target.spec

    @property
    def place(self) -> Place:
        """Of the map on its slide."""
        return place_of(self.plan.frame, self.spec.stride_px)

    @property
    def labels(self) -> TileLabels:
        """The classes; those of a heat map are its own and what is not."""
        if self.measure.label is not None:
            label = self.measure.label
            own = (ClassSpec(name=label, colour=HEAT_COLOUR), ClassSpec(name=f"not {label}", colour=REST_COLOUR))
            return TileLabels(own, (label,))
        names = tuple(item.name for item in self.spec.classes)
        return TileLabels(self.spec.classes, names if self.likely is not None else ())

    @property
    def shown(self) -> MapSpec | None:
        """The map whose values are probabilities."""
        if self.measure.label is not None:
            return self.spec
        return None if self.likely is None else self.likely.spec

    def batches(self) -> Iterator[TileBatch]:
        """The analysed tiles, shard by shard, row by row in each."""
        first = 0
        for band in self.plan.bands:
            for shard in band.shards:
                batch = self._read(self.spec.shard_box(*shard), first)
                first += len(batch.columns)
                yield batch

    def _read(self, box: Box, first: int) -> TileBatch:
        rows, columns = np.nonzero(analysed_tiles(self.plan, box, self.spec.stride_px))
        probabilities: Floats = np.zeros((len(rows), 0))
        if self.shown is not None:
            values = read_box(self.maps, self.shown, box)
            planes = values if values.ndim == 3 else values[None]
            probabilities = planes[:, rows, columns].T / 255
        if self.measure.label is not None:
            classes = np.where(probabilities[:, 0] >= self.measure.threshold, 0, 1)
        else:
            classes = read_box(self.maps, self.spec, box)[rows, columns].astype(np.int64)
        return TileBatch(first, columns + box.x, rows + box.y, classes, probabilities)


@dataclass
class TileTally:
    """Sums over tiles."""

    counts: NDArray[np.int64]
    sums: Floats
    tiles: int = field(default=0)

    @classmethod
    def of(cls, labels: TileLabels) -> "TileTally":
        """Nothing yet."""
        return cls(np.zeros(len(labels.classes), dtype=np.int64), np.zeros(len(labels.probable)))

    def add(self, batch: TileBatch, chosen: NDArray[np.bool_] | None = None) -> None:
        """Take in tiles, or some of them."""
        some = np.ones(len(batch.columns), dtype=bool) if chosen is None else chosen
        self.counts += np.bincount(batch.classes[some], minlength=len(self.counts))
        self.sums += batch.probabilities[some].sum(axis=0)
        self.tiles += int(some.sum())

    def tell(self, labels: TileLabels, tile_um: float) -> tuple[TileClassPart, ...]:
        """What the result says, class by class."""
        means = dict(zip(labels.probable, self.sums.tolist(), strict=True))
        return tuple(
            TileClassPart(
                name=item.name,
                tiles=count,
                share=count / self.tiles if self.tiles else None,
                mean_probability=means[item.name] / self.tiles if self.tiles and item.name in means else None,
                area_mm2=count * (tile_um / 1000) ** 2,
            )
            for item, count in zip(labels.classes, self.counts.tolist(), strict=True)
        )


def analysed_tiles(plan: Plan, box: Box, stride_px: int) -> NDArray[np.bool_]:
    """Which tiles of a box of the map were analysed, bool (h, w)."""
    frame = Box(box.x * stride_px, box.y * stride_px, box.width * stride_px, box.height * stride_px)
    return plan.tissue_pixels(frame, stride_px)


def score_tiles(source: TilesSource, stem: str, out: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """(scores, files) of a slide's tiles; one pass over them."""
    labels, tally = source.labels, TileTally.of(source.labels)

    def counted() -> Iterator[TileBatch]:
        for batch in source.batches():
            tally.add(batch)
            yield batch

    files = write_tiles(out, stem, counted(), source.place, labels)
    scores: dict[str, Any] = {"tiles": tally.tiles, "tile_um": source.place.mpp}
    if source.measure.label is not None:
        scores["threshold"] = source.measure.threshold
    scores["tile_classes"] = [part.model_dump() for part in tally.tell(labels, source.place.mpp)]
    return scores, files


def region_tiles(source: TilesSource, shape: Shape) -> tuple[TileClassPart, ...]:
    """The same of the tiles whose middle lies in a region."""
    tally = TileTally.of(source.labels)
    for batch in source.batches():
        tally.add(batch, in_region(shape, *batch.middles(source.place)))
    return tally.tell(source.labels, source.place.mpp)


def write_tile_heats(source: TilesSource, stem: str, out: Path, thumbnail: RGB, title: str) -> list[Path]:
    """`heat-STEM-CLASS.png` of each class that is not background: its probability over the slide.

    Parameters
    ----------
    thumbnail
        uint8, (h, w, 3): all of the slide's frame.
    """
    spec = source.shown
    if spec is None:
        return []
    frame, whole = source.plan.frame, Box(0, 0, spec.width_px, spec.height_px)
    done = analysed_tiles(source.plan, whole, spec.stride_px)
    values = read_box(source.maps, spec, whole)
    mpp = frame.width_px * frame.mpp / thumbnail.shape[1]
    paths: list[Path] = []
    for channel, item in _pictured(source):
        path = out / f"heat-{stem}-{_slug(item.name, channel)}.png"
        if path in paths:
            path = out / f"heat-{stem}-{_slug(item.name, channel)}-{channel}.png"
        probabilities = np.where(done, (values if values.ndim == 2 else values[channel]) / 255, np.nan)
        tiles_per_px = mpp / source.place.mpp
        write_tile_heat(
            path, probabilities, thumbnail, (tiles_per_px, mpp), f"{title}: {item.name}", mark_lines(spec.virtual)
        )
        paths.append(path)
    return paths


def _pictured(source: TilesSource) -> Sequence[tuple[int, ClassSpec]]:
    known = source.labels.probable
    chosen = [item for item in source.labels.classes if item.name in known and not item.background]
    return [(known.index(item.name), item) for item in chosen[:MOST_PICTURES]]


def _slug(name: str, index: int) -> str:
    """A class's name as part of a file's: lower-case letters, digits and dashes; its number where nothing is left."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name.lower()).split()
    return "-".join(words)[:40] or str(index)
