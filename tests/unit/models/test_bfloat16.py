"""bfloat16 is proven before it is believed: what OpenVINO may say, and what is made of it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from models.errors import ProviderUnavailableError
from models.manifest import Manifest
from models.runtimes import possible_providers
from models.runtimes.bfloat16 import compile_bfloat16, weighted_precisions
from tests.toy_predictor import toy_manifest

BF16 = SimpleNamespace(get_type_name=lambda: "bf16")
F32 = SimpleNamespace(get_type_name=lambda: "f32")
OPENVINO = SimpleNamespace(Type=SimpleNamespace(bf16=BF16))


def layer(kind, precision):
    told = {"layerType": kind, "runtimePrecision": precision}
    return SimpleNamespace(
        get_rt_info=lambda: {name: SimpleNamespace(astype=lambda _, text=text: text) for name, text in told.items()}
    )


@dataclass
class Core:
    """OpenVINO as it is on some processor."""

    capabilities: list[str] = field(default_factory=lambda: ["FP32", "BF16"])
    effect: object = field(default_factory=lambda: BF16)
    layers: list[tuple[str, str]] = field(default_factory=lambda: [("Convolution", "bf16"), ("Convolution", "f32")])
    asked: dict[str, str] = field(default_factory=dict)
    stops: bool = False

    def get_property(self, *_):
        return self.capabilities

    def compile_model(self, _model, _device, configuration):
        if self.stops:
            raise RuntimeError("could not create a primitive")
        self.asked |= configuration
        model = SimpleNamespace(get_ops=lambda: [layer(*told) for told in self.layers])
        return SimpleNamespace(get_property=lambda _: self.effect, get_runtime_model=lambda: model)


def test_it_is_asked_for_and_other_settings_stay():
    core = Core()
    compile_bfloat16(OPENVINO, core, None, {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"})
    assert core.asked == {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": "1"}


@pytest.mark.parametrize(
    ("core", "reason"),
    [
        (Core(capabilities=["FP32", "INT8"]), "no instructions"),
        (Core(stops=True), "cannot compile"),
        (Core(effect=F32), "computes in f32"),
        (Core(layers=[("Convolution", "f32"), ("Reorder", "bf16")]), "layers in f32"),
        (Core(layers=[("Pooling", "bf16")]), "layers in other numbers"),
    ],
)
def test_float32_is_never_taken_for_it(core, reason):
    with pytest.raises(ProviderUnavailableError, match=reason) as caught:
        compile_bfloat16(OPENVINO, core, None, {})
    assert "float32" in caught.value.remedy


def test_layers_with_weights_are_counted_by_their_numbers():
    core = Core(layers=[("Convolution", "bf16"), ("Deconvolution", "f32"), ("MatMul", "bf16"), ("Split", "bf16")])
    assert weighted_precisions(core.compile_model(None, "CPU", {})) == {"bf16": 2, "f32": 1}


def test_a_package_in_bfloat16_has_one_provider_and_is_onnx():
    fields = toy_manifest().model_dump(mode="json") | {"runtime": "onnx"}
    assert possible_providers(Manifest.model_validate(fields))[0] == "onnxruntime-cpu"
    assert possible_providers(Manifest.model_validate(fields | {"precision": "bfloat16"})) == ("openvino-cpu",)
    for wrong in ({"precision": "bfloat16", "runtime": "torchscript"}, {"precision": "float16"}):
        with pytest.raises(ValueError, match=r"bfloat16"):
            Manifest.model_validate(fields | wrong)
