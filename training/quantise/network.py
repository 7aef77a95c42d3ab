"""An ONNX network whose convolutions are computed in whole numbers of 8 bits."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.runtimes.onnx_runtime import import_quantization

if TYPE_CHECKING:
    import onnx

Feed = dict[str, NDArray[np.generic]]
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
CARRIED = ("MaxPool", "Resize", "Concat", "Add", "Relu", "LeakyRelu")
"""What lies between convolutions is done in 8 bits as well, so that nothing is turned to floats and back."""


def quantise_network(network: bytes, feeds: Iterable[Feed]) -> bytes:
    """The network with weights and activations as int8 (QDQ nodes), their ranges taken from what `feeds` make of it.

    Weights have a scale for each channel; activations one for each tensor, from the lowest to the highest value seen.
    The last weighted layers before the outputs stay as they are: their numbers are compared with thresholds.

    References
    ----------
    Jacob et al. 2018, doi:10.1109/CVPR.2018.00286.
    """
    import onnx

    tool = import_quantization()
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, written = (Path(folder) / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
        whole.write_bytes(network)
        tool.shape_inference.quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        tool.quantize_static(
            prepared,
            written,
            _reader(feeds),
            quant_format=tool.QuantFormat.QDQ,
            op_types_to_quantize=[*WEIGHTED, *CARRIED],
            per_channel=True,
            activation_type=tool.QuantType.QInt8,
            weight_type=tool.QuantType.QInt8,
            nodes_to_exclude=last_layers(onnx.load(prepared)),
            calibrate_method=tool.CalibrationMethod.MinMax,
        )
        return written.read_bytes()


def last_layers(model: "onnx.ModelProto") -> list[str]:
    """Names of the weighted layers behind which no other one lies before an output."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found, open_names = set(), [output.name for output in model.graph.output]
    while open_names:
        node = makers.get(open_names.pop())
        if node is None:
            continue
        if node.op_type in WEIGHTED:
            found.add(node.name)
        else:
            open_names.extend(node.input)
    return sorted(found)


def input_names(network: bytes) -> Sequence[str]:
    """What the network takes, in order."""
    import onnx

    graph = onnx.load_from_string(network).graph
    weights = {item.name for item in graph.initializer}
    return [item.name for item in graph.input if item.name not in weights]


def _reader(feeds: Iterable[Feed]) -> Any:  # noqa: ANN401
    """The feeds as ONNX Runtime asks for them: one by one, then None."""

    class Reader(import_quantization().CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, feeds: Iterator[Feed]) -> None:
            self._feeds = feeds

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    return Reader(iter(feeds))
