"""ONNX networks on OpenVINO (CPU), used directly: ONNX Runtime's own OpenVINO provider is stale."""

import sys
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.runtimes.network import Runner


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


def load_openvino(data: bytes, shapes: list[tuple[int, ...]], threads: int | None) -> Runner:
    """A function that runs the network with its inputs fixed to `shapes`, in float32, on the CPU.

    Raises
    ------
    ProviderUnavailableError
        OpenVINO is not installed.
    PackageInvalidError
        The file is no network this runtime takes.
    """
    openvino = import_openvino()
    core = openvino.Core()
    try:
        model = core.read_model(data)
        model.reshape({item: list(shape) for item, shape in zip(model.inputs, shapes, strict=True)})
    except (RuntimeError, ValueError) as error:
        raise PackageInvalidError("OpenVINO does not take the network, or not with its manifest's inputs.") from error
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = core.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()

    def run(inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        results = request.infer(dict(enumerate(inputs)))
        return [np.array(results[output]) for output in compiled.outputs]

    return run
