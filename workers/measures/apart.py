"""How far cells are from those around them, for groups of neighbours at once; how many lie within a distance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.measures.strips import Runs, Strips, list_runs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Apart:
    """Distances between the members of some groups and all that may lie in their fields."""

    squares: Floats
    """(groups, members, cells near): whole numbers."""
    is_positive: Bools
    """(groups, 1, cells near)"""

    def count_all(self, limits: Floats) -> Ints:
        """(groups, members): cells not farther than the root of each group's limit."""
        return _sum(self.squares <= limits[:, None, None])

    def count(self, limits: Floats) -> tuple[Ints, Ints]:
        """All such cells, and the positive ones."""
        inside = self.squares <= limits[:, None, None]
        return _sum(inside), _sum(inside & self.is_positive)

    def rows(self, group: Ints, member: Ints) -> "Apart":
        """Some members, each as a group of its own."""
        return Apart(self.squares[group, member][:, None], self.is_positive[group])


def measure_apart(strips: Strips, is_positive: Bools, members: Ints, runs: Runs) -> Apart:
    """The distances between members of groups and the cells in and beside a box around each group.

    Parameters
    ----------
    is_positive
        (n,), in the order of the strips.
    members
        (groups, members)
    """
    places = strips.places
    near = list_runs(runs, len(places))
    none = near == len(places)
    near[none] = 0
    own = places[members] - places[members[:, :1]]
    other = places[near] - places[members[:, :1]]
    far = (other**2).sum(axis=2)
    far[none] = np.inf
    # As one product: sums of whole numbers, exact in any order.
    left = np.concatenate([own, (own**2).sum(axis=2, keepdims=True), np.ones_like(own[..., :1])], axis=2)
    right = np.concatenate([-2 * other, np.ones_like(far)[..., None], far[..., None]], axis=2)
    return Apart(left @ right.transpose(0, 2, 1), (is_positive[near] & ~none)[:, None])


def _sum(inside: Bools) -> Ints:
    """How many of each row."""
    kind = np.uint16 if inside.shape[-1] < 2**16 else np.uint32
    return np.asarray(inside.sum(axis=-1, dtype=kind), np.int64)
