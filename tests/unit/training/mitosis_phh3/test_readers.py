"""Tables of readers: made ones here, the real ones in the integration tests."""

import numpy as np
import pytest

from training.mitosis.phh3.readers import first_two_readers, tumour_counts


def midog(counts):
    """Regions of two tumours with so many mitoses, one look-alike each."""
    images = [{"id": i, "tumor_type": "a" if i < 2 else "b"} for i in range(len(counts))]
    marks = [{"image_id": i, "category_id": 1, "labels": [1, 1]} for i, n in enumerate(counts) for _ in range(n)]
    marks += [{"image_id": i, "category_id": 2, "labels": [2, 2]} for i in range(len(counts))]
    return {"images": images, "annotations": marks}


def test_mitoses_alone_are_counted_and_graded():
    a, b, every = tumour_counts(midog([0, 6, 7, 21]))
    assert (a.tumour, a.regions, a.mitoses, a.grades) == ("a", 2, 6, (2, 0, 0))
    assert (b.tumour, b.median, b.most, b.grades) == ("b", 14, 21, (0, 1, 1))
    assert (every.tumour, every.regions, every.mitoses, every.grades) == ("all", 4, 34, (2, 1, 1))


def test_kappa_of_the_first_two_worked_by_hand():
    labels = [[1, 1, 2]] * 4 + [[2, 2]] * 4 + [[1, 2, 1]] + [[2, 1, 1]]
    told = {
        "images": [{"id": i} for i in range(10)],
        "annotations": [{"image_id": i, "labels": row} for i, row in enumerate(labels)],
    }
    # Eight of ten agree, five by chance: (0.8 - 0.5) / 0.5.
    found = first_two_readers(told, 0, 200)
    assert found.value == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    assert found.n == 10
    assert np.isfinite([found.low, found.high]).all()
