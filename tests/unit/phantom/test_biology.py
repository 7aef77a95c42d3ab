import numpy as np
import pytest

from training.phantom.biology import TRAIT_WEIGHTS
from training.phantom.outline import areas_um2, outlines_um
from training.phantom.placing import nuclei_in
from training.phantom.spec import PhantomSpec


def tumour(side_um=900, **fields):
    spec = PhantomSpec(seed=21, width_px=8000, height_px=8000, tissue=1.0, tumour=1.0, hotspots=0, **fields)
    found = nuclei_in(spec, 0, 0, side_um, side_um)
    return found.take(found.kind == 0)


def auc(score, positive):
    """The slow way: every positive against every negative."""
    p, n = score[positive], score[~positive]
    return ((p[:, None] > n).mean() + 0.5 * (p[:, None] == n).mean()).item()


def test_trait_weights_have_unit_length():
    assert np.linalg.norm(TRAIT_WEIGHTS) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("index", [0.1, 0.5])
def test_the_index_is_the_one_asked_for(index):
    cells = tumour(ki67=index, mitoses=0.0)
    assert cells.ki67.mean() == pytest.approx(index, abs=0.05)


@pytest.mark.parametrize(("effect", "expected"), [(1.0, 0.760), (2.0, 0.921), (3.0, 0.983)])
def test_ki67_can_be_told_from_morphology_as_well_as_documented(effect, expected):
    cells = tumour(ki67=0.4, ki67_effect=effect, mitoses=0.0, lookalikes=0.0)
    assert auc(cells.ki67_llr, cells.ki67) == pytest.approx(expected, abs=0.02)


def test_without_effect_nothing_can_be_told():
    cells = tumour(ki67=0.4, ki67_effect=0.0, mitoses=0.0, lookalikes=0.0)
    assert not cells.ki67_llr.any()
    areas = areas_um2(outlines_um(cells))
    assert auc(areas, cells.ki67) == pytest.approx(0.5, abs=0.05)


def test_positive_nuclei_are_larger_darker_coarser_on_the_mean_but_not_each():
    cells = tumour(ki67=0.4, mitoses=0.0, lookalikes=0.0)
    for trait in (areas_um2(outlines_um(cells)), cells.dark, cells.coarse, cells.nucleolus):
        assert 0.6 < auc(trait, cells.ki67) < 0.9


def test_mitoses_are_positive_and_of_all_phases_and_brown_in_phh3():
    cells = tumour(mitoses=0.05, lookalikes=0.05)
    divides, dies = cells.phase > 0, cells.lookalike > 0
    assert cells.ki67[divides].all()
    assert not (divides & dies).any()
    assert set(cells.phase) == {0, 1, 2, 3, 4} and set(cells.lookalike) == {0, 1, 2, 3}
    assert cells.phh3[divides].min() > 0.7
    assert 0 < (cells.phh3[dies] > 0).mean() < 0.3
    assert divides.mean() == pytest.approx(0.05, abs=0.02)


def test_hotspots_divide_more():
    spec = PhantomSpec(seed=2, width_px=12000, height_px=12000, tissue=0.8, tumour=0.9, mitoses=0.01, hotspot_gain=6)
    found = nuclei_in(spec, 500, 500, 2000, 2000)
    cells = found.take(found.kind == 0)
    rates = [(cells.phase[cells.hotspot == inside] > 0).mean() for inside in (False, True)]
    assert rates[1] > 3 * rates[0]
    index = [cells.ki67[cells.hotspot == inside].mean() for inside in (False, True)]
    assert index[1] > index[0] + 0.05


def test_brown_is_for_the_positive():
    cells = tumour(ki67=0.3)
    assert cells.brown[cells.ki67].min() > 4 * cells.brown[~cells.ki67].max()
