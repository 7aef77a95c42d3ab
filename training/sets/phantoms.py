"""Phantoms as labelled images: written once, their truth turned into marks."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from training.phantom.spec import PhantomSpec, Stain
from training.phantom.write import write_phantom
from training.sets.marks import Mark, MarkedImage

if TYPE_CHECKING:
    import pyarrow as pa

SOURCE = "phantom"
SPEC, TRUTH = "spec.json", "truth.parquet"
Progress = Callable[[int, int], None]
LabelOf = Callable[["pa.Table"], ArrayLike]


def phantom_images(
    folder: Path,
    specs: Mapping[str, PhantomSpec],
    stains: Sequence[Stain],
    processes: int = 1,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Names of the phantoms that were written: one sub-folder each; what is there from the same spec stays.

    A sub-folder has `<stain>.tiff` for every stain, `truth.parquet` and, last, `spec.json` with the digest.

    Parameters
    ----------
    stains
        The truth's `x_px` and `y_px` are in the slide of the first one.
    processes
        Blocks of a slide are rendered by so many processes; the bytes do not depend on it.
    progress
        Called with (phantoms done, phantoms in all); a bar on stderr where None.
    """
    waiting = [name for name, spec in specs.items() if not _is_there(folder / name, spec, stains)]
    if progress is None:
        with _bar() as shown:
            return phantom_images(folder, specs, stains, processes, shown)
    done = len(specs) - len(waiting)
    progress(done, len(specs))
    for name in waiting:
        _write(folder / name, specs[name], tuple(stains), processes)
        done += 1
        progress(done, len(specs))
    return tuple(waiting)


def marked_phantom(folder: Path, name: str, stain: Stain, label_of: LabelOf) -> MarkedImage:
    """A phantom that was written, with marks from its truth; each phantom is a case of its own.

    Nuclei whose centre a moved section carries off the slide are left out. Boxes are those of the outlines.

    Parameters
    ----------
    folder, name
        As given to `phantom_images`.
    label_of
        From the truth, a `pyarrow.Table` with the columns of `training.phantom.truth`, to the label of every row;
        rows labelled "" are left out.

    Raises
    ------
    FileNotFoundError
        The phantom was not written, or not in this stain.
    ValueError
        `label_of` gives another number of labels than there are rows.
    """
    from pyarrow import parquet

    told = _told(folder / name)
    if told is None or stain not in told["stains"]:
        raise FileNotFoundError(f"there is no phantom {name!r} in the stain {stain} in {folder}: write it first")
    table = parquet.read_table(folder / name / TRUTH)
    labels = np.asarray(label_of(table), dtype=np.str_)
    if labels.shape != (table.num_rows,):
        raise ValueError(f"label_of gave labels of shape {labels.shape} for {table.num_rows} rows: give one per row")
    x_px, y_px = _places_px(table, stain, told)
    width_px, height_px = told["spec"]["width_px"], told["spec"]["height_px"]
    seen = (labels != "") & (x_px >= 0) & (y_px >= 0) & (x_px < width_px) & (y_px < height_px)
    columns = (x_px, y_px, labels, *_sides_px(table))
    marks = tuple(Mark(*values) for values in zip(*(column[seen].tolist() for column in columns), strict=True))
    path = folder / name / f"{stain}.tiff"
    return MarkedImage(name, name, SOURCE, True, path, told["spec"]["mpp"], width_px, height_px, marks)


def _places_px(table: "pa.Table", stain: Stain, told: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Centres in the slide of the stain. The truth has further columns for those that are moved alone."""
    if stain == told["stains"][0]:
        return table["x_px"].to_numpy(), table["y_px"].to_numpy()
    if f"x_px_{stain}" in table.column_names:
        return table[f"x_px_{stain}"].to_numpy(), table[f"y_px_{stain}"].to_numpy()
    mpp = told["spec"]["mpp"]
    return table["x_um"].to_numpy() / mpp, table["y_um"].to_numpy() / mpp


def _sides_px(table: "pa.Table") -> tuple[np.ndarray, np.ndarray]:
    """Sides of the boxes around the outlines; a section is moved without a change of shape."""
    outlines = table["outline_px"].combine_chunks().flatten().to_numpy().astype(np.float64)
    points = outlines.reshape(table.num_rows, -1, 2) if table.num_rows else np.zeros((0, 1, 2))
    sides = np.ptp(points, axis=1)
    return sides[:, 0], sides[:, 1]


def _write(folder: Path, spec: PhantomSpec, stains: tuple[Stain, ...], processes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SPEC).unlink(missing_ok=True)
    slides = {stain: folder / f"{stain}.tiff" for stain in stains}
    summary = write_phantom(spec, slides, folder / TRUTH, processes)
    partial = folder / f"{SPEC}.part"
    partial.write_text(json.dumps({"stains": stains} | summary, indent=2) + "\n", "utf-8")
    partial.replace(folder / SPEC)


def _is_there(folder: Path, spec: PhantomSpec, stains: Sequence[Stain]) -> bool:
    """Whether the slides of this spec were all written, with the truth in the slide of the same stain."""
    told = _told(folder)
    files = [folder / TRUTH, *(folder / f"{stain}.tiff" for stain in stains)]
    return (
        told is not None
        and told["spec_sha256"] == spec.digest()
        and told["stains"][:1] == list(stains[:1])
        and set(stains) <= set(told["stains"])
        and all(file.is_file() for file in files)
    )


def _told(folder: Path) -> dict[str, Any] | None:
    """What was written into the folder; None where writing did not end."""
    if not (folder / SPEC).is_file():
        return None
    told: dict[str, Any] = json.loads((folder / SPEC).read_text("utf-8"))
    return told


@contextmanager
def _bar() -> Iterator[Progress]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("phantoms", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
