"""A share of a count, with its interval."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""Between minus and plus so many standard deviations lie 95 % of a normal distribution."""


@dataclass(frozen=True)
class Share:
    """So many of so many, in percent, with the 95 % interval; all None where there is nothing to take a share of."""

    percent: float | None
    low: float | None
    high: float | None


def share_of(count: int, total: int) -> Share:
    """The share of `count` in `total` with Wilson's 95 % interval.

    The interval is that of counting, as if each cell were drawn for itself. Cells of one place are alike, and a network
    errs in its own ways: what that adds is not in it.

    Raises
    ------
    ValueError
        `count` is not from 0 to `total`.

    References
    ----------
    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no share")
    if not total:
        return Share(None, None, None)
    part, z2 = count / total, Z_95**2
    middle = (part + z2 / (2 * total)) / (1 + z2 / total)
    reach = Z_95 / (1 + z2 / total) * math.sqrt(part * (1 - part) / total + z2 / (4 * total**2))
    # At the ends the interval touches 0 and 100 but for rounding.
    low = 0.0 if count == 0 else max(0.0, middle - reach)
    high = 1.0 if count == total else min(1.0, middle + reach)
    return Share(100 * part, 100 * low, 100 * high)
