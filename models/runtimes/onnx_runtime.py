"""ONNX networks on ONNX Runtime (CPU, CUDA) with honest providers and telemetry off."""

import os
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InternalError, PackageInvalidError, ProviderUnavailableError
from models.runtimes.network import Input, Runner, order_outputs

PROVIDERS = {"onnxruntime-cpu": "CPUExecutionProvider", "onnxruntime-cuda": "CUDAExecutionProvider"}
OPTIONS = {
    "CPUExecutionProvider": {},
    # Defaults are TF32, which misses float32 by 1e-3, and algorithms picked by a race: other bits on another day.
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
}
TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module, its telemetry switched off before it is imported (STACK: it writes a device id)."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


def import_quantization() -> ModuleType:
    """onnxruntime's module that puts networks into whole numbers; it needs onnx."""
    import_onnxruntime()
    import onnxruntime.quantization
    import onnxruntime.quantization.shape_inference

    module: ModuleType = onnxruntime.quantization
    return module


def load_onnx(data: bytes, provider: str, inputs: list[Input], outputs: list[str], threads: int | None) -> Runner:
    """A function that runs the network on the provider asked for, and on no other.

    Symbolic dimensions of the image (`batch`, `height`, `width`) are fixed to those of `inputs[0]`: with shapes known
    the runtime plans its memory once.

    Raises
    ------
    ProviderUnavailableError
        The provider is not in this build, or the session does not run on it.
    PackageInvalidError
        The file is no network this runtime takes, or not one of those inputs and outputs.
    """
    ort = import_onnxruntime()
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ProviderUnavailableError(
            f"{provider} was asked for, but this onnxruntime has {', '.join(ort.get_available_providers())}.",
            "Install the extra worker-gpu on a machine with a CUDA GPU, or ask for onnxruntime-cpu.",
        )
    session = _open_session(ort, data, _options(ort, inputs[0], threads), wanted)
    if session.get_providers()[0] != wanted:
        raise ProviderUnavailableError(
            f"{provider} was asked for, but the session runs on {session.get_providers()[0]}.",
            "Check the driver and the CUDA libraries, or ask for onnxruntime-cpu.",
        )
    _check_inputs(session, inputs)
    found = [item.name for item in session.get_outputs()]
    answers = [found[i] for i in order_outputs(found, outputs)]
    names = [item.name for item in session.get_inputs()]
    failures = _failures()

    def run(values: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        try:
            result: list[NDArray[np.float32]] = session.run(answers, dict(zip(names, values, strict=True)))
        except failures as error:
            raise InternalError(f"{provider} could not run the network: {str(error)[:200]}") from error
        return result

    return run


def _options(ort: ModuleType, image: Input, threads: int | None) -> Any:  # noqa: ANN401
    """All graph optimisations are on by default."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.use_deterministic_compute = True
    # Spinning threads would take the cores that the readers and the keeper need between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    height, width = image.shape[1:3] if image.shape[3] == 3 else image.shape[2:]
    for name, size in {"batch": image.shape[0], "height": height, "width": width}.items():
        options.add_free_dimension_override_by_name(name, size)
    return options


def _open_session(ort: ModuleType, data: bytes, options: Any, provider: str) -> Any:  # noqa: ANN401
    try:
        # Without this it prints to stdout and tries again on the CPU.
        return ort.InferenceSession(data, options, providers=[(provider, OPTIONS[provider])], enable_fallback=0)
    except _failures() as error:
        if provider != "CPUExecutionProvider" and type(error).__name__ not in ("InvalidProtobuf", "InvalidGraph"):
            raise ProviderUnavailableError(
                f"{provider} could not be started: {str(error)[:200]}",
                "Check the driver and the CUDA libraries, or ask for onnxruntime-cpu.",
            ) from error
        raise PackageInvalidError(f"ONNX Runtime does not take the network: {str(error)[:200]}") from error


def _check_inputs(session: Any, inputs: list[Input]) -> None:  # noqa: ANN401
    """Refuse a network whose inputs are not the manifest's; a symbolic dimension takes any size."""
    found = [(item.shape, item.type) for item in session.get_inputs()]
    fits = len(found) == len(inputs) and all(
        kind == TYPES[item.dtype]
        and len(shape) == len(item.shape)
        and all(size == want or not isinstance(size, int) for size, want in zip(shape, item.shape, strict=True))
        for (shape, kind), item in zip(found, inputs, strict=True)
    )
    if not fits:
        told = ", ".join(f"{kind[7:-1]} {shape}" for shape, kind in found)
        wanted = ", ".join(f"{item.dtype} {list(item.shape)}" for item in inputs)
        raise PackageInvalidError(f"The network takes {told}; its manifest, with this tile and batch, says {wanted}.")


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: one class per status, without a common one, and two of Python's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception)]
    return (RuntimeError, ValueError, *own)
