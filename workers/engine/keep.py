"""The keeper: raw outputs of tiles become the stored values of shards, each pixel written once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import InternalError, RefusedInputError
from models.manifest import Manifest, OutputSpec
from models.measures_spec import IhcCellsMeasure
from models.postprocess import class_map, image_bytes, probability_bytes
from models.predictor import Maps
from workers.engine.checkpoint import BandRecord
from workers.engine.empty import flat_answer
from workers.engine.lips import Lip, drop_before
from workers.engine.seams import SeamSums, measure_seams
from workers.engine.stream import Piece
from workers.geometry import Box, Frame
from workers.outputs.maps import MapKind, MapSpec, ShardRecord, chunk_side, fill_of, write_shard
from workers.plan import Grid, Plan, Tile

Stored = NDArray[np.uint8]


@dataclass(frozen=True)
class Target:
    """A stored map, the output it is made of, and how."""

    spec: MapSpec
    output: OutputSpec
    store: Callable[[NDArray[np.float32], OutputSpec], Stored]
    """Raw (C, h, w) to stored (h, w) or (C, h, w)."""


def choose_targets(
    manifest: Manifest, frame: Frame, grid: Grid, outputs: Sequence[str] | None = None
) -> tuple[Target, ...]:
    """The maps a package's outputs are stored as.

    Parameters
    ----------
    outputs
        Names of those that are wanted, None for all; those that are measured are kept whether they are wanted or not.

    Raises
    ------
    RefusedInputError
        The package has no such output.
    """
    targets = []
    kept = _kept_outputs(manifest, outputs)
    for output in manifest.outputs:
        if output.name not in kept:
            continue
        store = {"classes": class_map, "image": image_bytes, "heat": probability_bytes}[output.kind]
        targets.append(Target(_map_spec(output, output.kind, frame, grid), output, store))
        if output.kind == "classes" and output.keep_probabilities:
            targets.append(Target(_map_spec(output, "probabilities", frame, grid), output, probability_bytes))
    return tuple(targets)


def _kept_outputs(manifest: Manifest, wanted: Sequence[str] | None) -> set[str]:
    names = [output.name for output in manifest.outputs]
    if wanted is None:
        return set(names)
    if unknown := [name for name in wanted if name not in names]:
        raise RefusedInputError(
            f"{manifest.reference} has no output {unknown[0]!r:.80}.", f"It has {', '.join(sorted(names))}."
        )
    measured = {measure.output for measure in manifest.measures}
    measured |= {m.marker for m in manifest.measures if isinstance(m, IhcCellsMeasure) and m.marker is not None}
    if not measured and not wanted:
        raise RefusedInputError("No map would be kept.", f"Name one or more of {', '.join(sorted(names))}.")
    return measured | set(wanted)


def _map_spec(output: OutputSpec, kind: MapKind, frame: Frame, grid: Grid) -> MapSpec:
    shard_px = grid.shard_px // output.stride_px
    return MapSpec(
        name=f"{output.name}-probabilities" if kind == "probabilities" else output.name,
        kind=kind,
        channels=1 if kind == "classes" else output.channels,
        stride_px=output.stride_px,
        width_px=-(-frame.width_px // output.stride_px),
        height_px=-(-frame.height_px // output.stride_px),
        shard_px=shard_px,
        chunk_px=chunk_side(shard_px),
        fill=fill_of(kind),
        classes=output.classes,
        virtual=output.virtual,
    )


class Keeper:
    """Stitches the shard at hand, writes it when its last tile came, and commits a band after its last shard.

    Called from one thread, in order: one shard per map is in memory at any time, and the lips of those to come.
    """

    def __init__(
        self, plan: Plan, targets: tuple[Target, ...], folder: Path, commit: Callable[[BandRecord], None]
    ) -> None:
        self._plan = plan
        self._targets = targets
        self._folder = folder
        self._commit = commit
        self._canvas: dict[str, Stored] = {}
        self._lips: dict[Lip, list[Stored]] = {}
        """For each target, what is held for later shards."""
        self._shards: list[ShardRecord] = []
        self._seams: dict[str, SeamSums] = {}
        self._tiles = 0

    def __call__(self, pieces: list[Piece], maps: Maps) -> None:
        """Keep the pieces of one batch; `maps` holds raw outputs (N, C, h, w), one row per piece that is run."""
        row = 0
        for piece in pieces:
            for target, values in zip(self._targets, self._values(piece, maps, row), strict=True):
                self._paste(target, piece, values)
            row += piece.is_run
            # Of a repeated piece too: its values were there, or we would not be here.
            self._tiles += 1
            if piece.ends_shard:
                self._finish_shard(piece.shard)
            if piece.ends_band:
                self._finish_band(piece.band.index)

    def _values(self, piece: Piece, maps: Maps, row: int) -> list[Stored]:
        """What a piece keeps, for each target; what later shards keep of it is held.

        Raises
        ------
        InternalError
            The piece is a repeated one and nothing is held of it.
        """
        drop_before(self._lips, piece.band.index)
        if piece.is_repeat:
            held = self._lips.pop(Lip(piece.band.index, piece.shard, piece.tile), None)
            if held is None:
                raise InternalError(f"Nothing is held of the tile at {piece.tile.read.x}, {piece.tile.read.y}.")
            return held
        raw = None if piece.is_empty else {name: values[row] for name, values in maps.items()}
        for lip in piece.lips:
            self._lips[lip] = [self._stored(target, lip.tile, raw) for target in self._targets]
        return [self._stored(target, piece.tile, raw) for target in self._targets]

    def _stored(self, target: Target, tile: Tile, raw: Maps | None) -> Stored:
        """The values a tile keeps; `raw` is the network's answer, None where the tile is empty."""
        if raw is None:
            return flat_answer(target.output)
        stride = target.spec.stride_px
        origin = tile.read.grow(-target.output.inset_px)
        at = _clip(tile.keep.divide(stride), target.spec).shift(-origin.x // stride, -origin.y // stride)
        return target.store(raw[target.output.name][:, at.y : at.bottom, at.x : at.right], target.output)

    def _paste(self, target: Target, piece: Piece, values: Stored) -> None:
        """Write what a tile keeps."""
        keep = _clip(piece.tile.keep.divide(target.spec.stride_px), target.spec)
        canvas = self._canvas_of(target, piece.shard)
        corner = self._shard_box(target, piece.shard)
        inside = keep.shift(-corner.x, -corner.y)
        place = canvas[..., inside.y : inside.bottom, inside.x : inside.right]
        if self._plan.is_all_tissue(piece.tile.keep):
            place[...] = values
        else:
            np.copyto(place, values, where=self._tissue(target, keep))

    def _tissue(self, target: Target, box: Box) -> NDArray[np.bool_]:
        stride = target.spec.stride_px
        frame_box = Box(box.x * stride, box.y * stride, box.width * stride, box.height * stride)
        return self._plan.tissue_pixels(frame_box, stride)

    def _canvas_of(self, target: Target, shard: tuple[int, int]) -> Stored:
        if target.spec.name not in self._canvas:
            box = self._shard_box(target, shard)
            self._canvas[target.spec.name] = np.full(
                target.spec.shape(box.width, box.height), target.spec.fill, np.uint8
            )
        return self._canvas[target.spec.name]

    def _shard_box(self, target: Target, shard: tuple[int, int]) -> Box:
        return _clip(self._plan.shard_box(*shard).divide(target.spec.stride_px), target.spec)

    def _finish_shard(self, shard: tuple[int, int]) -> None:
        for target in self._targets:
            values = self._canvas.pop(target.spec.name)
            self._add_seams(target, shard, values)
            record = write_shard(self._folder, target.spec, *shard, values)
            if record is not None:
                self._shards.append(record)

    def _add_seams(self, target: Target, shard: tuple[int, int], values: Stored) -> None:
        if target.spec.kind == "classes":
            return
        box, stride = self._shard_box(target, shard), target.spec.stride_px
        borders = tuple(
            [line // stride - start for line in self._plan.tile_lines(axis, start * stride, stop * stride)]
            for axis, start, stop in ((0, box.x, box.right), (1, box.y, box.bottom))
        )
        planes = values if values.ndim == 3 else values[np.newaxis]
        sums = measure_seams(planes, self._tissue(target, box), (borders[0], borders[1]))
        self._seams[target.spec.name] = self._seams.get(target.spec.name, SeamSums()) + sums

    def _finish_band(self, index: int) -> None:
        record = BandRecord(index, self._tiles, tuple(self._shards), dict(self._seams))
        self._shards, self._seams, self._tiles = [], {}, 0
        self._commit(record)


def _clip(box: Box, spec: MapSpec) -> Box:
    return box.intersect(Box(0, 0, spec.width_px, spec.height_px))
