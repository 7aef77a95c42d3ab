"""A part of an ONNX file: what onnx itself says is needed, the rest gone, and nothing made anew."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.errors import PackageInvalidError
from models.runtimes.onnx_part import input_names, keep_outputs, output_names


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def weight(name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(2, np.float32), name)


def model_of(nodes: list[onnx.NodeProto], outputs: list[str], **parts: list) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "made", parts.pop("inputs", [value("x")]), [value(o) for o in outputs], **parts)
    return helper.make_model(graph, producer_name="test", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def kept(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    return onnx.load_from_string(keep_outputs(model.SerializeToString(), names))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans()), min_size=1, max_size=14), st.data())
def test_what_is_kept_is_what_leads_to_an_output(links, data) -> None:
    """A graph of random links: what is needed, found by going back from the output name by name."""
    nodes, weights = [], []
    for index, (first, second, has_weight) in enumerate(links):
        before = ["x", *(f"v{i}" for i in range(index))]
        inputs = [before[first % len(before)], before[second % len(before)]]
        if has_weight:
            weights.append(weight(f"w{index}"))
            inputs[1] = f"w{index}"
        nodes.append(helper.make_node("Add", inputs, [f"v{index}"], name=f"n{index}"))
    names = [f"v{i}" for i in range(len(links))]
    wanted = data.draw(st.sets(st.sampled_from(names), min_size=1))
    model = model_of(nodes, names, initializer=weights, value_info=[value(name) for name in names])
    by_name, needed, left = {node.output[0]: node for node in nodes}, set(), list(wanted)
    while left:
        if (name := left.pop()) not in needed:
            needed.add(name)
            left += by_name[name].input if name in by_name else []
    found = kept(model, *wanted)
    onnx.checker.check_model(found)
    assert list(found.graph.node) == [node for node in nodes if node.output[0] in needed]
    assert [item.name for item in found.graph.initializer] == [w.name for w in weights if w.name in needed]
    assert [item.name for item in found.graph.output] == [name for name in names if name in wanted]
    assert [item.name for item in found.graph.input] == ["x"]
    assert (found.producer_name, found.opset_import) == (model.producer_name, model.opset_import)


def test_all_of_them_is_the_file_as_it_is() -> None:
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], ["y"], initializer=[weight("w")])
    data = model.SerializeToString()
    assert output_names(data) == ["y"]
    assert keep_outputs(data, ["y"]) == data


def test_what_a_branch_reads_from_around_it_is_needed() -> None:
    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], name, [], [value(f"{name}-out")])

    nodes = [
        helper.make_node("Neg", ["x"], ["outer"]),
        helper.make_node("Abs", ["x"], ["spare"]),
        helper.make_node(
            "If",
            ["condition"],
            ["y"],
            then_branch=branch("then", helper.make_node("Add", ["outer", "w"], ["then-out"])),
            else_branch=branch("else", helper.make_node("Identity", ["x"], ["else-out"])),
        ),
    ]
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    parts = {"initializer": [weight("w"), weight("unused")], "inputs": [value("x"), condition]}
    found = kept(model_of(nodes, ["spare", "y"], **parts), "y")
    onnx.checker.check_model(found)
    assert [node.op_type for node in found.graph.node] == ["Neg", "If"]
    assert [item.name for item in found.graph.initializer] == ["w"]


def test_weights_that_are_inputs_too_stay_as_inputs_do() -> None:
    nodes = [helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    model = model_of(nodes, ["y", "z"], inputs=[value("x"), value("w")], initializer=[weight("w")])
    assert input_names(model.SerializeToString()) == ["x"]
    found = kept(model, "z")
    assert [item.name for item in found.graph.input] == ["x", "w"]
    assert [item.name for item in found.graph.initializer] == ["w"]


def test_optional_inputs_that_are_left_away_need_nothing() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], [""]),
        helper.make_node("Clip", ["x", "", "high"], ["y"]),
    ]
    found = kept(model_of(nodes, ["y"], initializer=[weight("high")]), "y")
    assert [node.op_type for node in found.graph.node] == ["Clip"]


def test_an_output_it_does_not_have_is_refused() -> None:
    data = model_of([helper.make_node("Neg", ["x"], ["y"])], ["y"]).SerializeToString()
    with pytest.raises(PackageInvalidError, match="no output z"):
        keep_outputs(data, ["y", "z"])


@pytest.mark.parametrize(
    "data", [b"", b"not a network", b"\x3a\x7f", b"\xff" * 12, b"\x3b", b"\x3a\x04\x62\x02\xff\xff"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PackageInvalidError, match=r"no ONNX|no whole ONNX|no output"):
        keep_outputs(data, ["y"])


@settings(max_examples=200)
@given(st.binary(max_size=40), st.integers(0, 200))
def test_a_torn_or_altered_file_is_refused_or_read(noise: bytes, at: int) -> None:
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], ["y"], initializer=[weight("w")])
    data = model.SerializeToString()
    at = min(at, len(data))
    try:
        keep_outputs(data[:at] + noise, ["y"])
    except PackageInvalidError as error:
        assert error.detail
