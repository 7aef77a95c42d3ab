"""Poses, fields and warps: arithmetic that can be checked by hand."""

import numpy as np
import pytest

from workers.registration.maps import Field, Pose, Warp, nodes, sample

QUARTER = Pose(np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 2.0]]))
POINTS = np.array([[3.0, 4.0], [0.5, 7.25]])


def bump(height: float, spacing_px: float = 8.0) -> Field:
    """A field that pushes one node of a 6 x 6 grid to the right."""
    dx = np.zeros((6, 6))
    dx[2, 3] = height
    return Field(dx, np.zeros((6, 6)), spacing_px)


def test_a_pose_turns_and_shifts():
    assert QUARTER.map_points(np.array([[3.0, 4.0]])).tolist() == [[6.0, 5.0]]
    assert QUARTER.area == pytest.approx(1.0)


def test_a_pose_and_its_inverse_cancel():
    assert QUARTER.inverse().map_points(QUARTER.map_points(POINTS)) == pytest.approx(POINTS)
    assert QUARTER.after(QUARTER.inverse()).matrix == pytest.approx(np.eye(2, 3))


def test_poses_apply_from_right_to_left():
    shift = Pose(np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 0.0]]))
    assert QUARTER.after(shift).map_points(POINTS) == pytest.approx(QUARTER.map_points(shift.map_points(POINTS)))


@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_a_warp_in_other_pixels_is_the_same_warp(scale):
    warp = Warp(QUARTER, bump(1.5))
    assert warp.scaled(scale).map_points(POINTS * scale) == pytest.approx(warp.map_points(POINTS) * scale)


def test_a_field_is_its_nodes_and_level_beyond_the_last():
    rows = np.tile(np.arange(6.0), (6, 1))
    field = Field(rows, rows.T, 8.0)
    places, grid = nodes((40, 40), 8.0)
    assert grid == (6, 6)
    assert field.at(places) == pytest.approx(places / 8.0, abs=1e-9)
    assert field.at(np.array([[1000.0, -50.0]])) == pytest.approx(np.array([[5.0, 0.0]]))


def test_the_way_back_undoes_a_bend():
    warp = Warp(QUARTER, bump(2.0))
    y, x = np.mgrid[0:40:7, 0:40:7].astype(float)
    points = np.column_stack([x.ravel(), y.ravel()])
    assert warp.inverse_points(warp.map_points(points)) == pytest.approx(points, abs=1e-3)


def test_a_fold_is_seen():
    assert Warp(QUARTER).least_area((40, 40)) == pytest.approx(1.0)
    assert 0.5 < Warp(QUARTER, bump(2.0)).least_area((40, 40)) < 1.0
    assert Warp(QUARTER, bump(20.0)).least_area((40, 40)) < 0


def test_a_fold_is_seen_in_a_mirrored_pose_too():
    mirror = Pose(np.array([[-1.0, 0.0, 40.0], [0.0, 1.0, 0.0]]))
    assert mirror.area == pytest.approx(-1.0)
    assert Warp(mirror).least_area((40, 40)) == pytest.approx(1.0)
    assert Warp(mirror, bump(20.0)).least_area((40, 40)) < 0


def test_sampling_by_a_whole_shift_copies_pixels_and_fills_outside():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    shift = Warp(Pose(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])))
    assert sample(image, shift, (3, 4), -1.0).tolist() == [[1, 2, 3, -1], [5, 6, 7, -1], [9, 10, 11, -1]]
