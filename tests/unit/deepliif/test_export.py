import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.deepliif import slow
from tests.unit.deepliif.making import mask_of, masks, picture_for
from workers.deepliif.boundary import trace_boundaries
from workers.deepliif.cells import find_cells
from workers.deepliif.export import CellRecord, cell_records, decode, decode_text, encode, encode_text
from workers.deepliif.scoring import score_cells
from workers.deepliif.thresholds import Thresholds

EVERYTHING = Thresholds(noise_px=0, size_px=0)


@settings(max_examples=25, deadline=None)
@given(masks)
def test_boundaries_are_those_of_the_slow_walk(seg):
    cells, labels = find_cells(seg, EVERYTHING)
    walked = [[tuple(p) for p in line.tolist()] for line in trace_boundaries(labels, cells.first)]
    assert walked == [slow.boundary(cell) for cell in slow.components(slow.classes(seg))]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["...", ".r.", "..."], [(1, 1)]),
        (["rrr", "rrr", "rrr"], [(0, 0), (2, 0), (2, 2), (0, 2)]),
        (["rrrr"], [(0, 0), (3, 0)]),
        ([".r.", "rrr", ".r."], [(1, 0), (2, 1), (1, 2), (0, 1)]),
        (["r.r", ".r."], [(0, 0), (1, 1), (2, 0), (1, 1)]),
    ],
)
def test_a_boundary_by_hand(rows, expected):
    cells, labels = find_cells(mask_of(rows), EVERYTHING)
    assert [tuple(p) for p in trace_boundaries(labels, cells.first)[0].tolist()] == expected


@settings(max_examples=15, deadline=None)
@given(masks, st.sampled_from([3, 4, 5, 6]))
def test_what_is_written_is_read_back(seg, version):
    cells, labels = find_cells(seg, EVERYTHING, marker=picture_for(seg, 1), ihc=picture_for(seg, 2))
    records = cell_records(cells, labels, score_cells(cells, EVERYTHING), version)
    assert len(records) == len(cells)
    assert decode(json.loads(json.dumps(encode(records, version))), version) == records
    values = cells.marker if version < 5 else cells.od
    assert [record.value for record in records] == values.tolist()


places = st.tuples(st.integers(0, 92**4 - 2000), st.integers(0, 92**4 - 2000))
walks = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60)), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(places, walks, st.integers(1, 92**4 - 1), st.integers(0, 4231), st.booleans())
def test_any_cell_goes_through_the_text(corner, walk, size, value, positive):
    points, last = [(0, 0)], None
    for direction, length in walk:
        if direction != last:
            dx, dy = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)][direction]
            points.append((points[-1][0] + dx * length, points[-1][1] + dy * length))
            last = direction
    shift = [corner[k] - min(p[k] for p in points) for k in range(2)]
    boundary = tuple((x + shift[0], y + shift[1]) for x, y in points)
    high = (max(x for x, _ in boundary), max(y for _, y in boundary))
    record = CellRecord(size, positive, value, (corner, high), high, boundary)
    assert decode_text(encode_text(record)) == record


def test_a_text_by_hand():
    # 3 x 12 px at (100, 5), positive, marker 60. Places take two digits, size and offsets one: code 0 + 4 + 0.
    boundary = ((100, 5), (102, 5), (102, 16), (100, 16))
    record = CellRecord(36, True, 60, ((100, 5), (102, 16)), (101, 10), boundary)
    digits = [4, 36, 1, 29, 1, 8, 0, 5, 2, 11, 1, 5, 0, 0, 8 * 2 + 0, 8 * 10 + 6, 8 * 1 + 6, 8 * 2 + 4]
    assert encode_text(record) == "".join(chr(digit + 35) for digit in digits)
    assert decode_text(encode_text(record)) == record


def test_records_by_hand():
    seg = mask_of([".....", ".bbb.", ".bbb."])
    cells, labels = find_cells(seg, EVERYTHING, marker=np.full((3, 5), 7, np.uint8))
    assert encode(cell_records(cells, labels, score_cells(cells, EVERYTHING), 3), 3) == [
        {
            "size": 6,
            "positive": False,
            "marker": 7,
            "bbox": [[1, 1], [3, 2]],
            "centroid": [2, 2],
            "boundary": [[1, 1], [3, 1], [3, 2], [1, 2]],
        }
    ]


def test_only_cells_that_count_are_written_unless_rows_are_chosen():
    seg = mask_of(["r..bb", "...bb"])
    cells, labels = find_cells(seg, EVERYTHING, ihc=seg)
    score = score_cells(cells, Thresholds(noise_px=1, size_px=0))
    assert [r.size for r in cell_records(cells, labels, score, 6)] == [4]
    assert [r.size for r in cell_records(cells, labels, score, 6, np.array([True, False]))] == [1]
    with pytest.raises(ValueError, match="found with a marker image"):
        cell_records(cells, labels, score, 4)


SOUND = CellRecord(4, True, 1, ((0, 0), (1, 1)), (0, 0), ((0, 0), (1, 0), (1, 1), (0, 1)))


@pytest.mark.parametrize("text", ["", "#", " " * 20, "~" * 20, encode_text(SOUND) + "#", encode_text(SOUND)[:9]])
def test_texts_that_are_no_cell_are_refused(text):
    with pytest.raises(ValueError, match=r"no cell|cannot be"):
        decode_text(text)


def test_what_cannot_be_written_is_refused():
    crooked = CellRecord(4, True, 1, ((0, 0), (9, 9)), (0, 0), ((0, 0), (3, 1)))
    outside = CellRecord(4, True, 1, ((5, 5), (9, 9)), (0, 0), ((5, 5),))
    dense = CellRecord(4, True, 5000, ((0, 0), (1, 1)), (0, 0), ((0, 0),))
    for record, words in ((crooked, "no straight step"), (outside, "outside of its box"), (dense, "too long")):
        with pytest.raises(ValueError, match=words):
            encode_text(record)


@pytest.mark.parametrize(("cells", "version"), [(["#"], 3), ([{"size": 1}], 5), ([{}], 4), ([], 2)])
def test_documents_of_another_version_are_refused(cells, version):
    with pytest.raises(ValueError, match=r"version|lacks a field"):
        decode(cells, version)
