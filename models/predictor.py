"""What a network is to the engine: batches of fixed shape in, named maps out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest

Batch = NDArray[np.uint8]
"""RGB tiles, (N, H, W, 3), exactly the predictor's batch shape."""
Maps = dict[str, NDArray[np.float32]]
"""Raw network outputs (logits or tanh range) by output name, (N, C, h, w): of those the network was loaded for."""
Statistics = NDArray[np.float32]
"""Frozen normalisation statistics of one slide, a flat vector whose layout is the network's own."""


class Predictor(Protocol):
    """A network loaded on a provider, proven against its golden tile."""

    @property
    def manifest(self) -> Manifest:
        """The package this network came from."""
        ...

    @property
    def provider(self) -> str:
        """The provider that really runs it, e.g. `onnxruntime-cpu`, `openvino-cpu`, `onnxruntime-cuda`."""
        ...

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3): the one shape `predict` takes."""
        ...

    def predict(self, batch: Batch, statistics: Statistics | None = None) -> Maps:
        """Raw outputs of the network for a batch; pre-processing is done inside, post-processing is not.

        `statistics` is needed exactly when the manifest declares frozen statistics. Raises ValueError for another
        shape, and PackageInvalidError where the network's outputs are not the manifest's.
        """
        ...

    def calibrate(self, tiles: Batch) -> Statistics:
        """Normalisation statistics over a sample of tiles of one slide, (N, H, W, 3), in one consistent pass.

        Only for packages whose manifest declares frozen statistics.
        """
        ...

    def close(self) -> None:
        """Release the network's memory."""
        ...
