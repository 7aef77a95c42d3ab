import numpy as np
import pytest

from training.phantom.outline import areas_um2, distance_inside, outlines_um
from training.phantom.placing import nuclei_in
from training.phantom.spec import PhantomSpec


def nuclei():
    return nuclei_in(PhantomSpec(seed=3, tissue=1.0, tumour=1.0, pleomorphism=0.0), 0, 0, 500, 500)


def test_area_of_a_square():
    square = np.array([[[0, 0], [2, 0], [2, 3], [0, 3]]], dtype=float)
    assert areas_um2(square) == pytest.approx([6.0])


def test_the_polygon_lies_on_the_outline_that_is_drawn():
    some = nuclei()
    points = outlines_um(some)
    cos, sin = np.cos(some.angle)[:, None], np.sin(some.angle)[:, None]
    u = points[..., 0] * cos + points[..., 1] * sin
    v = points[..., 1] * cos - points[..., 0] * sin
    shape = (some.major, some.minor, some.waves)
    off = distance_inside(u[:, None].astype(np.float32), v[:, None].astype(np.float32), shape)
    assert abs(off).max() < 0.02
    inner = distance_inside(0.5 * u[:, None].astype(np.float32), 0.5 * v[:, None].astype(np.float32), shape)
    assert (inner > 0.3).all()


def test_areas_are_those_of_nuclei():
    some = nuclei()
    plain = (some.kind == 0) & ~some.special
    diameters = 2 * np.sqrt(areas_um2(outlines_um(some))[plain] / np.pi)
    assert 6.5 < np.median(diameters) < 10.0
    assert diameters.min() > 4 and diameters.max() < 18
