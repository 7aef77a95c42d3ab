"""From an image to nuclei, the same way the engine does it from the package."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels
from torch import nn

from training.nuclei.config import GridConfig
from training.nuclei.network import STRIDE_PX
from training.nuclei.sources import RGB, Instances
from training.nuclei.targets import NUCLEUS

Logits = NDArray[np.float32]


def predict_logits(net: nn.Module, image: RGB) -> Logits:
    """Logits (3, H, W) of a whole image; beyond its edge lies white, as outside of a slide."""
    height, width = image.shape[:2]
    bottom, right = -height % STRIDE_PX, -width % STRIDE_PX
    padded = np.pad(image, ((0, bottom), (0, right), (0, 0)), constant_values=255)
    pixels = 1 - torch.tensor(padded).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        logits: Logits = net(pixels)[0, :, :height, :width].numpy()
    return logits


def find_nuclei(logits: Logits, mpp: float, grid: GridConfig) -> Instances:
    """Instances (H, W): 4-connected components of the interior, grown back to their rim, those of odd size gone.

    Areas are those of the grown nuclei, in square micrometres.
    """
    interior = logits.argmax(0) == NUCLEUS
    numbers = expand_labels(ndimage.label(interior)[0], grid.grow_px)
    areas_um2 = np.bincount(numbers.ravel()) * mpp**2
    kept = (areas_um2 >= grid.min_area_um2) & (areas_um2 <= grid.max_area_um2)
    kept[0] = False
    renumbered = np.cumsum(kept) * kept
    instances: Instances = renumbered[numbers].astype(np.int32)
    return instances
