"""Poses and smooth fields through matches of which many are wrong.

Each fit starts forgiving and becomes strict: a match counts by how far it lies from the fit of the round before.

References
----------
Geman and McClure, Statistical methods for tomographic image reconstruction, 1987 (the weight).
Bookstein, Principal warps, IEEE TPAMI, 1989, doi 10.1109/34.24792 (bending energy; here its finite differences).
"""

from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from workers.registration.maps import Field, Points, Pose, nodes
from workers.registration.matching import Matches

PoseKind = Literal["rigid", "similarity", "affine"]
ROUNDS = 8
LEAD = 0.1
"""Lead over the rival at which a match counts in full."""
FAINT = 1e-4
"""Weight of bending where there is no data: the field runs on straight."""


def trust_in(matches: Matches) -> Points:
    """What each match weighs before any fit, 0 to 1: a high peak that has no rival."""
    return np.asarray(np.clip(matches.peaks, 0, 1) ** 2 * np.clip(matches.leads / LEAD, 0, 1))


def fit_pose(matches: Matches, kind: PoseKind, first_px: float, last_px: float) -> Pose:
    """The pose that carries centres to where they were found; misses beyond a limit, ever stricter, hardly count."""
    source, target, trust = matches.centres, matches.centres + matches.shifts, trust_in(matches)
    pose = Pose(np.eye(2, 3))
    for limit in np.geomspace(first_px, last_px, ROUNDS):
        misses = ((pose.map_points(source) - target) ** 2).sum(axis=1)
        pose = solve_pose(source, target, trust / (1 + misses / limit**2) ** 2, kind)
    return pose


def solve_pose(source: Points, target: Points, weights: Points, kind: PoseKind) -> Pose:
    """The weighted least-squares pose; a rigid one by singular values (Umeyama, doi 10.1109/34.88573)."""
    total = weights.sum() + 1e-12
    middle, there = (weights @ points / total for points in (source, target))
    a, b = source - middle, target - there
    if kind == "affine":
        ridge = 1e-9 * total * np.eye(2)
        linear = np.linalg.solve((a * weights[:, None]).T @ a + ridge, (a * weights[:, None]).T @ b).T
    else:
        left, strengths, right = np.linalg.svd((b * weights[:, None]).T @ a)
        signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])
        scale = (strengths * signs).sum() / max(float(weights @ (a**2).sum(axis=1)), 1e-12)
        linear = left @ np.diag(signs) @ right * (scale if kind == "similarity" else 1.0)
    return Pose(np.column_stack([linear, there - linear @ middle]))


def fit_field(
    matches: Matches, over: tuple[tuple[int, int], float], stiffness: float, limits_px: tuple[float, float]
) -> Field:
    """The smooth field through shifts.

    Parameters
    ----------
    over
        (rows, columns) of the picture, and the spacing of the field's nodes, in px.
    stiffness
        What bending weighs, per node, against the matches' misses.
    limits_px
        A match that misses by this counts a quarter: in the first round, and in the last.
    """
    shape, spacing_px = over
    _, grid = nodes(shape, spacing_px)
    rows = _interpolation(matches.centres / spacing_px, grid)
    bending = _bending(grid)
    trust, field = trust_in(matches), np.zeros((grid[0] * grid[1], 2))
    for k, limit in enumerate(np.geomspace(*limits_px, ROUNDS)):
        misses = ((rows @ field - matches.shifts) ** 2).sum(axis=1)
        weights = sparse.diags(trust / (1 + misses / limit**2) ** 2)
        stiff = stiffness * max(1.0, 100.0 * 0.3**k)
        system = (rows.T @ weights @ rows + stiff * bending).tocsc()
        field = linalg.splu(system).solve(rows.T @ (weights @ matches.shifts))
    dx, dy = (part.reshape(grid) for part in field.T)
    return Field(dx, dy, spacing_px)


def _interpolation(places: Points, grid: tuple[int, int]) -> sparse.csr_matrix:
    """Rows that interpolate node values linearly at places given in node spacings."""
    corner = np.minimum(np.floor(places).astype(np.int64), np.array([grid[1], grid[0]]) - 2)
    fx, fy = (places - corner).T
    index = np.arange(len(places))
    parts = [(0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)]
    columns = np.concatenate([(corner[:, 1] + down) * grid[1] + corner[:, 0] + right for right, down, _ in parts])
    values = np.concatenate([value for *_, value in parts])
    return sparse.csr_matrix((values, (np.tile(index, 4), columns)), (len(places), grid[0] * grid[1]))


def _bending(grid: tuple[int, int]) -> sparse.csr_matrix:
    """Sum of squared second differences of node values, and a trace of squared values so that it can be solved."""
    bends = [sparse.kron(sparse.eye(grid[0]), _second(grid[1])), sparse.kron(_second(grid[0]), sparse.eye(grid[1]))]
    twist = np.sqrt(2.0) * sparse.kron(_difference(grid[0]), _difference(grid[1]))
    total = sum(part.T @ part for part in (*bends, twist))
    return total + FAINT * sparse.eye(grid[0] * grid[1])


def _difference(count: int) -> sparse.csr_matrix:
    return sparse.diags([-np.ones(count), np.ones(count)], [0, 1], (count - 1, count))


def _second(count: int) -> sparse.csr_matrix:
    ones = np.ones(count)
    return sparse.diags([ones, -2 * ones, ones], [0, 1, 2], (max(count - 2, 0), count))
