"""Statistics as constants of a network: what it answers, and when it is loaded anew."""

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, load_from_string

from models.errors import PackageInvalidError
from models.runtimes.network import Input, Runner
from models.runtimes.onnx_fixed import FixedStatistics, fix_input
from models.runtimes.onnx_runtime import load_onnx

IMAGE = Input((1, 2, 3, 3), "float32")


def network() -> bytes:
    """y = x times the first statistic plus the second."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, list(IMAGE.shape)) for n in "xy")
    statistics = helper.make_tensor_value_info("statistics", TensorProto.FLOAT, [2])
    nodes = [
        helper.make_node("Split", ["statistics"], ["scale", "shift"], axis=0, num_outputs=2),
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["y"]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [x, statistics], [y]), ir_version=10)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 20))
    data: bytes = model.SerializeToString()
    return data


def statistics(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_a_fixed_input_is_a_weight_and_no_input() -> None:
    graph = load_from_string(fix_input(network(), "statistics", statistics(2, 0.5))).graph
    assert [item.name for item in graph.input] == ["x"]
    (weight,) = graph.initializer
    assert (weight.name, list(weight.dims), weight.data_type) == ("statistics", [2], TensorProto.FLOAT)
    assert np.frombuffer(weight.raw_data, "<f4").tolist() == [2, 0.5]


def test_the_network_answers_with_them() -> None:
    run = load_onnx(fix_input(network(), "statistics", statistics(2, 0.5)), "onnxruntime-cpu", [IMAGE], ["y"], 1)
    (answer,) = run([np.full(IMAGE.shape, 3, np.float32)])
    assert (answer == 6.5).all()


@pytest.mark.parametrize(("data", "name"), [(network(), "y"), (b"", "statistics"), (b"no network", "statistics")])
def test_what_has_no_such_input_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(PackageInvalidError):
        fix_input(data, name, statistics(1))


def test_it_is_loaded_again_for_other_statistics_alone() -> None:
    loads: list[list[float]] = []

    def load(values: NDArray[np.float32]) -> Runner:
        loads.append(values.tolist())
        return lambda inputs: [inputs[0] * values[0]]

    run, image = FixedStatistics(load), np.ones(2, np.float32)
    answers = [run([image, statistics(v)])[0][0] for v in (2, 2, 3, 3, 2)]
    assert answers == [2, 2, 3, 3, 2]
    assert loads == [[2], [3], [2]]


def test_a_load_that_fails_leaves_nothing_behind() -> None:
    def load(values: NDArray[np.float32]) -> Runner:
        if values[0] == 0:
            raise PackageInvalidError("It does not load.")
        return lambda inputs: inputs

    run, image = FixedStatistics(load), np.ones(2, np.float32)
    run([image, statistics(1)])
    with pytest.raises(PackageInvalidError):
        run([image, statistics(0)])
    assert run([image, statistics(1)])[0] is image
