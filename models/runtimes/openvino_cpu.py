"""ONNX networks on OpenVINO (CPU), used directly: ONNX Runtime's own OpenVINO provider is stale."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InternalError, PackageInvalidError, ProviderUnavailableError
from models.manifest import Precision
from models.runtimes.bfloat16 import compile_bfloat16
from models.runtimes.network import Input, Runner, order_outputs
from models.runtimes.onnx_part import input_names

TYPES = {"float32": "f32", "uint8": "u8"}


def import_openvino() -> ModuleType:
    """The openvino module, imported so that its telemetry cannot be.

    On import it writes a client id to `~/intel` and no setting keeps it from that; without the package
    `openvino_telemetry` it uses its own stub. A None in `sys.modules` is Python's way to say that a module is absent.

    Raises
    ------
    ProviderUnavailableError
        OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ProviderUnavailableError(
            "openvino-cpu was asked for, but openvino is not installed.", "Install histoserve[worker-cpu]."
        ) from error
    module: ModuleType = openvino
    return module


def load_openvino(
    data: bytes, inputs: list[Input], outputs: list[str], threads: int | None, precision: Precision = "float32"
) -> Runner:
    """A function that runs the network with its inputs fixed to those shapes, in that precision, on the CPU.

    Raises
    ------
    ProviderUnavailableError
        OpenVINO is not installed, or does not compute in that precision here.
    PackageInvalidError
        The file is no network this runtime takes, or not one of those inputs and outputs.
    """
    openvino = import_openvino()
    core = openvino.Core()
    try:
        model = core.read_model(data)
        # It leaves out an input that no output needs.
        places = dict(zip(input_names(data), range(len(inputs)), strict=True))
        used = [places[item.get_any_name()] for item in model.inputs]
        model.reshape({item: list(inputs[i].shape) for item, i in zip(model.inputs, used, strict=True)})
    except (RuntimeError, ValueError, KeyError) as error:
        raise PackageInvalidError("OpenVINO does not take the network, or not with its manifest's inputs.") from error
    _check_types(model, [inputs[i] for i in used])
    if precision == "bfloat16":
        compiled = compile_bfloat16(openvino, core, model, _configuration(threads))
    else:
        compiled = core.compile_model(model, "CPU", _configuration(threads))
    request = compiled.create_infer_request()
    order = order_outputs([item.get_any_name() for item in model.outputs], outputs)
    answers = [compiled.outputs[i] for i in order]

    def run(values: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        try:
            results = request.infer(dict(enumerate(values[i] for i in used)))
        except RuntimeError as error:
            raise InternalError("openvino-cpu could not run the network.") from error
        return [np.array(results[output]) for output in answers]

    return run


def _configuration(threads: int | None) -> dict[str, str]:
    """One stream in float32: its default may be bfloat16, which is another network."""
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}
    return config | ({"INFERENCE_NUM_THREADS": str(threads)} if threads else {})


def _check_types(model: Any, inputs: list[Input]) -> None:  # noqa: ANN401
    """Refuse other types: OpenVINO would convert the input without a word, and answer another question."""
    found = [item.get_element_type().get_type_name() for item in model.inputs]
    wanted = [TYPES[item.dtype] for item in inputs]
    if found != wanted:
        raise PackageInvalidError(f"The network takes {', '.join(found)}; its manifest says {', '.join(wanted)}.")
