"""From the count in a hotspot to a grade."""

THETA_1, THETA_2 = 6.0, 20.0
"""Tuned by the paper on 493 slides of TUPAC, at a count of the 95th percentile (doi:10.1109/TMI.2018.2820199)."""


def grade(count: float, theta1: float = THETA_1, theta2: float = THETA_2) -> int:
    """1 for up to `theta1` mitoses, 2 for up to `theta2`, 3 above.

    Raises
    ------
    ValueError
        The thresholds are not in order, or the count is negative or not a number.

    References
    ----------
    Tellez et al. 2018, doi:10.1109/TMI.2018.2820199, section IV.D.
    """
    if not theta1 <= theta2:
        raise ValueError(f"theta1 ({theta1}) must not be above theta2 ({theta2})")
    if not count >= 0:
        raise ValueError(f"a count cannot be {count}")
    return 1 if count <= theta1 else 2 if count <= theta2 else 3
