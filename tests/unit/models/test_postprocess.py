"""Raw outputs to bytes: worked by hand, and against the plain definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.manifest import ClassSpec, OutputSpec
from models.postprocess import class_map, image_bytes, probabilities, probability_bytes

LOGITS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(2, 6), st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-1e4, 1e4, width=32) | st.sampled_from([0.0, 1.0, -1.0]),
)


def output(activation="softmax", kind="classes", channels=3):
    classes = tuple(ClassSpec(name=str(i), colour=(i, i, i)) for i in range(channels)) if kind == "classes" else ()
    return OutputSpec(name="o", kind=kind, activation=activation, channels=channels, classes=classes)


def column(*values):
    """One pixel of those channels, (C, 1, 1)."""
    return np.array(values, dtype=np.float32)[:, None, None]


@settings(max_examples=40)
@given(LOGITS)
def test_the_class_map_is_argmax(raw):
    mapped = class_map(raw, output(channels=len(raw)))
    assert mapped.dtype == np.uint8
    np.testing.assert_array_equal(mapped, raw.argmax(axis=0))


def test_a_tie_goes_to_the_lower_class():
    assert class_map(column(1, 2, 2), output()).item() == 1


def test_softmax_by_hand():
    np.testing.assert_allclose(
        probabilities(column(0, np.log(3), np.log(4)), output()).ravel(), [1 / 8, 3 / 8, 4 / 8], rtol=1e-6
    )


def test_sigmoid_by_hand():
    one = output("sigmoid", "heat", 1)
    np.testing.assert_allclose(probabilities(column(-np.log(3)), one).item(), 0.25, rtol=1e-6)
    np.testing.assert_array_equal(probability_bytes(column(0.0), one), [[128]])


def test_tanh_and_plain_images_by_hand():
    assert image_bytes(column(-1, 0, 1), output("tanh", "image")).ravel().tolist() == [0, 128, 255]
    assert image_bytes(column(0, 0.5, 2), output("none", "image")).ravel().tolist() == [0, 128, 255]
    cut = output("tanh", "image").model_copy(update={"cut_off": True})
    assert image_bytes(column(-1.5, 0, 0.9999), cut).ravel().tolist() == [0, 127, 254]
    assert image_bytes(column(-1.5, 0, 1), cut).ravel().tolist() == [0, 127, 255]


@settings(max_examples=40)
@given(LOGITS)
def test_probabilities_are_stable_and_sum_to_one(raw):
    p = probabilities(raw, output(channels=len(raw)))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-5)
    assert p.dtype == np.float32


@settings(max_examples=40)
@given(LOGITS)
def test_sigmoid_is_stable_and_that_of_doubles(raw):
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-raw.astype(np.float64)))
    np.testing.assert_allclose(probabilities(raw, output("sigmoid")), expected, atol=1e-6)


def test_bytes_keep_channels_except_for_heat():
    raw = np.zeros((3, 2, 4), dtype=np.float32)
    assert probability_bytes(raw, output()).shape == (3, 2, 4)
    assert probability_bytes(raw[:1], output("sigmoid", "heat", 1)).shape == (2, 4)
    assert (probability_bytes(raw, output()) == 85).all()
