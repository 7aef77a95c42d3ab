"""One range of a file, as RFC 9110 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.problems import problem_of
from service.ranges import RangeNotSatisfiableError, names_tag, read_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-4", (2, 5)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        (" bytes=9-9 ", (9, 10)),
    ],
)
def test_a_range_is_read(header, wanted):
    assert read_range(header, 10) == wanted


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=4-2", "bytes=0-1,3-4", "lines=0-1", "bytes=0-1;",
     "bytes=+1-2", "bytes=1-2-3", "bytes=" + "9" * 30 + "-", "bytes=0x1-2", "bytes=\u0661-\u0662"],
)  # fmt: skip
def test_what_is_no_single_range_is_the_whole_file(header):
    assert read_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_what_is_behind_the_end_is_refused_with_the_size(header, size):
    with pytest.raises(RangeNotSatisfiableError) as caught:
        read_range(header, size)
    answer = problem_of(caught.value)
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


@given(st.text(alphabet="bytes=-,0123456789 ", max_size=12), st.integers(0, 30))
def test_a_range_is_never_empty_and_never_outside(header, size):
    try:
        found = read_range(header, size)
    except RangeNotSatisfiableError:
        return
    if found is not None:
        assert 0 <= found[0] < found[1] <= size


@pytest.mark.parametrize(
    ("header", "named"),
    [('"a"', True), ('"b", "a"', True), ('W/"a"', True), ("*", True), ('"b"', False), ("a", False), ("", False)],
)
def test_a_tag_is_found_among_those_sent(header, named):
    assert names_tag(header, '"a"') is named
