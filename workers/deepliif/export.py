"""Cells as DeepLIIF exports them: data versions 3 to 6, as records or as one line of text each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.deepliif.boundary import trace_boundaries
from workers.deepliif.cells import Cells, Labels
from workers.deepliif.scoring import Score

Point = tuple[int, int]
Document = dict[str, object]

BASE, FIRST_CHARACTER = 92, 35
STEPS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""(dx, dy) of the directions 0 to 7 of the text: E, NE, N, NW, W, SW, S, SE, y down."""
LONGEST_STEP = 10
VALUE_DIGITS = 2
MARKER_VERSIONS, OD_VERSIONS, TEXT_VERSIONS = (3, 4), (5, 6), (4, 6)


@dataclass(frozen=True)
class CellRecord:
    """One cell of an export; points are (x, y) in px."""

    size: int
    positive: bool
    value: int
    """The marker in versions 3 and 4, the optical density in 5 and 6."""
    bbox: tuple[Point, Point]
    """Lowest x and y, highest x and y, inclusive."""
    centroid: Point
    boundary: tuple[Point, ...]
    """Clockwise from the first pixel; only the first point and those where the direction changes."""


def cell_records(
    cells: Cells, labels: Labels, score: Score, version: int, chosen: NDArray[np.bool_] | None = None
) -> tuple[CellRecord, ...]:
    """Records of the chosen rows of the table; of those that count if none are chosen.

    Raises
    ------
    ValueError
        The version is not 3 to 6, or the table lacks what it exports.
    """
    _check_version(version)
    values = cells.marker if version in MARKER_VERSIONS else cells.od
    if values is None:
        wanted = "a marker image" if version in MARKER_VERSIONS else "the stained image"
        raise ValueError(f"data version {version} needs cells found with {wanted}")
    rows = np.flatnonzero(score.is_counted if chosen is None else chosen)
    boundaries = trace_boundaries(labels, cells.first[rows])
    return tuple(
        CellRecord(
            size=int(cells.size_px[row]),
            positive=bool(score.is_positive[row]),
            value=int(values[row]),
            bbox=((left, top), (right, bottom)),
            centroid=(x, y),
            boundary=tuple((px, py) for px, py in boundary.tolist()),
        )
        for row, boundary in zip(rows, boundaries, strict=True)
        for left, top, right, bottom in [cells.box_px[row].tolist()]
        for x, y in [cells.centre_px[row].tolist()]
    )


def encode(records: Sequence[CellRecord], version: int) -> list[Document] | list[str]:
    """The records as a data version writes them, ready for JSON."""
    _check_version(version)
    if version in TEXT_VERSIONS:
        return [encode_text(record) for record in records]
    return [_document(record, _value_name(version)) for record in records]


def decode(cells: Sequence[Document | str], version: int) -> tuple[CellRecord, ...]:
    """The records that a data version's cells stand for.

    Raises
    ------
    ValueError
        A cell is not written as the version says.
    """
    _check_version(version)
    name = _value_name(version)
    records = []
    for index, cell in enumerate(cells):
        if isinstance(cell, str) != (version in TEXT_VERSIONS):
            raise ValueError(f"cell {index} is not written as data version {version} says")
        records.append(decode_text(cell) if isinstance(cell, str) else _record(cell, name, index))
    return tuple(records)


def encode_text(record: CellRecord) -> str:
    """One cell as a line of characters from "#" to "~".

    Raises
    ------
    ValueError
        A number needs more digits than the text has, or the boundary is no walk along the eight directions.
    """
    (left, top), (right, bottom) = record.bbox
    relative = [right - left, bottom - top]
    for x, y in (record.centroid, record.boundary[0]):
        relative += [x - left, y - top]
    sizes, absolutes, offsets = _digits_of([record.size]), _digits_of([left, top]), _digits_of(relative)
    value = record.value * 2 + record.positive
    if max(sizes, absolutes, offsets) > 4 or _digits_of([value]) > VALUE_DIGITS:
        raise ValueError(f"a cell of {record.size} px at {left}, {top} has numbers too long for the text")
    head = _digits((sizes - 1) * 16 + (absolutes - 1) * 4 + offsets - 1, 1)
    head += _digits(record.size, sizes) + _digits(value, VALUE_DIGITS)
    head += "".join(_digits(number, absolutes) for number in (left, top))
    head += "".join(_digits(number, offsets) for number in relative)
    return head + "".join(_walk(record.boundary))


def decode_text(text: str) -> CellRecord:
    """The cell that a line stands for.

    Raises
    ------
    ValueError
        The line is too short, or holds a character or a step that cannot be.
    """
    digits = [ord(character) - FIRST_CHARACTER for character in text]
    if not digits or not all(0 <= digit < BASE for digit in digits) or digits[0] > 63:
        raise ValueError(f"{text[:20]!r} is no cell: its characters or its first one cannot be")
    sizes, absolutes, offsets = digits[0] // 16 + 1, digits[0] // 4 % 4 + 1, digits[0] % 4 + 1
    lengths = [sizes, VALUE_DIGITS, absolutes, absolutes, *[offsets] * 6]
    if len(digits) < 1 + sum(lengths):
        raise ValueError(f"{text[:20]!r} is no cell: {len(digits)} characters are too few")
    numbers, place = [], 1
    for length in lengths:
        numbers.append(_number(digits[place : place + length]))
        place += length
    size, value, left, top, *relative = numbers
    points = [(left + x, top + y) for x, y in zip(relative[::2], relative[1::2], strict=True)]
    corner, centroid, first = points
    boundary = _unwalk(first, digits[place:])
    return CellRecord(size, bool(value % 2), value // 2, ((left, top), corner), centroid, boundary)


def _walk(boundary: tuple[Point, ...]) -> list[str]:
    """A character for each step from point to point; runs longer than `LONGEST_STEP` take several."""
    characters = []
    for (x, y), (next_x, next_y) in pairwise(boundary):
        dx, dy = next_x - x, next_y - y
        distance = max(abs(dx), abs(dy))
        if not distance or {abs(dx), abs(dy)} - {0, distance}:
            raise ValueError(f"from {x}, {y} no straight step leads to {next_x}, {next_y}")
        direction = STEPS.index((dx // distance, dy // distance))
        while distance:
            length = min(distance, LONGEST_STEP)
            characters.append(_digits(8 * length + direction, 1))
            distance -= length
    return characters


def _unwalk(first: Point, steps: Sequence[int]) -> tuple[Point, ...]:
    """The points of a walk; steps of one direction in a row are one run."""
    points, last, run = [first], -1, 0
    for step in steps:
        distance, direction = divmod(step, 8)
        if not 1 <= distance <= LONGEST_STEP:
            raise ValueError(f"a step of {distance} px cannot be: 1 to {LONGEST_STEP} are written")
        if direction == last:
            points.pop()
            distance += run
        start, run = points[-1], distance
        dx, dy = STEPS[direction]
        points.append((start[0] + dx * distance, start[1] + dy * distance))
        last = direction
    return tuple(points)


def _document(record: CellRecord, name: str) -> Document:
    return {
        "size": record.size,
        "positive": record.positive,
        name: record.value,
        "bbox": [list(corner) for corner in record.bbox],
        "centroid": list(record.centroid),
        "boundary": [list(point) for point in record.boundary],
    }


def _record(cell: Document, name: str, index: int) -> CellRecord:
    try:
        low, high = _points(cell["bbox"])
        (centroid,) = _points([cell["centroid"]])
        size, value = _points([[cell["size"], cell[name]]])[0]
        return CellRecord(size, bool(cell["positive"]), value, (low, high), centroid, _points(cell["boundary"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"cell {index} lacks a field or has one of another kind: {error}") from error


def _points(pairs: Any) -> tuple[Point, ...]:  # noqa: ANN401
    """Points of what stands in a document, which may be anything."""
    return tuple((int(x), int(y)) for x, y in pairs)


def _value_name(version: int) -> str:
    return "marker" if version in MARKER_VERSIONS else "od"


def _digits(number: int, length: int) -> str:
    """The number in base 92, the highest digit first."""
    return "".join(chr(number // BASE**power % BASE + FIRST_CHARACTER) for power in reversed(range(length)))


def _number(digits: Sequence[int]) -> int:
    total = 0
    for digit in digits:
        total = total * BASE + digit
    return total


def _digits_of(numbers: Sequence[int]) -> int:
    """How many digits the largest number needs."""
    if min(numbers) < 0:
        raise ValueError(f"{min(numbers)} is negative: the cell's points lie outside of its box")
    length = 1
    while max(numbers) >= BASE**length:
        length += 1
    return length


def _check_version(version: int) -> None:
    if version not in (*MARKER_VERSIONS, *OD_VERSIONS):
        raise ValueError(f"there is no data version {version} here: 3 to 6 are written and read")
