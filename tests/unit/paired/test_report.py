"""What is told of pairs: correlations, the table, the plot."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from models.errors import RefusedInputError
from workers.geometry import Box
from workers.outputs.place import Place
from workers.paired.commands import read_size
from workers.paired.plot import DOTS, axis_end, draw_correlations, fitted_line
from workers.paired.report import (
    FractionsPart,
    Paired,
    RoiPart,
    correlation_of,
    correlations_of,
    write_outlines,
    write_table,
)


def roi(number: int, he: float | None, ihc: float | None) -> RoiPart:
    parts = [FractionsPart(d_pos=0.1 * number, d_neg=0.3, r_pos=value) for value in (he, ihc)]
    return RoiPart(
        name=f"roi-{number}", x_px=10.0 * number, y_px=5, width_px=8, height_px=4, common=1, he=parts[0], ihc=parts[1]
    )


ROIS = tuple(
    roi(number, he, ihc) for number, (he, ihc) in enumerate([(0.1, 0.2), (0.3, 0.6), (0.2, 0.4), (0.9, None)], 1)
)


def paired() -> Paired:
    return Paired(
        code_version="0",
        result_sha256="a",
        he_sha256="b",
        ihc_sha256="c",
        package="toy@1.0.0",
        measure="areas",
        registration={},
        roi_um=(100, 50),
        seed=0,
        brown_density=0.3,
        blue_density=0.4,
        rois=ROIS,
        left_out=0,
        correlations=correlations_of(ROIS, 0),
    )


def test_a_correlation_is_over_the_pairs_that_have_both_numbers():
    found = correlations_of(ROIS, seed=0)
    assert (found["r_pos"].r, found["r_pos"].n) == (pytest.approx(1), 3)
    assert (found["d_pos"].r, found["d_pos"].n) == (pytest.approx(1), 4)
    # what does not vary has no correlation
    assert (found["d_neg"].r, found["d_neg"].low, found["d_neg"].n) == (None, None, 4)
    assert correlation_of([(0.1, 0.2), (0.2, 0.3)], 0).r is None


def test_the_table_has_a_row_per_region_and_nothing_where_there_is_no_number(tmp_path):
    write_table(tmp_path / "rois.csv", ROIS)
    with (tmp_path / "rois.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["r_pos_ihc"] for row in rows] == ["0.2", "0.6", "0.4", ""]
    assert (rows[1]["name"], rows[1]["x_px"], rows[1]["d_pos_he"]) == ("roi-2", "20.0", "0.2")


def test_the_outlines_are_closed_rectangles(tmp_path):
    write_outlines(tmp_path / "rois.geojson", ROIS[:1], Place(2.0, 0.5, Box(0, 0, 9, 9)))
    (feature,) = json.loads((tmp_path / "rois.geojson").read_text())["features"]
    assert feature["geometry"]["coordinates"] == [[[10, 5], [18, 5], [18, 9], [10, 9], [10, 5]]]


def test_axes_end_at_round_numbers():
    assert [axis_end(value) for value in (0, 0.19, 0.2, 0.21, 0.3, 0.51, 1.0, 1.1)] == pytest.approx(
        [1, 0.2, 0.2, 0.25, 0.5, 1, 1, 2]
    )


def test_the_line_is_least_squares():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 6.0])
    assert fitted_line(x, y) == pytest.approx((2.5, 0.5))
    assert fitted_line(np.ones(3), y) is None


def test_the_plot_has_a_dot_per_region(tmp_path):
    draw_correlations(tmp_path / "correlation.png", paired())
    picture = np.asarray(Image.open(tmp_path / "correlation.png"))
    dots = (picture == DOTS).all(axis=-1).sum()
    # discs of radius 6: four of d_pos, four of d_neg in one place or two, three of r_pos, and one in the legend
    assert 9 * 80 < dots < 14 * 130 + 600


@pytest.mark.parametrize("text", ["", "100", "100x", "0x100", "1e3x5", "100x99999"])
def test_sizes_that_are_none_are_refused(text):
    with pytest.raises(RefusedInputError, match="region size"):
        read_size(text)
    assert read_size("500x250.5") == (500, 250.5)
