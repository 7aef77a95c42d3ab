"""Operations counted by hand, from the graph and from the modules."""

import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from benchmarks.flops import count_macs
from benchmarks.gpu_networks import count_flops


def model(nodes: list, shape: list, weights: dict[str, tuple[int, ...]]):
    import numpy as np

    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_convolution():
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])
    # 10 x 8 px, 3 x 3, stride 2, no padding: 4 x 3 outputs of 5 channels, each a sum over 2 channels and 9 px.
    macs = count_macs(model([node], ["batch", 2, "height", "width"], {"w": (5, 2, 3, 3)}), sizes(1, 10, 8))
    assert macs == 4 * 3 * 5 * 2 * 9


def test_a_batch_costs_as_often_as_it_has_tiles():
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    counted = [count_macs(model([node], ["batch", 2, 8, 8], {"w": (4, 2, 3, 3)}), {"batch": n}) for n in (1, 7)]
    assert counted == [8 * 8 * 4 * 18, 7 * 8 * 8 * 4 * 18]


def test_groups_see_their_own_channels_alone():
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    assert count_macs(model([node], [1, 4, 5, 5], {"w": (4, 1, 3, 3)}), {}) == 3 * 3 * 4 * 9


def test_a_transposed_convolution_goes_by_its_input():
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    assert count_macs(model([node], [1, 3, 4, 4], {"w": (3, 5, 2, 2)}), {}) == 4 * 4 * 3 * 5 * 4


def test_products():
    matmul = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert count_macs(model([matmul], [7, 3, 4], {"w": (4, 6)}), {}) == 7 * 3 * 6 * 4
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)
    assert count_macs(model([gemm], [4, 3], {"w": (4, 6)}), {}) == 3 * 6 * 4


def test_what_is_no_sum_of_products_is_free():
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "x"], ["y"])]
    assert count_macs(model(nodes, [1, 3, 4, 4], {}), {}) == 0


def test_an_unknown_shape_is_an_error_and_no_zero():
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    with pytest.raises(ValueError, match="not known"):
        count_macs(model([node], ["batch", 2, "height", 8], {"w": (4, 2, 3, 3)}), {"batch": 1})


def test_modules_count_as_their_graph_does():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2, 2), nn.Flatten(), nn.Linear(2 * 64, 5)
    )
    wanted = 16 * 4 * 27 + 16 * 4 * 2 * 4 + 128 * 5
    assert count_flops(network, torch.zeros(1, 3, 4, 4)) == 2 * wanted
    assert all(not module._forward_hooks for module in network.modules())


def sizes(batch: int, height: int, width: int) -> dict[str, int]:
    return {"batch": batch, "height": height, "width": width}
