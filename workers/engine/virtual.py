"""What a package makes instead of measuring, as the result tells it."""

from models.manifest import Manifest
from models.parameters import measure_stems
from workers.outputs.marks import MARK
from workers.result import VirtualPart


def tell_virtual(manifest: Manifest) -> tuple[VirtualPart, ...]:
    """The outputs that show what was not measured, each with the scores that are read from it."""
    stems = list(zip(measure_stems(manifest), manifest.measures, strict=True))
    return tuple(
        VirtualPart(
            output=output.name,
            shows=output.virtual,
            mark=MARK,
            measures=tuple(stem for stem, measure in stems if measure.output == output.name),
        )
        for output in manifest.outputs
        if output.virtual is not None
    )


def virtual_texts(manifest: Manifest) -> list[str]:
    """What the reader must know of each such output, one sentence or two."""
    texts = []
    for part in tell_virtual(manifest):
        read = f" So are the scores {', '.join(part.measures)}." if part.measures else ""
        texts.append(f"{part.output} ({part.shows}) is made by the network, not measured on the slide.{read}")
    return texts


def makes_virtual_slide(manifest: Manifest) -> bool:
    """True of a package that makes one picture of a stain that is not there: a virtual slide, to be looked at as one.

    Packages that make several, such as the modalities of DeepLIIF, make them on the way to something else.
    """
    return sum(output.kind == "image" and output.virtual is not None for output in manifest.outputs) == 1
