"""Fewer cells of the same: a larger smallest area, applied to the table of cells alone.

Cells that count now counted before, so the map is not looked at. Areas are compared in whole pixels, as they are when
cells are found: the same cells count, whatever rounding a square micrometre brings.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.measures_spec import CellsMeasure
from workers.engine.score import Scored
from workers.measures.cells import CellRule
from workers.outputs.files import replace_whole
from workers.outputs.place import place_of
from workers.rescore.source import Source

BATCH = 65_536
COLUMNS = ["x_px", "y_px"]


def narrow_cells(source: Source, stem: str, measure: CellsMeasure, out: Path) -> Scored:
    """What a measure of cells finds with a larger smallest area; `out` gets a table of the places of what counts."""
    earlier, kept, dropped = source.result.scores[stem], 0, 0
    target = next(target for target in source.targets if target.spec.name == measure.output)
    rule = CellRule.of(measure, place_of(source.plan.frame, target.spec.stride_px).mpp)
    schema = pa.schema([pa.field(name, pa.float64(), nullable=False) for name in COLUMNS])
    path = out / f"{stem}.parquet"
    with (
        pq.ParquetFile(source.folder / f"{stem}.parquet") as table,
        replace_whole(path) as file,
        pq.ParquetWriter(file, schema) as writer,
    ):
        for rows in table.iter_batches(BATCH, columns=[*COLUMNS, "area_um2"]):
            area_px = np.rint(rows.column("area_um2").to_numpy() / rule.mpp**2)
            counts = area_px >= rule.min_area_px
            kept, dropped = kept + int(counts.sum()), dropped + int((~counts).sum())
            writer.write_batch(rows.select(COLUMNS).filter(pa.array(counts)).cast(schema))
    counted = {"count": kept, "too_small": earlier["too_small"] + dropped, "too_large": earlier["too_large"]}
    return Scored(stem, {"class": measure.interior} | counted, (path,), path)
