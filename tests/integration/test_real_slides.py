"""Every pixel of the real slides, at every level, against openslide."""

import numpy as np
import openslide
import pytest

from workers.geometry import Box
from workers.slides import open_slide

REAL = {
    "slides/CMU-1-Small-Region.svs": None,
    "slides/tcga-cr-7395-01a-01-ts1.svs": 0.5,
    "slides/rationai-CMU-1-small.tiff": None,
}


@pytest.mark.parametrize("file", REAL)
def test_real_pixels_equal_openslides(file, data_dir):
    slide = open_slide(data_dir / file, REAL[file])
    with openslide.OpenSlide(data_dir / file) as other:
        for level, (width, height) in enumerate(other.level_dimensions):
            seen = np.asarray(other.read_region((0, 0), level, (width, height)))[..., :3]
            ours = slide.read(Box(0, 0, width, height), slide.info.mpp * slide.info.levels[level].downsample)
            assert np.array_equal(ours, seen)
