"""Parts of a class with holes: against pixels painted back by hand and by the even-odd rule."""

import numpy as np
import pytest

from workers.measures import class_outlines
from workers.measures.class_outlines import Part, class_parts


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rings with all their corners."""
    monkeypatch.setattr(class_outlines, "simplify", lambda starts, points: (starts, points))


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def doubled_area(ring: np.ndarray) -> int:
    xs, ys = ring.astype(np.int64).T
    return int((xs * np.roll(ys, -1) - np.roll(xs, -1) * ys).sum())


def painted(part: Part, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle lies inside by the even-odd rule, ring by ring, edge by edge."""
    inside = np.zeros(shape, bool)
    for ring in part.rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            for y in range(min(y0, y1), max(y0, y1)):
                x = x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                inside[y, int(np.ceil(x - 0.5)) :] ^= True
    return inside


def test_a_ring_has_a_shell_and_a_hole(exact):
    (part,) = class_parts(mask_of("####", "#..#", "####"), 1)
    shell, hole = part.rings
    assert part.area_px == 10
    assert sorted(map(tuple, shell.tolist())) == [(0, 0), (0, 3), (4, 0), (4, 3)] and doubled_area(shell) == 24
    assert sorted(map(tuple, hole.tolist())) == [(1, 1), (1, 2), (3, 1), (3, 2)] and doubled_area(hole) == -4


def test_pixels_that_meet_at_a_corner_are_two_parts(exact):
    parts = class_parts(mask_of("#.", ".#"), 1)
    assert [part.area_px for part in parts] == [1, 1]
    assert [part.rings[0].min(axis=0).tolist() for part in parts] == [[0, 0], [1, 1]]


def test_a_part_that_meets_itself_at_corners_keeps_its_holes(exact):
    # Two holes that touch each other, and one of them the outside; walked wrongly, all of it is one ring.
    (part,) = class_parts(mask_of("###.", "#.#.", "##.#", "####"), 1)
    assert [doubled_area(ring) for ring in part.rings[1:]] == [-2, -2]
    assert sum(map(doubled_area, part.rings)) == 2 * part.area_px


def test_small_parts_are_left_out_and_leave_their_hole(exact):
    mask = mask_of("#####", "#...#", "#.#.#", "#...#", "#####")
    assert [part.area_px for part in class_parts(mask, 1)] == [16, 1]
    (part,) = class_parts(mask, 2)
    assert part.area_px == 16 and [abs(doubled_area(ring)) for ring in part.rings] == [50, 18]
    assert class_parts(mask, 17) == [] and class_parts(np.zeros((3, 3), bool), 1) == []


def test_parts_are_the_mask(exact):
    rng = np.random.default_rng(3)
    for density in (0.3, 0.5, 0.65, 0.8) * 6:
        mask = rng.random(rng.integers(1, 13, 2)) < density
        parts = class_parts(mask, 1)
        whole = np.zeros(mask.shape, int)
        for part in parts:
            inside = painted(part, mask.shape)
            assert inside.sum() == part.area_px and sum(map(doubled_area, part.rings)) == 2 * part.area_px
            assert doubled_area(part.rings[0]) > 0 and all(doubled_area(ring) < 0 for ring in part.rings[1:])
            assert all(len(np.unique(ring, axis=0)) == len(ring) for ring in part.rings)
            whole += inside
        np.testing.assert_array_equal(whole, mask)
        firsts = [int(np.argmax(painted(part, mask.shape))) for part in parts]
        assert firsts == sorted(firsts)


def test_fewer_corners_move_the_border_by_less_than_a_pixel():
    ys, xs = np.mgrid[:80, :80]
    distance = np.hypot(xs - 40, ys - 40)
    (part,) = class_parts((distance < 35) & (distance > 12), 1)
    shell, hole = part.rings
    assert len(shell) < 120 and len(hole) < 50
    assert abs(sum(map(doubled_area, part.rings)) / 2 - part.area_px) < 0.01 * part.area_px
    assert np.abs(np.hypot(*(shell - 40.5).T) - 35).max() < 1.1
