"""Wilson's interval."""

import pytest
from scipy import stats

from workers.measures.proportion import share_of


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (3, 10), (15, 50), (50, 50), (0, 1000), (123_456, 1_000_000)]
)
def test_the_interval_is_scipy_s(count, total):
    share = share_of(count, total)
    wanted = stats.binomtest(count, total).proportion_ci(method="wilson")
    assert share.percent == pytest.approx(100 * count / total)
    assert (share.low, share.high) == (pytest.approx(100 * wanted.low, abs=1e-9), pytest.approx(100 * wanted.high))


def test_a_half_of_a_hundred_by_hand():
    # 0.5 +- 1.96 / (1 + 0.0384) * sqrt(0.0025 + 0.000096)
    share = share_of(50, 100)
    assert (share.percent, round(share.low, 1), round(share.high, 1)) == (50.0, 40.4, 59.6)


def test_of_nothing_there_is_no_share():
    assert share_of(0, 0).percent is None
    assert share_of(0, 0).low is None


def test_more_than_all_is_refused():
    with pytest.raises(ValueError, match="5 of 4"):
        share_of(5, 4)
