"""What 8 bits cost, worked by hand, and which layers keep their floats."""

import numpy as np
import onnx
import pytest
from onnx import helper

from models.manifest import ClassSpec, OutputSpec
from tests.toy_predictor import ToyPredictor, toy_manifest
from training.quantise.cost import differences, measure_cost
from training.quantise.network import last_layers
from training.quantise.sample import SlideTiles

COLOURS = {"colour": (0, 0, 0)}


def classes(*names: str) -> OutputSpec:
    specs = tuple(ClassSpec(name=name, background=not k, **COLOURS) for k, name in enumerate(names))
    return OutputSpec(name="out", kind="classes", activation="softmax", channels=len(names), classes=specs)


def logits(winners: list[int], count: int) -> dict[str, np.ndarray]:
    return {"out": np.eye(count, dtype=np.float32)[winners].T.reshape(1, count, 1, len(winners))}


def test_classes_that_agree_and_areas_that_grow():
    found = differences(classes("rest", "a", "b"), logits([0, 1, 1, 2], 3), logits([1, 1, 1, 0], 3))
    assert [d.value for d in found] == [0.5, 0.25, -0.25]
    assert "rest" not in " ".join(d.name for d in found)


def test_bytes_that_are_apart():
    heat = OutputSpec(name="out", kind="heat", activation="none", channels=1)
    one, other = (np.array([[[values]]], np.float32) for values in ([0.0, 0.2, 1.0], [0.0, 0.4, 1.0]))
    mean, largest = differences(heat, {"out": one}, {"out": other})
    assert mean.value == pytest.approx(51 / 255 / 3)
    assert largest.value == pytest.approx(51 / 255)


def test_equal_networks_cost_nothing_and_every_tile_counts():
    manifest = toy_manifest(tile_px=16, halo_px=0, kind="classes")
    tiles = np.random.default_rng(0).integers(0, 255, (3, *(16, 16), 3), dtype=np.uint8)
    networks = ToyPredictor(manifest, batch=1), ToyPredictor(manifest, batch=1)
    metrics = measure_cost(*networks, [SlideTiles(tiles, None), SlideTiles(tiles[:2], None)], "noise", "a against b")
    assert all(m.name.endswith(", a against b") for m in metrics)
    assert [(m.value, m.low, m.high, m.n) for m in metrics] == [(1, 1, 1, 5), (0, 0, 0, 5)]


def test_the_last_weighted_layer_of_each_output_keeps_its_floats():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w"], ["c"], name="left"),
        helper.make_node("ConvTranspose", ["b", "w"], ["d"], name="right"),
        helper.make_node("Tanh", ["d"], ["e"], name="tanh"),
    ]
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "c", "e")]
    model = helper.make_model(helper.make_graph(nodes, "net", value[:1], value[1:]))
    assert last_layers(model) == ["left", "right"]
