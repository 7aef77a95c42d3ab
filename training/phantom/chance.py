"""Random numbers that belong to a place, not to a moment: the same cell gets the same numbers in every block."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def stream(seed: int, name: str) -> int:
    """A 64-bit key for the numbers called `name`; streams of different names are independent."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def uniform(key: int, i: Ints, j: Ints, count: int = 1) -> Floats:
    """`count` numbers in [0, 1) for every lattice place (i, j); shape (count, *i.shape).

    Counter-based: the number is a hash of (key, i, j, k), so any part of the plane can be made alone, in any order.

    References
    ----------
    Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195 (the finaliser used as the hash).
    """
    place = _mix(_as_bits(i) * np.uint64(_MIX_1) + np.uint64(key & _MASK))
    place = _mix(place ^ (_as_bits(j) * np.uint64(_GOLDEN)))
    step = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    bits = _mix(place[None] + step.reshape(-1, *(1,) * place.ndim))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(first: Floats, second: Floats) -> Floats:
    """Standard normal numbers from two uniform ones (Box and Muller 1958, doi 10.1214/aoms/1177706645)."""
    radius: Floats = np.sqrt(-2.0 * np.log1p(-first))
    return radius * np.cos(2.0 * np.pi * second)


def _as_bits(values: Ints) -> NDArray[np.uint64]:
    return np.atleast_1d(np.asarray(values, dtype=np.int64)).view(np.uint64)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_MIX_1)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_MIX_2)
    return bits ^ (bits >> np.uint64(31))
