"""TIAToolbox's semantic segmentor on one slide with a TorchScript network, started in TIAToolbox's environment."""

import argparse
from pathlib import Path
from typing import Any

import torch
from absent import declare_torchvision_operators

BATCH = 4


def main() -> None:
    """Write the class map of the slide as Zarr below `out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("network", type=Path, help="TorchScript: float32 0..255 (N, 3, H, W) to logits")
    parser.add_argument("out", type=Path)
    parser.add_argument("--mpp", type=float, default=0.5)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--halo", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    declare_torchvision_operators()
    _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    from tiatoolbox.models.engine.io_config import IOSegmentorConfig
    from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor

    resolution = {"units": "mpp", "resolution": arguments.mpp}
    read_px = arguments.tile + 2 * arguments.halo
    config = IOSegmentorConfig(
        input_resolutions=[resolution],
        output_resolutions=[resolution],
        save_resolution=resolution,
        patch_input_shape=(read_px, read_px),
        patch_output_shape=(arguments.tile, arguments.tile),
        stride_shape=(arguments.tile, arguments.tile),
    )
    segmentor = SemanticSegmentor(_model(arguments.network, arguments.halo), batch_size=BATCH, verbose=False)
    segmentor.run(
        [arguments.slide],
        patch_mode=False,
        ioconfig=config,
        auto_get_mask=False,
        save_dir=arguments.out,
        output_type="zarr",
        overwrite=True,
    )


def _model(path: Path, halo_px: int) -> Any:
    """The network behind TIAToolbox's own interface of models."""
    from tiatoolbox.models.models_abc import ModelABC

    class Scripted(ModelABC):
        """Probabilities of the middle of each patch, (N, H, W, classes), and the class map of them all."""

        def __init__(self) -> None:
            super().__init__()
            self.net = torch.jit.load(str(path)).eval()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.net(image)
            return logits

        @staticmethod
        def infer_batch(model: torch.nn.Module, batch_data: torch.Tensor, *, device: str) -> Any:
            with torch.inference_mode():
                image = batch_data.to(device=device, dtype=torch.float32).permute(0, 3, 1, 2).contiguous()
                inside = model(image)[..., halo_px:-halo_px, halo_px:-halo_px]
                return torch.softmax(inside, 1).permute(0, 2, 3, 1).cpu().numpy()

        @staticmethod
        def postproc(image: Any) -> Any:
            return image.argmax(axis=-1)

    return Scripted()


if __name__ == "__main__":
    main()
