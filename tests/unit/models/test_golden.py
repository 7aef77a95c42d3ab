"""Golden tiles: what may be compared when the tile is smaller or larger than the network's batch."""

import numpy as np
import pytest

from models.errors import GoldenMismatchError, PackageInvalidError
from models.golden import check_golden, run_golden
from models.manifest import GoldenSpec
from tests.toy_predictor import ToyPredictor, toy_manifest


def tile(side=40):
    return np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)


def recorded(golden, **kinds):
    """The answer as it is recorded when the tile is as large as the batch."""
    halo = kinds.get("halo_px", 8)
    predictor = ToyPredictor(toy_manifest(**(kinds | {"tile_px": golden.shape[0] - 2 * halo})))
    return run_golden(predictor, golden, None)


@pytest.mark.parametrize("kinds", [{}, {"stride_px": 4, "kind": "heat"}, {"inset_px": 4}, {"kind": "classes"}])
@pytest.mark.parametrize("tile_px", [8, 24, 40, 64])
def test_the_answer_holds_for_every_tile_size(kinds, tile_px):
    golden = tile()
    predictor = ToyPredictor(toy_manifest(tile_px=tile_px, **kinds))
    assert check_golden(predictor, (golden, recorded(golden, **kinds), None)) < 1e-6


def test_a_wrong_pixel_within_the_kept_part_is_found():
    golden = tile()
    answers = recorded(golden)
    answers["out"][0, 3, 5] += 0.5
    for tile_px in (24, 64):
        with pytest.raises(GoldenMismatchError, match=r"0\.5"):
            check_golden(ToyPredictor(toy_manifest(tile_px=tile_px)), (golden, answers, None))


def test_beyond_a_halo_from_the_border_nothing_is_compared():
    golden = tile()
    answers = recorded(golden)
    answers["out"][:, 33:, :] += 1
    assert check_golden(ToyPredictor(toy_manifest(tile_px=64)), (golden, answers, None)) < 1e-6
    with pytest.raises(GoldenMismatchError):
        check_golden(ToyPredictor(toy_manifest(tile_px=24)), (golden, answers, None))


def test_the_tolerance_is_the_manifests():
    golden = tile()
    answers = {name: answer + np.float32(0.002) for name, answer in recorded(golden).items()}
    lenient = toy_manifest(tile_px=24).model_copy(update={"golden": {"absolute_tolerance": 0.01}})
    lenient = type(lenient).model_validate(lenient.model_dump(warnings=False))
    assert check_golden(ToyPredictor(lenient), (golden, answers, None)) == pytest.approx(0.002, rel=0.01)
    with pytest.raises(GoldenMismatchError, match=r"allowed is 0\.001"):
        check_golden(ToyPredictor(toy_manifest(tile_px=24)), (golden, answers, None))


@pytest.mark.parametrize(("mean_tolerance", "passes"), [(None, True), (0.003, True), (0.001, False)])
def test_means_have_a_tolerance_of_their_own(mean_tolerance, passes):
    golden = tile()
    answers = {name: answer + np.float32(0.002) for name, answer in recorded(golden).items()}
    spec = GoldenSpec(absolute_tolerance=0.01, mean_tolerance=mean_tolerance)
    predictor = ToyPredictor(toy_manifest(tile_px=24).model_copy(update={"golden": spec}))
    if passes:
        assert check_golden(predictor, (golden, answers, None)) == pytest.approx(0.002, rel=0.01)
        return
    with pytest.raises(GoldenMismatchError, match=r"0\.002 on average, allowed is 0\.001"):
        check_golden(predictor, (golden, answers, None))


def test_a_tile_within_the_halo_proves_nothing():
    golden = tile(8)
    with pytest.raises(PackageInvalidError, match="too small"):
        check_golden(ToyPredictor(toy_manifest(tile_px=24)), (golden, {"out": np.zeros((3, 8, 8), np.float32)}, None))


def test_a_missing_output_is_named():
    with pytest.raises(PackageInvalidError, match="out"):
        check_golden(ToyPredictor(toy_manifest(tile_px=24)), (tile(), {}, None))
