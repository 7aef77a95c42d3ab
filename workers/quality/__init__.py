"""What a slide is good for, found before anything is computed: tissue, ink, stain, focus; each can be looked at."""

from workers.quality.focus import FocusReport, FocusSquare, estimate_focus
from workers.quality.pictures import write_pictures
from workers.quality.report import QualityReport, assess
from workers.quality.stain import StainGuess, guess_stain
from workers.quality.tissue import TissueMask, find_tissue, tissue_cells

__all__ = [
    "FocusReport",
    "FocusSquare",
    "QualityReport",
    "StainGuess",
    "TissueMask",
    "assess",
    "estimate_focus",
    "find_tissue",
    "guess_stain",
    "tissue_cells",
    "write_pictures",
]
