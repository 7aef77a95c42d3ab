"""From a torch module to an ONNX file that every runtime here takes."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    import onnx

OPSET = 20
IR_VERSION = 10
"""What ONNX Runtime and OpenVINO of the pinned versions take for certain; onnx's own defaults are newer."""


def export_onnx(
    module: nn.Module,
    examples: Sequence[torch.Tensor],
    outputs: Sequence[str],
    *,
    spatial_axes: tuple[int, int] = (2, 3),
    dynamic_size: bool = True,
) -> bytes:
    """The module as one ONNX file: `batch` and, where wanted, `height` and `width` stay symbolic.

    Parameters
    ----------
    examples
        Inputs in order; the first is the image, of which `spatial_axes` are height and width. Its batch must be 2 or
        more and its sides different, or the exporter takes them for constants.
    """
    # Not at the top: the networks of `models.nets` can be run where nothing but torch is.
    import onnx

    image: dict[int, object] = {0: torch.export.Dim("batch", min=1, max=4096)}
    if dynamic_size:
        image |= {
            spatial_axes[0]: torch.export.Dim.DYNAMIC,
            spatial_axes[1]: torch.export.Dim.DYNAMIC,
        }
    shapes = (image, *({} for _ in examples[1:]))
    with warnings.catch_warnings():
        # The exporter itself uses what torch and copyreg deprecate.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            tuple(examples),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=shapes,
            output_names=list(outputs),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter gave no program")
    model = program.model_proto
    model.ir_version = IR_VERSION
    _name_dimensions(model, spatial_axes, dynamic_size)
    _forget_history(model)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _name_dimensions(model: "onnx.ModelProto", spatial_axes: tuple[int, int], dynamic_size: bool) -> None:
    """Give the image's symbolic dimensions the names the runtimes fix them by."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    names = {0: "batch"} | ({spatial_axes[0]: "height", spatial_axes[1]: "width"} if dynamic_size else {})
    renamed = {dimensions[axis].dim_param: name for axis, name in names.items() if dimensions[axis].dim_param}
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in renamed:
                dimension.dim_param = renamed[dimension.dim_param]
    del model.graph.value_info[:]


def _forget_history(model: "onnx.ModelProto") -> None:
    """Drop stack traces and paths the exporter leaves in the file: bytes depend on the network alone."""
    model.producer_version = ""
    del model.metadata_props[:]
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
