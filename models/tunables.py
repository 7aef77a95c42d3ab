"""The numbers of a package's measures that a caller may set, with what is said of each."""

from typing import NamedTuple

from models.measures_spec import AreasMeasure, CellsMeasure, IhcCellsMeasure, Measure, TilesMeasure

MAX_AREA_UM2 = 1e5
"""No cell is larger; a component is held in memory up to the largest area that counts."""
MAX_DISTANCE_UM = 1e3


class Tunable(NamedTuple):
    """A number of a measure that a caller may set."""

    title: str
    description: str
    most: float | None = None
    """Above the bound of the manifest's own field; a package's own number may lie above it."""
    can_be_nothing: bool = False
    """True where null means something; what a package leaves away is then a parameter of it too."""


CELLS = {
    "min_area_um2": Tunable(
        "Smallest cell", "um2; smaller ones are not counted. Not above max_area_um2.", MAX_AREA_UM2
    ),
    "max_area_um2": Tunable("Largest cell", "um2; larger ones are not counted.", MAX_AREA_UM2),
    "grow_px": Tunable("Growth", "px of the map; how far a cell is grown to give back its rim."),
}
POINTS = {
    "component_threshold": Tunable("Component threshold", "Probability above which pixels belong to a detection."),
    "detection_threshold": Tunable("Detection threshold", "Probability that a detection reaches at its peak."),
    "min_distance_um": Tunable(
        "Smallest distance", "um; of two detections that are nearer the stronger one stays.", MAX_DISTANCE_UM
    ),
}
HOTSPOTS = {"hotspots": Tunable("Hotspots", "So many are told at most.")}
GRADES = {
    "theta1": Tunable("Threshold of grade 1", "Grade 1 up to this proliferation score. Not above theta2."),
    "theta2": Tunable("Threshold of grade 2", "Grade 2 up to this proliferation score, 3 above."),
}
CASCADES = {
    "cascade_threshold": Tunable(
        "Threshold of the cascade", "Part of white; a dark disc's middle is at most so bright. Used with cascade alone."
    )
}
IHC_CELLS = {
    "seg_threshold": Tunable("Mask threshold", "Red + blue of a cell's pixel in the mask is above this."),
    "green_threshold": Tunable("Boundary threshold", "Green of a cell's pixel in the mask is at most this."),
    "size_px": Tunable(
        "Smallest cell",
        "px of the mask; cells of this size and smaller do not count. null: found from the sizes of the whole slide.",
        can_be_nothing=True,
    ),
    "size_upper_px": Tunable(
        "Largest cell",
        "px of the mask; cells of this size and larger do not count. null: no limit.",
        can_be_nothing=True,
    ),
    "min_cells": Tunable("Fewest cells", "With fewer cells there is no score, unless it is forced."),
    "field_cells": Tunable("Cells of a field", "So many has the field in which the most cells are positive."),
    "moderate_dab": Tunable("Moderate", "Mean density of DAB (decadic) from which a positive cell is 2+."),
    "strong_dab": Tunable("Strong", "Mean density of DAB (decadic) from which a positive cell is 3+."),
}
MARKERS = {
    "marker_threshold": Tunable(
        "Marker threshold",
        "A cell whose marker is above this is positive. null: the mask alone decides.",
        can_be_nothing=True,
    )
}
FRACTIONS = {
    "field_mm2": Tunable("Field", "mm2; the square fields that the most positive area is looked for in."),
    "fields": Tunable("Fields", "So many fields are told at most."),
    "block_um": Tunable("Block", "um; side of the blocks of tissue that are drawn again for the intervals."),
    "heat_um": Tunable("Window of the heat map", "um; side of the window that the ratio is shown in."),
    "seed": Tunable("Seed", "Of the draws for the intervals."),
}
OUTLINES = {
    "outlines_mm2": Tunable("Smallest outline", "mm2; smaller connected parts of a class get no outline."),
}
TILES = {
    "threshold": Tunable("Tile threshold", "Probability from which on a tile is what the package looks for."),
}


def tunables_of(measure: Measure) -> dict[str, Tunable]:
    """The numbers of a measure that a caller may set, by the names of their fields."""
    if isinstance(measure, CellsMeasure):
        return CELLS
    if isinstance(measure, IhcCellsMeasure):
        return IHC_CELLS | ({} if measure.marker is None else MARKERS)
    if isinstance(measure, AreasMeasure):
        outlines = {} if measure.outlines_mm2 is None else OUTLINES
        return outlines | ({} if measure.positive is None else FRACTIONS)
    if isinstance(measure, TilesMeasure):
        return {} if measure.label is None else TILES
    hotspots = {} if measure.hotspot_mm2 is None else HOTSPOTS
    grades = {} if measure.theta1 is None else GRADES
    return POINTS | hotspots | grades | ({} if measure.cascade_threshold is None else CASCADES)
