"""ONNX networks on ONNX Runtime (CPU, CUDA) with honest providers and telemetry off."""

import os
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.runtimes.network import Runner

PROVIDERS = {"onnxruntime-cpu": "CPUExecutionProvider", "onnxruntime-cuda": "CUDAExecutionProvider"}


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module, its telemetry switched off before it is imported (STACK: it writes a device id)."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


def load_onnx(data: bytes, provider: str, sizes: dict[str, int], threads: int | None) -> Runner:
    """A function that runs the network on the provider asked for, and on no other.

    Parameters
    ----------
    sizes
        What the symbolic dimensions of the network (`batch`, `height`, `width`) are from now on: with shapes known the
        runtime plans its memory once.

    Raises
    ------
    ProviderUnavailableError
        The provider is not in this build, or the session runs on another one.
    PackageInvalidError
        The file is no network this runtime takes.
    """
    ort = import_onnxruntime()
    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise ProviderUnavailableError(
            f"{provider} was asked for, but this onnxruntime has {', '.join(ort.get_available_providers())}.",
            "Install the extra worker-gpu on a machine with a CUDA GPU, or ask for onnxruntime-cpu.",
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.use_deterministic_compute = True
    # Spinning threads would take the cores that the readers and the keeper need between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    session = _open_session(ort, data, options, wanted)
    session.disable_fallback()
    if session.get_providers()[0] != wanted:
        raise ProviderUnavailableError(
            f"{provider} was asked for, but the session runs on {session.get_providers()[0]}.",
            "Check the driver and the CUDA libraries, or ask for onnxruntime-cpu.",
        )
    names = [item.name for item in session.get_inputs()]

    def run(inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    return run


def _open_session(ort: ModuleType, data: bytes, options: Any, provider: str) -> Any:  # noqa: ANN401
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        return ort.InferenceSession(data, options, providers=[provider])
    except (
        state.InvalidProtobuf,
        state.InvalidGraph,
        state.InvalidArgument,
        state.NotImplemented,
        state.Fail,
    ) as error:
        raise PackageInvalidError(f"ONNX Runtime does not take the network: {str(error)[:200]}") from error
