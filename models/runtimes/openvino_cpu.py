"""ONNX networks on OpenVINO (CPU), used directly: ONNX Runtime's own OpenVINO provider is stale."""

import os

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.runtimes.network import Runner


def load_openvino(data: bytes, shapes: list[tuple[int, ...]], threads: int | None) -> Runner:
    """A function that runs the network with its inputs fixed to `shapes`, in float32, on the CPU.

    Raises
    ------
    ProviderUnavailableError
        OpenVINO is not installed.
    PackageInvalidError
        The file is no network this runtime takes.
    """
    os.environ["OPENVINO_TELEMETRY_DISABLE"] = "1"
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ProviderUnavailableError(
            "openvino-cpu was asked for, but openvino is not installed.", "Install histoserve[worker-cpu]."
        ) from error
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
