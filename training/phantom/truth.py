"""The truth of a phantom as a table: every nucleus once, with its place, outline and biology."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.phantom.nucleus import LOOKALIKES, PHASES, TYPES, Nuclei, join
from training.phantom.outline import VERTICES, areas_um2, outlines_um
from training.phantom.placing import nuclei_in
from training.phantom.section import is_moved, to_slide, to_tissue
from training.phantom.spec import PhantomSpec, Section, Stain
from workers.geometry import Box

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def truth_region(spec: PhantomSpec, box: Box, stain: Stain = "he") -> "pa.Table":
    """The nuclei whose centres lie in a level-0 box of the stain's slide; columns as `truth_table` says."""
    section = spec.section(stain)
    corners_x = np.array([box.x, box.right], dtype=np.float64) * spec.mpp
    corners_y = np.array([box.y, box.bottom], dtype=np.float64) * spec.mpp
    if not is_moved(section):
        return truth_table(spec, nuclei_in(spec, corners_x[0], corners_y[0], corners_x[1], corners_y[1]), (stain,))
    x, y = to_tissue(spec, section, *np.meshgrid(corners_x, corners_y))
    slack = 4.0 * section.warp_um
    near = nuclei_in(spec, x.min() - slack, y.min() - slack, x.max() + slack, y.max() + slack)
    sx, sy = to_slide(spec, section, near.x, near.y)
    inside = (sx >= corners_x[0]) & (sx < corners_x[1]) & (sy >= corners_y[0]) & (sy < corners_y[1])
    return truth_table(spec, near.take(inside), (stain,))


def truth_table(spec: PhantomSpec, nuclei: Nuclei, stains: tuple[Stain, ...]) -> "pa.Table":
    """Nuclei as a table.

    Columns: `id`; `x_um`, `y_um` in the tissue; `x_px`, `y_px` at level 0 of the first stain's slide; `outline_px`
    (x0, y0, x1, y1, ... there, 24 points); `area_um2`; `type`; `ki67`; `ki67_llr` (what the H&E morphology can tell
    at best); `ki67_dab`, `phh3_dab` (strength of brown); `phase`; `lookalike`; `in_hotspot`; and `x_px_<stain>`,
    `y_px_<stain>` for each further stain whose section is moved.
    """
    import pyarrow as pa

    outlines = outlines_um(nuclei)
    x, y, points = _placed(spec, spec.section(stains[0]), nuclei, outlines)
    columns: dict[str, pa.Array] = {
        "id": pa.array(nuclei.id),
        "x_um": pa.array(nuclei.x),
        "y_um": pa.array(nuclei.y),
        "x_px": pa.array(x),
        "y_px": pa.array(y),
        "outline_px": pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), points.shape[1]),
        "area_um2": pa.array(areas_um2(outlines).astype(np.float32)),
        "type": _named(nuclei.kind, TYPES),
        "ki67": pa.array(nuclei.ki67),
        "ki67_llr": pa.array(nuclei.ki67_llr.astype(np.float32)),
        "ki67_dab": pa.array(nuclei.brown.astype(np.float32)),
        "phh3_dab": pa.array(nuclei.phh3.astype(np.float32)),
        "phase": _named(nuclei.phase, PHASES),
        "lookalike": _named(nuclei.lookalike, LOOKALIKES),
        "in_hotspot": pa.array(nuclei.hotspot),
    }
    for stain in stains[1:]:
        if is_moved(spec.section(stain)):
            sx, sy = to_slide(spec, spec.section(stain), nuclei.x, nuclei.y)
            columns[f"x_px_{stain}"], columns[f"y_px_{stain}"] = pa.array(sx / spec.mpp), pa.array(sy / spec.mpp)
    return pa.table(columns)


@dataclass
class Census:
    """Counts over all nuclei of a slide, gathered while it is written."""

    nuclei: int = 0
    tumour: int = 0
    tumour_ki67: int = 0
    mitoses: int = 0
    lookalikes: int = 0
    mitoses_in_hotspots: int = 0

    def add(self, nuclei: Nuclei) -> None:
        """Count some more nuclei."""
        tumour = nuclei.kind == 0
        self.nuclei += len(nuclei)
        self.tumour += int(tumour.sum())
        self.tumour_ki67 += int((tumour & nuclei.ki67).sum())
        self.mitoses += int((nuclei.phase > 0).sum())
        self.lookalikes += int((nuclei.lookalike > 0).sum())
        self.mitoses_in_hotspots += int(((nuclei.phase > 0) & nuclei.hotspot).sum())


class TruthFile:
    """A Parquet file of nuclei, one row group for each row of blocks; writes nothing where there is no path."""

    def __init__(self, path: Path | None, spec: PhantomSpec, stains: tuple[Stain, ...]) -> None:
        self._path, self._spec, self._stains = path, spec, stains
        self._waiting: list[Nuclei] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, nuclei: Nuclei) -> None:
        """Keep some nuclei for the row at hand."""
        if self._path is not None:
            self._waiting.append(nuclei)

    def end_row(self) -> None:
        """Write the nuclei of the row."""
        if self._waiting:
            self._write(join(self._waiting))
            self._waiting = []

    def close(self) -> None:
        """Finish the file; an empty slide gives a table without rows."""
        self.end_row()
        if self._path is not None:
            if self._writer is None:
                self._write(nuclei_in(self._spec, 0.0, 0.0, 0.0, 0.0))
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        if self._writer is not None:
            self._writer.close()
        self._path = self._writer = None

    def _write(self, nuclei: Nuclei) -> None:
        from pyarrow import parquet

        table = truth_table(self._spec, nuclei, self._stains)
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)


def _placed(
    spec: PhantomSpec, section: Section, nuclei: Nuclei, outlines: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
) -> tuple["np.ndarray", "np.ndarray", "np.ndarray"]:
    """Centres and outlines in px of the section's slide; outlines keep their shape, as they are drawn."""
    sx, sy = to_slide(spec, section, nuclei.x, nuclei.y)
    points = (outlines + np.stack([sx, sy], axis=-1)[:, None]) / spec.mpp
    return sx / spec.mpp, sy / spec.mpp, np.round(points, 2).astype(np.float32).reshape(len(nuclei), 2 * VERTICES)


def _named(codes: "np.ndarray", names: tuple[str, ...]) -> "pa.Array":
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(list(names)))
