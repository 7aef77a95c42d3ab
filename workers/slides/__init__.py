"""Slides: one `open_slide` for every format, chosen by content; one way to read a box at a stated mpp."""

from workers.slides.opening import open_slide
from workers.slides.probe import Probe, ProbeLimits, probe_slide, started_probe
from workers.slides.slide import Level, MppSource, Slide, SlideInfo, frame_mpp, frame_size

__all__ = [
    "Level",
    "MppSource",
    "Probe",
    "ProbeLimits",
    "Slide",
    "SlideInfo",
    "frame_mpp",
    "frame_size",
    "open_slide",
    "probe_slide",
    "started_probe",
]
