"""The class map of a whole slide, made as the engine makes it: tiles with a halo that is dropped."""

import numpy as np
import torch
from numpy.typing import NDArray

from training.ki67.config import PackageConfig
from training.nets.dense import Ki67Bytes
from training.nets.resnet18 import STRIDE_PX, Ki67Net
from workers.geometry import Box
from workers.slides.slide import Slide, frame_mpp, frame_size

Classes = NDArray[np.uint8]
Floats = NDArray[np.float64]


def class_map(net: Ki67Net, slide: Slide, mpp: float, package: PackageConfig) -> tuple[Classes, float]:
    """The class (rows, columns) of each cell of the grid over a slide, and the side of a cell in level-0 px."""
    whole = Ki67Bytes(net, package.stride_px).eval()
    used_mpp = frame_mpp(slide.info, mpp)
    width_px, height_px = frame_size(slide.info, used_mpp)
    stride, halo = package.stride_px, package.halo_px
    found = np.zeros(
        (-(-height_px // STRIDE_PX) * STRIDE_PX // stride, -(-width_px // STRIDE_PX) * STRIDE_PX // stride)
    )
    for y in range(0, height_px, package.tile_px):
        for x in range(0, width_px, package.tile_px):
            width, height = (
                min(package.tile_px, -(-(side - start) // STRIDE_PX) * STRIDE_PX)
                for side, start in ((width_px, x), (height_px, y))
            )
            tile = slide.read(Box(x, y, width, height).grow(halo), used_mpp)
            with torch.no_grad():
                answer = whole(torch.from_numpy(tile)[None]).argmax(1)[0].numpy()
            rows, columns = slice(y // stride, (y + height) // stride), slice(x // stride, (x + width) // stride)
            inner = slice(halo // stride, answer.shape[0] - halo // stride)
            found[rows, columns] = answer[inner, halo // stride : answer.shape[1] - halo // stride]
    cell_px = stride * used_mpp / slide.info.mpp
    shown = (round(slide.info.height_px / cell_px), round(slide.info.width_px / cell_px))
    return found.astype(np.uint8)[: shown[0], : shown[1]], cell_px


def class_at(classes: Classes, cell_px: float, x_px: Floats, y_px: Floats) -> Classes:
    """The class at points in level-0 px."""
    rows = np.clip((y_px / cell_px).astype(np.int64), 0, classes.shape[0] - 1)
    columns = np.clip((x_px / cell_px).astype(np.int64), 0, classes.shape[1] - 1)
    return np.asarray(classes[rows, columns])
