import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from models.measures_spec import CellsMeasure
from tests.unit.measures.slow import fill_outline, slow_components
from workers.measures import cells as cells_module
from workers.measures.cells import Block, CellRule, Tally, stream_cells
from workers.measures.components import BOX_FACTOR

SQUARE = 64
EVERYTHING = CellRule(mpp=0.5, min_area_px=0, max_area_px=1e9)


@pytest.fixture(autouse=True, scope="module")
def _small_squares():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "ORDER_PX", SQUARE)
        yield


def _reader(mask, heat=None, votes=None):
    def read(box):
        part = np.s_[box.y : box.bottom, box.x : box.right]
        if not mask[part].any():
            return None
        return Block(mask[part], *(None if extra is None else extra[part] for extra in (heat, votes)))

    return read


def _cells(mask, rule=EVERYTHING, *, block_px=SQUARE, tally=None, **extra):
    height, width = mask.shape
    return list(stream_cells(_reader(mask, **extra), width, height, rule, block_px=block_px, tally=tally))


def _values(cell):
    return (cell.index, cell.x, cell.y, cell.box, cell.area_um2, cell.outline.tolist(), cell.probability, cell.vote)


def _blobs(seed, width, height, softness, share):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((height, width)), softness)
    mask = noise > np.quantile(noise, 1 - share)
    mask[:, : width // 4] = False
    return mask


images = st.builds(
    _blobs,
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 140),
    height=st.integers(1, 100),
    softness=st.sampled_from([0.4, 0.8, 1.5, 4]),
    share=st.sampled_from([0.1, 0.3, 0.5, 0.7]),
)
rules = st.builds(
    CellRule,
    mpp=st.just(0.5),
    min_area_px=st.sampled_from([0.0, 5.0, 40.0]),
    max_area_px=st.sampled_from([30.0, 400.0, 1e9]),
    grow_px=st.integers(0, 2),
    vote_classes=st.just(3),
    has_heat=st.just(True),
)


@settings(max_examples=20, deadline=None)
@given(images, rules)
def test_the_list_is_the_same_for_any_block_size(mask, rule):
    rng = np.random.default_rng(0)
    extra = {name: rng.integers(0, 256, mask.shape).astype(np.uint8) for name in ("heat", "votes")}
    extra["votes"] %= 5
    tallies = [Tally() for _ in range(4)]
    found = [
        [_values(cell) for cell in _cells(mask, rule, block_px=side, tally=tally, **extra)]
        for side, tally in zip((16, 33, 64, 1000), tallies, strict=True)
    ]
    assert all(cells == found[0] for cells in found[1:])
    assert all(tally == tallies[0] for tally in tallies[1:])
    assert tallies[0].kept == len(found[0])
    assert tallies[0].kept + tallies[0].too_small + tallies[0].too_large == ndimage.label(mask)[1]


@settings(max_examples=15, deadline=None)
@given(images, st.sampled_from([16, 33, 64]), st.integers(0, 2))
def test_cells_are_the_components_of_the_whole_image(mask, block_px, grow_px):
    rng = np.random.default_rng(1)
    heat, votes = (rng.integers(0, top, mask.shape).astype(np.uint8) for top in (256, 5))
    rule = CellRule(0.5, 0, 1e9, grow_px, vote_classes=3, has_heat=True)
    expected = sorted(_describe(*pair, heat, votes) for pair in slow_components(mask, grow_px).values())
    cells = _cells(mask, rule, block_px=block_px, heat=heat, votes=votes)
    found = sorted((c.area_um2, c.x, c.y, c.probability, -1 if c.vote is None else c.vote) for c in cells)
    assert len(found) == len(expected)
    if found:
        np.testing.assert_allclose(found, expected)


def _describe(component, grown, heat, votes):
    ys, xs = np.nonzero(grown)
    cast = np.bincount(votes[component], minlength=5)[:3]
    vote = int(cast.argmax()) if cast.any() else -1
    return grown.sum() * 0.25, xs.mean() + 0.5, ys.mean() + 0.5, heat[component].mean() / 255, vote


def test_areas_outside_of_the_limits_are_left_out_by_their_filled_area():
    mask = np.zeros((40, 60), dtype=bool)
    mask[2:5, 2:5] = True
    mask[2:12, 20:30] = True
    mask[4:10, 22:28] = False
    mask[20:35, 20:40] = True
    tally = Tally()
    cells = _cells(mask, CellRule(0.5, 10, 100), tally=tally)
    assert [cell.area_um2 for cell in cells] == [25.0]
    assert tally == Tally(kept=1, too_small=1, too_large=1)


def test_a_component_may_turn_around_through_many_blocks():
    mask = np.zeros((80, 80), dtype=bool)
    for row in range(0, 80, 4):
        mask[row] = True
    for row in range(0, 76, 8):
        mask[row : row + 4, -1] = True
        mask[row + 4 : row + 8, 0] = True
    assert ndimage.label(mask)[1] == 1
    for side in (8, 16, 33):
        (cell,) = _cells(mask, block_px=side)
        assert (cell.box.width, cell.box.height) == (80, 80)


def test_pixels_of_a_giant_component_are_not_kept(monkeypatch):
    mask = np.ones((200, 200), dtype=bool)
    mask[90:100, 90:100] = False
    mask[93:96, 93:96] = True
    sizes = []
    original = cells_module.take_block

    def spy(frontier, *arguments):
        found = original(frontier, *arguments)
        sizes.append(sum(len(p.xs) for o in {id(o): o for o in frontier.root.values()}.values() for p in o.pieces))
        return found

    monkeypatch.setattr(cells_module, "take_block", spy)
    tally = Tally()
    cells = _cells(mask, CellRule(0.5, 0, 100), block_px=16, tally=tally)
    assert len(cells) == 1 and tally.too_large == 1
    assert max(sizes) <= 100


def test_parts_that_are_done_are_forgotten(monkeypatch):
    mask = np.zeros((16 * 30, 32), dtype=bool)
    mask[:, 3:5] = True
    alive = []
    original = cells_module.take_block

    def spy(frontier, *arguments):
        found = original(frontier, *arguments)
        alive.append(len(frontier.root) + len(frontier.exposures))
        return found

    monkeypatch.setattr(cells_module, "take_block", spy)
    _cells(mask, CellRule(0.5, 0, 20), block_px=16)
    assert max(alive) == 2


def test_a_thin_thread_across_the_image_counts_as_too_large():
    mask = np.eye(600, dtype=bool) | np.eye(600, k=1, dtype=bool)
    for block_px in (SQUARE, 1000):
        tally = Tally()
        assert _cells(mask, CellRule(0.5, 0, mask.sum()), block_px=block_px, tally=tally) == []
        assert tally.too_large == 1
    assert len(_cells(mask, CellRule(0.5, 0, mask.size / BOX_FACTOR))) == 1


def test_blocks_of_the_order_grid_hold_nothing_back():
    mask = np.zeros((3 * SQUARE, 3 * SQUARE), dtype=bool)
    mask[10:20, 10:20] = True
    mask[SQUARE - 5 : SQUARE + 5, 100:110] = True
    mask[-10:, -10:] = True
    seen = []

    def read(box):
        seen.append((box.x // SQUARE, box.y // SQUARE))
        return _reader(mask)(box)

    stream = stream_cells(read, *mask.shape[::-1], EVERYTHING, block_px=SQUARE)
    assert next(stream).box.x == 10 and seen[-1] == (0, 0)
    assert next(stream).box.x == 100 and seen[-1] == (1, 1)
    assert len(list(stream)) == 1 and seen[-1] == (2, 2)


def test_cells_come_in_the_documented_order():
    mask = _blobs(5, 200, 200, 1.5, 0.4)
    cells = _cells(mask, block_px=33)
    expected = {}
    labels, _ = ndimage.label(mask)
    for index, part in enumerate(ndimage.find_objects(labels), 1):
        ys, xs = np.nonzero(labels == index)
        last = max(zip((ys // SQUARE).tolist(), (xs // SQUARE).tolist(), strict=True))
        expected[last, int(ys[0]), int(xs[0])] = (part[1].start, part[0].start)
    order = [expected[key] for key in sorted(expected)]
    assert [(cell.box.x, cell.box.y) for cell in cells] == order
    assert [cell.index for cell in cells] == list(range(len(cells)))


def test_growth_stops_at_the_edge_of_the_image():
    mask = np.zeros((12, 12), dtype=bool)
    mask[0:2, 0:2] = mask[10:, 10:] = True
    for cell in _cells(mask, CellRule(0.5, 0, 1e9, grow_px=3)):
        assert min(cell.outline.ravel()) >= 0 and max(cell.outline.ravel()) <= 12
    exact = _cells(mask, CellRule(0.5, 0, 1e9))
    np.testing.assert_array_equal(fill_outline(exact[0].outline, mask.shape), ndimage.label(mask)[0] == 1)


def test_a_rule_is_made_from_a_measure_in_um2():
    measure = CellsMeasure(output="nuclei", interior="nucleus", grow_px=2, min_area_um2=5, max_area_um2=500)
    rule = CellRule.of(measure, mpp=0.5)
    assert (rule.min_area_px, rule.max_area_px, rule.grow_px) == (20, 2000, 2)


def test_nothing_gives_nothing():
    assert _cells(np.zeros((50, 70), dtype=bool)) == []
