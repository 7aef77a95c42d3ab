"""Networks in bfloat16: what can run them, and the proof that this is what they are computed in."""

from types import ModuleType
from typing import Any, Final

from models.errors import ProviderUnavailableError

BFLOAT16_PROVIDERS: Final = ("openvino-cpu",)
"""ONNX Runtime computes a network in the numbers its file holds, which are float32 here."""
WEIGHTED: Final = ("Convolution", "Deconvolution", "MatMul", "FullyConnected")
"""OpenVINO's names of the layers that take nearly all of the time."""
REMEDY: Final = (
    "Run the package in float32 that it was made of, or use a processor with bfloat16 (avx512_bf16, amx_bf16)."
)


def compile_bfloat16(openvino: ModuleType, core: Any, model: Any, configuration: dict[str, str]) -> Any:  # noqa: ANN401
    """The network compiled for the CPU in bfloat16.

    The precision is a hint: where the processor has none, OpenVINO computes in float32 without a word, or stops at a
    layer. So what is in effect is asked for, and what the layers are in: it leaves the first and last ones as they are.

    Raises
    ------
    ProviderUnavailableError
        The processor, or this OpenVINO on it, does not compute in bfloat16.
    """
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise _unavailable("the processor has no instructions for it")
    try:
        compiled = core.compile_model(model, "CPU", configuration | {"INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError as error:
        raise _unavailable("OpenVINO cannot compile it for this processor") from error
    effect = compiled.get_property("INFERENCE_PRECISION_HINT")
    if effect != openvino.Type.bf16:
        raise _unavailable(f"OpenVINO computes in {effect.get_type_name()} here")
    found = weighted_precisions(compiled)
    if "bf16" not in found:
        raise _unavailable(f"OpenVINO computes its layers in {', '.join(sorted(found)) or 'other numbers'} here")
    return compiled


def weighted_precisions(compiled: Any) -> dict[str, int]:  # noqa: ANN401
    """How many weighted layers of a compiled network are computed in which numbers, by OpenVINO's names ("bf16")."""
    counts: dict[str, int] = {}
    for layer in compiled.get_runtime_model().get_ops():
        told = layer.get_rt_info()
        if told["layerType"].astype(str) in WEIGHTED:
            precision = told["runtimePrecision"].astype(str)
            counts[precision] = counts.get(precision, 0) + 1
    return counts


def _unavailable(reason: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        f"The package is in bfloat16, which openvino-cpu does not run here: {reason}.", REMEDY
    )
