import numpy as np

from training.nuclei.config import load_config
from training.nuclei.sources import read_sources


def test_the_real_sources_hold_what_their_readme_says(data_dir):
    samples = list(read_sources(data_dir, load_config().data))
    dsb = [s for s in samples if s.source == "nuclei_dsb2018"]
    assert (len(dsb), sum(len(np.unique(s.instances)) - 1 for s in dsb)) == (105, 4531)
    assert sum(s.source == "nuclei_tnbc" for s in samples) == 6
