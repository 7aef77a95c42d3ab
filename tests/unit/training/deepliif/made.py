"""Small pictures with known cells."""

import numpy as np

from training.deepliif.masks import draw_mask
from training.deepliif.panels import Panels
from training.deepliif.real import Cells

BACKGROUNDS = {"hematoxylin": (201, 211, 208), "dapi": (10, 10, 10), "lap2": (0, 0, 0), "marker": (10, 10, 10)}


def squares(side=32, cell=8, gap=2):
    """Instances: squares of `cell` px in rows, 1 to n."""
    instances = np.zeros((side, side), np.int32)
    number = 0
    for y in range(gap, side - cell + 1, cell + gap):
        for x in range(gap, side - cell + 1, cell + gap):
            number += 1
            instances[y : y + cell, x : x + cell] = number
    return instances


def picture_of(instances, positive, boundary_px=2):
    """Panels in flat colours: brown or blue cells on white, and modalities that agree."""
    flags = np.concatenate([[False], positive])[instances]
    inside = instances > 0
    ihc = np.full((*instances.shape, 3), 240, np.uint8)
    ihc[inside & ~flags], ihc[flags] = (120, 150, 200), (110, 70, 40)
    shown = {}
    for name, colour in BACKGROUNDS.items():
        shown[name] = np.broadcast_to(np.array(colour, np.uint8), ihc.shape).copy()
    shown["hematoxylin"][inside], shown["dapi"][inside], shown["lap2"][inside] = (90, 120, 180), 150, 90
    shown["marker"][flags] = 180
    seg = draw_mask(instances, np.asarray(positive, bool), boundary_px)
    return Cells(Panels(ihc=ihc, **shown, seg=seg), instances, np.asarray(positive, bool))
