"""Where a point of one section lies in the other: a pose, and a smooth field on top of it.

Points are (x, y) in px, and pixel (i, j) covers [i, i + 1) by [j, j + 1): its centre lies at (i + 0.5, j + 0.5), so
that a change of resolution is a multiplication.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Points = NDArray[np.float64]
INVERSE_STEPS = 30
INVERSE_PX = 1e-4


@dataclass(frozen=True, eq=False)
class Pose:
    """An affine map of points, float64 (2, 3): `matrix @ (x, y, 1)`."""

    matrix: Points

    def map_points(self, points: Points) -> Points:
        """Float64 (n, 2), mapped."""
        return np.asarray(points @ self.matrix[:, :2].T + self.matrix[:, 2])

    def inverse(self) -> "Pose":
        """The map back."""
        back = np.linalg.inv(self.matrix[:, :2])
        return Pose(np.column_stack([back, -back @ self.matrix[:, 2]]))

    def after(self, first: "Pose") -> "Pose":
        """This pose after another one."""
        linear = self.matrix[:, :2] @ first.matrix[:, :2]
        return Pose(np.column_stack([linear, self.map_points(first.matrix[:, 2][None])[0]]))

    def scaled(self, scale: float) -> "Pose":
        """The same pose in px that are `scale` to one."""
        return Pose(self.matrix * (1.0, 1.0, scale))

    @property
    def area(self) -> float:
        """Moving area of one fixed px; below 0 where the pose mirrors."""
        return float(np.linalg.det(self.matrix[:, :2]))


@dataclass(frozen=True, eq=False)
class Field:
    """Displacements on a grid of nodes at (column, row) * `spacing_px`; cubic between nodes, level beyond the last."""

    dx: Points
    dy: Points
    spacing_px: float

    def at(self, points: Points) -> Points:
        """Displacement at points, float64 (n, 2)."""
        places = np.asarray(points).T[::-1] / self.spacing_px
        limits = np.array(self.dx.shape)[:, None] - 1.0
        places = np.clip(places, 0.0, limits)
        return np.column_stack(
            [ndimage.map_coordinates(part, places, order=3, mode="nearest") for part in (self.dx, self.dy)]
        )

    def scaled(self, scale: float) -> "Field":
        """The same field in px that are `scale` to one."""
        return Field(self.dx * scale, self.dy * scale, self.spacing_px * scale)


def nodes(shape: tuple[int, int], spacing_px: float) -> tuple[Points, tuple[int, int]]:
    """Node places (n, 2) of a grid that covers a picture of (rows, columns), and the grid's (rows, columns)."""
    rows, columns = (int(np.ceil(side / spacing_px)) + 1 for side in shape)
    y, x = np.mgrid[:rows, :columns] * float(spacing_px)
    return np.column_stack([x.ravel(), y.ravel()]), (rows, columns)


@dataclass(frozen=True, eq=False)
class Warp:
    """A pose and, where there is one, a field added after it; fixed px to moving px."""

    pose: Pose
    field: Field | None = None

    @property
    def bend(self) -> Field:
        """The field; level 0 where there is none."""
        return self.field or Field(np.zeros((2, 2)), np.zeros((2, 2)), 16.0)

    def scaled(self, scale: float) -> "Warp":
        """The same warp in px that are `scale` to one."""
        return Warp(self.pose.scaled(scale), None if self.field is None else self.field.scaled(scale))

    def map_points(self, points: Points) -> Points:
        """Moving px of fixed px, float64 (n, 2)."""
        moved = self.pose.map_points(points)
        return moved if self.field is None else moved + self.field.at(points)

    def inverse_points(self, points: Points) -> Points:
        """Fixed px of moving px, to under `INVERSE_PX` where the field does not fold."""
        back = self.pose.inverse()
        there = back.map_points(points)
        if self.field is None:
            return there
        for _ in range(INVERSE_STEPS):
            step = (points - self.map_points(there)) @ back.matrix[:, :2].T
            there = there + step
            if np.abs(step).max(initial=0.0) < INVERSE_PX:
                break
        return there

    def least_area(self, shape: tuple[int, int]) -> float:
        """The smallest change of area by the field, beyond the pose's, over a picture of (rows, columns).

        Looked at on a grid twice as fine as the field's; at 0 or below the map folds.
        """
        step_px = self.bend.spacing_px / 2
        places, (rows, columns) = nodes(shape, step_px)
        mapped = self.map_points(places).reshape(rows, columns, 2)
        along_x = np.diff(mapped, axis=1)[:-1] / step_px
        along_y = np.diff(mapped, axis=0)[:, :-1] / step_px
        areas = along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]
        return float((areas / self.pose.area).min())


def sample(image: NDArray[np.float32], warp: Warp, shape: tuple[int, int], fill: float = 0.0) -> NDArray[np.float32]:
    """The moving picture, float32 (H, W), as seen from the fixed one of (rows, columns); `fill` outside."""
    out = np.empty(shape, dtype=np.float32)
    for top in range(0, shape[0], 256):
        y, x = np.mgrid[top : min(top + 256, shape[0]), : shape[1]] + 0.5
        moved = warp.map_points(np.column_stack([x.ravel(), y.ravel()])) - 0.5
        part = ndimage.map_coordinates(image, moved.T[::-1], order=1, mode="constant", cval=fill, output=np.float32)
        out[top : top + y.shape[0]] = part.reshape(y.shape)
    return out
