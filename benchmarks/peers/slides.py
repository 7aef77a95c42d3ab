"""The slides both sides read: phantoms in JPEG tiles, and the same pixels as PNG for what takes no slides."""

from pathlib import Path

from PIL import Image

from training.phantom.spec import PhantomSpec, Stain
from training.phantom.write import write_phantom
from workers.geometry import Box
from workers.slides import open_slide

PROCESSES = 2
DENSE = {"tissue": 1.0, "tumour": 1.0, "fat": 0.0, "lymphocytes": 0.5, "ki67": 0.35}
"""Tissue everywhere, so that ways to find it do not decide how much is computed."""


def dense(folder: Path, stain: Stain, side_px: int, mpp: float) -> Path:
    """A slide that is all tissue, made once."""
    return _made(folder / f"{stain}-{side_px}-{mpp}.svs", stain, PhantomSpec(7, side_px, side_px, mpp, **DENSE))


def sparse(folder: Path, stain: Stain, side_px: int, mpp: float, tissue: float) -> Path:
    """A slide with little tissue, made once."""
    spec = PhantomSpec(11, side_px, side_px, mpp, tissue)
    return _made(folder / f"{stain}-{side_px}-{mpp}-sparse.svs", stain, spec)


def picture(slide: Path) -> Path:
    """The slide's pixels as PNG beside it, in a folder of its own."""
    path = slide.with_suffix("") / "picture.png"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        opened = open_slide(slide)
        size = opened.info
        pixels = opened.read(Box(0, 0, size.width_px, size.height_px), size.mpp)
        opened.close()
        # Under another name until it is whole: a run that was cut short would leave a half for the next one.
        part = path.with_suffix(".part.png")
        Image.fromarray(pixels).save(part)
        part.rename(path)
    return path


def _made(path: Path, stain: Stain, spec: PhantomSpec) -> Path:
    if not path.exists():
        part = path.with_suffix(".part.tiff")
        write_phantom(spec, {stain: part}, None, PROCESSES)
        part.rename(path)
    return path
