"""Found against truth: each point once, the closest first."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.phantom.compare import Agreement, compare_points, compare_tables


def points(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, dtype=float).reshape(-1, 2)


def test_a_true_point_is_matched_once() -> None:
    agreement = compare_points(points((0, 0), (1, 0), (50, 50)), points((0, 0), (100, 100)), match_um=5)
    assert agreement == Agreement(true=2, found=3, matched=1, match_um=5)
    assert (agreement.precision, agreement.recall, agreement.f1) == (1 / 3, 1 / 2, 2 / 5)


def test_the_closest_pairs_are_matched_first() -> None:
    # 3 lies between both: it takes 4, so that 0 keeps its own.
    agreement = compare_points(points((3, 0), (0, 0)), points((4, 0), (0.5, 0)), match_um=5)
    assert agreement.matched == 2


def test_what_is_too_far_is_no_match() -> None:
    assert compare_points(points((0, 0)), points((5.1, 0)), match_um=5).matched == 0
    assert compare_points(points((0, 0)), points((4.9, 0)), match_um=5).matched == 1


def test_nothing_found_is_no_division_by_zero() -> None:
    nothing = compare_points(points(), points((0, 0)), match_um=5)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


def test_tables_are_compared_in_um(tmp_path: Path) -> None:
    for name, x in (("found", [1.0, 9.0]), ("truth", [1.5, 30.0])):
        pq.write_table(pa.table({"x_um": x, "y_um": [0.0, 0.0]}), tmp_path / name)
    assert compare_tables(tmp_path / "found", tmp_path / "truth").as_dict()["f1"] == 0.5
