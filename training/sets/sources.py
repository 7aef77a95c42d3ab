"""A user's own labelled images, of any kind that is read here, as tables of a TOML file."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from training.loop.config import Positive, Section, load_toml
from training.sets.bcdata import read_bcdata
from training.sets.brecahad import read_brecahad
from training.sets.checks import plain_name
from training.sets.coco import Boxes, read_coco
from training.sets.csv_marks import GUESSES, read_csv_marks
from training.sets.labelme import read_labelme
from training.sets.marks import MarkedImage

Kind = Literal["labelme", "csv", "coco", "bcdata", "brecahad"]
CaseOf = Callable[[str], str]
ONLY_FOR: Mapping[str, tuple[Kind, ...]] = {
    "images": ("csv", "coco"),
    "columns": ("csv",),
    "label": ("csv",),
    "boxes": ("coco",),
    "splits": ("bcdata",),
    "case_pattern": ("labelme", "csv", "coco", "bcdata"),
}
"""Keys that other kinds have no use for: there they would be a misunderstanding."""


class MarksConfig(Section):
    """One source, as `[[data]]`: where its labels and images are, and what its labels are called here."""

    kind: Kind
    path: str
    """The file or folder of the labels, relative to the TOML file."""
    mpp: Positive
    """um per level-0 px of the images; authoritative, whatever they say themselves."""
    images: str = ""
    """For csv and coco: the folder of the images, where it is not the labels' own; relative to the TOML file."""
    label_map: Mapping[str, str] = {}
    """From the labels of the files to those that are wanted; "" leaves a mark out. Empty: labels stay as they are."""
    case_pattern: str = ""
    """A regular expression found in the image's path below its folder: its first group, or all of it, is the case.
    Empty: each image is a case of its own, which is right where no two images are of one patient."""
    source: str = ""
    """The name in reports; empty: as the files say."""
    synthetic: bool = False
    columns: Mapping[str, str] = {}
    """For csv: names of columns by what they are for, where they are not the usual ones."""
    label: str = ""
    """For csv without a column of labels: that of all marks."""
    boxes: Boxes = "auto"
    """For coco."""
    splits: tuple[str, ...] = Field(default=("train", "validation", "test"), min_length=1)
    """For bcdata."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            re.compile(self.case_pattern)
        except re.error as error:
            raise ValueError(f"case_pattern is no regular expression: {error}") from error
        useless = [key for key, kinds in ONLY_FOR.items() if key in self.model_fields_set and self.kind not in kinds]
        if useless:
            raise ValueError(f"{useless[0]} is for {' and '.join(ONLY_FOR[useless[0]])}, not for {self.kind}")
        if unknown := sorted(set(self.columns) - set(GUESSES)):
            raise ValueError(f"columns are for {', '.join(GUESSES)}, not for {unknown[0]!r}")
        return self


class SourcesConfig(Section):
    """A TOML file of sources and nothing else."""

    data: tuple[MarksConfig, ...] = Field(min_length=1)


def read_sources(configs: Sequence[MarksConfig], base: Path) -> tuple[MarkedImage, ...]:
    """The images of all sources, in their order.

    Parameters
    ----------
    base
        The folder that paths are relative to.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_marks`; and where two images have one name.
    """
    images = tuple(image for config in configs for image in read_marks(config, base))
    twice = [name for name, count in Counter(image.name for image in images).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} names of images come twice, {twice[0]!r} among them: rename the files")
    return images


def read_sources_file(path: Path) -> tuple[MarkedImage, ...]:
    """The images of the sources in a TOML file; paths in it are relative to its folder."""
    return read_sources(load_toml(path, SourcesConfig).data, path.parent)


def read_marks(config: MarksConfig, base: Path) -> tuple[MarkedImage, ...]:
    """The images of one source, with its cases and labels.

    Raises
    ------
    FileNotFoundError
        Something is missing.
    ValueError
        A file is broken (`LabelsError`), a label is not in `label_map`, or the case pattern is not found in a name.
    """
    return tuple(_renamed(image, config) for image in _read(config, base))


def _read(config: MarksConfig, base: Path) -> tuple[MarkedImage, ...]:
    path, case_of = base / config.path, _case_of(config)
    images = base / config.images if config.images else None
    if config.kind == "labelme":
        return read_labelme(path, config.mpp, case_of)
    if config.kind == "csv":
        return read_csv_marks(path, config.mpp, images, config.columns, config.label, case_of)
    if config.kind == "coco":
        return read_coco(path, config.mpp, images, config.boxes, case_of)
    if config.kind == "bcdata":
        return read_bcdata(path, config.mpp, config.splits, case_of)
    return tuple(replace(image, mpp=config.mpp) for image in read_brecahad(path))


def _case_of(config: MarksConfig) -> CaseOf:
    if not config.case_pattern:
        return plain_name
    pattern = re.compile(config.case_pattern)

    def case_of(path: str) -> str:
        found = pattern.search(path)
        case = found and (found.group(1) if pattern.groups else found.group())
        if not case:
            raise ValueError(f"case_pattern {config.case_pattern!r} finds no case in {path!r}")
        return case

    return case_of


def _renamed(image: MarkedImage, config: MarksConfig) -> MarkedImage:
    """The image under the source's settings."""
    marks = image.marks
    if config.label_map:
        unknown = sorted({mark.label for mark in marks} - set(config.label_map))
        if unknown:
            raise ValueError(
                f'{image.name}: the label {unknown[0]!r} is not in label_map; map it to "" to leave it out'
            )
        marks = tuple(replace(m, label=config.label_map[m.label]) for m in marks if config.label_map[m.label])
    source = config.source or image.source
    return replace(image, marks=marks, source=source, synthetic=config.synthetic)
