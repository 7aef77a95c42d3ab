"""Which cells were analysed, kept beside the result: what a new score of the same maps has to know."""

from pathlib import Path

import numpy as np
from PIL import Image

from models.errors import IntegrityError
from workers.geometry import Frame
from workers.outputs.files import replace_whole
from workers.plan import Grid, Plan, cell_shape, make_plan, spare_cells
from workers.result import ANALYSED_NAME

COMPUTED, SPARED, AROUND = 255, 128, 64
"""Tissue; tissue that a cascade spared the network; computed, but no tissue."""


def write_analysed(out: Path, plan: Plan) -> Path:
    """The path of the picture of the analysed cells in a result's folder; of equal plans the same bytes."""
    path, states = out / ANALYSED_NAME, np.zeros(plan.cells.shape, dtype=np.uint8)
    states[plan.cells] = AROUND
    states[plan.analysed] = SPARED
    states[plan.analysed & plan.cells] = COMPUTED
    with replace_whole(path) as file:
        Image.fromarray(states).save(file, "PNG")
    return path


def read_plan(out: Path, frame: Frame, grid: Grid) -> Plan:
    """The plan of a result as far as measures need it: its frame and grid, and what was analysed and computed.

    Raises
    ------
    IntegrityError
        The picture of the cells is not of the grid's shape, or no picture.
    """
    shape = cell_shape(frame, grid)
    try:
        with Image.open(out / ANALYSED_NAME) as picture:
            states = np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise IntegrityError(f"{ANALYSED_NAME} is no picture of cells.", "Run the slide again.") from error
    if states.shape != shape or states.dtype != np.uint8:
        raise IntegrityError(
            f"{ANALYSED_NAME} has the shape {states.shape}; the cells of this result have {shape}.",
            "Run the slide again.",
        )
    return spare_cells(make_plan(frame, grid, states > 0, states >= SPARED), states != SPARED)
