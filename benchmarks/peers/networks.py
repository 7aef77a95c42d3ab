"""The networks both sides run: DeepLIIF's nine with random weights, the nuclei network, a classifier."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from models.importers.deepliif.package import Request, import_deepliif
from models.importers.wsinfer import import_wsinfer, read_config, synthetic_patch
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from models.registry import Package, resolve
from tests.published_made import PUBLISHED_OPTIONS, Look, model_folder, resnet, unet
from training.nuclei.network import NucleiNet
from training.quantise import package as quantised

SCALE_PX = 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH_PX, RESIZED_PX, PATCH_MPP = 350, 224, 0.25
"""Those of the zoo's breast tumour ResNet-34."""
DEPTHS, WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)


def deepliif_folder(folder: Path, width: int) -> Path:
    """A DeepLIIF model folder in the published layout, nine TorchScript networks of random weights, made once."""
    if not folder.exists():
        nets: dict[str, nn.Module] = {f"G{i}": resnet(Look(width=width)) for i in range(1, 5)}
        nets |= {f"G5{i}": unet(9, width) for i in range(1, 6)}
        part = folder.with_name(folder.name + ".part")
        # Its options reader wants the graphics cards it was trained with.
        model_folder(part, nets, PUBLISHED_OPTIONS.replace("batch_size: 1", "batch_size: 1\ngpu_ids: 0"), SCALE_PX)
        part.rename(folder)
    return folder


def deepliif_package(source: Path, models: Path, name: str, only: tuple[str, ...] = ()) -> Path:
    """Our package of that folder, `compat`, with the outputs named; made once."""
    folder = models / name / "1.0.0"
    if not folder.exists():
        import_deepliif(source, models, Request(name, only=only))
    return folder


def in_bf16(package: Path, slide: Path, models: Path, tiles: int) -> Path:
    """The package in bfloat16, its cost measured on tiles of a phantom; made once."""
    found = resolve(str(package))
    folder = models / f"{found.manifest.name}-bf16" / "1.0.0"
    if not folder.exists():
        request = quantised.Request(
            package=found,
            version="1.0.0",
            zoo=models,
            calibration=(),
            held_out=(slide,),
            data="a phantom",
            synthetic=True,
            mpp=None,
            tiles=tiles,
            to="bf16",
        )
        quantised.quantise_package(request)
    return folder


def declared_cost(package: Path) -> list[dict[str, Any]]:
    """What a package in other numbers says that they cost."""
    metrics: list[dict[str, Any]] = json.loads((package / "model.json").read_text())["metrics"]
    return metrics


def nuclei_package(models: Path) -> Path:
    """The nuclei package without its measures: a class map and nothing else, as a segmentor gives it."""
    found = resolve("nuclei")
    folder = models / "nuclei-map" / "1.0.0"
    if not folder.exists():
        fields = found.manifest.model_dump(mode="json", exclude={"files", "measures", "analysis", "name", "version"})
        fields |= {"name": "nuclei-map", "version": "1.0.0"}
        files = {"network.onnx": ("network", _network_file(found).read_bytes()), "card.md": ("card", b"# Benchmark\n")}
        write_package(folder, fields, files, GoldenTile(np.load(found.folder / "golden-input.npy")))  # type: ignore[arg-type]
    return folder


def nuclei_script(path: Path, side_px: int) -> Path:
    """The same network as TorchScript, float32 0..255 (N, 3, H, W) to logits, with the weights of our ONNX file."""
    if not path.exists():
        net = _Absorbance(folded_nuclei(_network_file(resolve("nuclei"))))
        _script(net, side_px, path)
    return path


def folded_nuclei(network: Path) -> nn.Module:
    """`NucleiNet` with batch norms folded away, filled from an ONNX file by the names its exporter keeps."""
    arrays = {item.name: numpy_helper.to_array(item) for item in onnx.load(network).graph.initializer}
    widths = [arrays[f"net.encoder.{level}.0.weight"].shape[0] for level in range(4)]
    net = _without_norms(NucleiNet(widths)).eval().requires_grad_(False)
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            weight = f"net.{name}.weight"
            bias = arrays.get(f"{weight}_bias", arrays.get(f"net.{name}.bias"))
            module.weight.data.copy_(torch.from_numpy(arrays[weight].copy()))
            module.bias = nn.Parameter(torch.from_numpy(np.array(bias)), requires_grad=False)
    return net


def zoo_folder(folder: Path) -> Path:
    """A WSInfer-zoo folder: a ResNet-34 of random weights for two classes, made once."""
    if not folder.exists():
        folder.mkdir(parents=True)
        _script(classifier(), RESIZED_PX, folder / "torchscript_model.pt")
        (folder / "config.json").write_text(json.dumps(_zoo_config(), indent=2))
    return folder


def zoo_packages(source: Path, models: Path) -> dict[str, Path]:
    """The zoo's TorchScript as our importer takes it, and the same weights as ONNX."""
    script, graph = models / "zoo-script" / "1.0.0", models / "zoo-onnx" / "1.0.0"
    if not script.exists():
        import_wsinfer(source, models, "zoo-script", "1.0.0")
    if not graph.exists():
        _write_onnx(source, graph, resolve(str(script)))
    return {"torchscript": script, "onnx": graph}


def classifier() -> nn.Module:
    """A ResNet-34 of torch's plain layers, weights drawn from a fixed seed: float32 (N, 3, H, W) to two logits."""
    torch.manual_seed(34)
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    start = 64
    for stage, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True)):
        for index in range(depth):
            layers.append(_Residual(start, width, 2 if stage and not index else 1))
            start = width
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))
    return net.eval().requires_grad_(False)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a straight way."""

    def __init__(self, start: int, width: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(start, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        same = stride == 1 and start == width
        straight = nn.Sequential(nn.Conv2d(start, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.straight = nn.Identity() if same else straight

    def forward(self, x: Tensor) -> Tensor:
        """The sum, rectified."""
        return torch.relu(self.way(x) + self.straight(x))


class _Absorbance(nn.Module):
    """Bytes as float32 to what the nuclei network takes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.net(1 - image / 255)
        return logits


def _script(net: nn.Module, side_px: int, path: Path) -> None:
    with warnings.catch_warnings(), torch.inference_mode():
        # torch.jit is deprecated; the peers still take nothing else.
        warnings.simplefilter("ignore")
        torch.jit.trace(net, torch.zeros(1, 3, side_px, side_px), check_trace=False).save(str(path))


def _without_norms(net: nn.Module) -> nn.Module:
    for module in net.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return net


def _network_file(package: Package) -> Path:
    return package.folder / next(file.path for file in package.manifest.files if file.role == "network")


def _zoo_config() -> dict[str, Any]:
    return {
        "spec_version": "1.0",
        "architecture": "resnet34",
        "num_classes": 2,
        "class_names": ["Other", "Tumor"],
        "name": "benchmark",
        "patch_size_pixels": PATCH_PX,
        "spacing_um_px": PATCH_MPP,
        "transform": [
            {"name": "Resize", "arguments": {"size": RESIZED_PX}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
        ],
    }


def _write_onnx(source: Path, folder: Path, script: Package) -> None:
    """The classifier as ONNX, every other field as the importer set it."""
    config = read_config(source / "config.json")
    fields = script.manifest.model_dump(mode="json", exclude={"files", "name", "runtime"})
    fields |= {"name": "zoo-onnx", "runtime": "onnx"}
    network = export_onnx(classifier(), [torch.rand(2, 3, RESIZED_PX, RESIZED_PX)], ["tiles"])
    golden: NDArray[np.uint8] = synthetic_patch(config.patch_size_pixels)
    write_package(folder, fields, {"network.onnx": ("network", network)}, GoldenTile(golden))
