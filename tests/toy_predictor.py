"""A predictor whose answers are arithmetic one can do by hand: local sums of a channel, at any stride."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from models.manifest import ClassSpec, FileSpec, GridSpec, InputSpec, Manifest, OutputSpec
from models.predictor import Batch, Maps, Statistics


def toy_manifest(
    tile_px: int = 32, halo_px: int = 8, stride_px: int = 1, kind: str = "image", inset_px: int = 0, mpp: float = 0.5
) -> Manifest:
    """The manifest of a network that answers with one output of the wanted kind."""
    classes = (
        ClassSpec(name="dark", colour=(200, 0, 0)),
        ClassSpec(name="bright", colour=(0, 0, 200), background=True),
    )
    channels = {"image": 3, "heat": 1, "classes": 2}[kind]
    return Manifest(
        name="toy",
        version="1.0.0",
        title="A toy",
        task="image-to-image" if kind == "image" else "semantic-segmentation",
        stain="any",
        runtime="onnx",
        grid=GridSpec(
            mpp=mpp,
            mpp_min=mpp / 2,
            mpp_max=mpp * 2,
            tile_px=tile_px,
            halo_px=halo_px,
            align_px=max(stride_px, 4),
            batch=2,
        ),
        input=InputSpec(layout="NHWC", dtype="uint8", scale=1),
        outputs=(
            OutputSpec(
                name="out",
                kind=kind,
                activation={"image": "tanh", "heat": "sigmoid", "classes": "softmax"}[kind],
                channels=channels,
                stride_px=stride_px,
                inset_px=inset_px,
                classes=classes if kind == "classes" else (),
            ),
        ),
        files=(FileSpec(path="none.onnx", role="network", sha256="0" * 64, size_bytes=0),),
        licence="none",
        training_data=("none: arithmetic",),
        intended_use="tests",
    )


@dataclass
class ToyPredictor:
    """Means of a (2 * radius + 1)^2 neighbourhood, taken every `stride_px` px, in -1..1."""

    manifest: Manifest
    radius: int = 3
    batch: int = 2
    provider: str = "arithmetic"
    calls: int = 0

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        side = self.manifest.grid.tile_px + 2 * self.manifest.grid.halo_px
        return self.batch, side, side, 3

    def predict(self, batch: Batch, statistics: Statistics | None = None) -> Maps:
        if batch.shape != self.batch_shape:
            raise ValueError(f"{batch.shape} is not {self.batch_shape}")
        self.calls += 1
        return {"out": np.stack([self.answer(tile) for tile in batch])}

    def answer(self, rgb: np.ndarray) -> np.ndarray:
        """What the network says of an image of any size, (C, h, w)."""
        output = self.manifest.outputs[0]
        inset, stride = output.inset_px, output.stride_px
        side = 2 * self.radius + 1
        values = rgb.astype(np.float64).transpose(2, 0, 1)
        # Integers summed in doubles: exact, so that no order of summation can show.
        means = np.stack([np.rint(uniform_filter(plane, side, mode="constant") * side**2) for plane in values])
        means = means[:, inset : means.shape[1] - inset : stride, inset : means.shape[2] - inset : stride]
        scaled = (means / (side**2 * 127.5) - 1).astype(np.float32)
        if output.kind == "image":
            return scaled
        if output.kind == "heat":
            return scaled[:1]
        return np.stack([-scaled[0], scaled[0]])

    def calibrate(self, tiles: Batch) -> Statistics:
        return tiles.mean(axis=(0, 1, 2)).astype(np.float32)

    def close(self) -> None:
        """Nothing to release."""
