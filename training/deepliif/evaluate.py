"""The table of D6 on held-out phantoms and on held-out real nuclei turned IHC, and counts on real IHC."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.deepliif.config import Config
from training.deepliif.data import OWN, PHANTOM, TEST, Prepared, read_prepared
from training.deepliif.infer import Found, Infer, find_in, picture_runner
from training.deepliif.masks import Picture
from training.deepliif.pictures import cells_over, column_of, row_of, write_picture
from training.deepliif.real import REFERENCES, Cells, read_ihc
from training.deepliif.report import (
    REPORT,
    CountRow,
    Number,
    PictureRow,
    RealRow,
    Report,
    cost_of,
    file_digest,
    machine_name,
    own_code,
    report_text,
)
from training.deepliif.store import PictureRow as Origin
from training.deepliif.store import read_wholes
from training.deepliif.train import RUN, load_generators
from training.metrics.deepliif import ScoredImage, TableRow, d6_table
from workers.geometry import Box
from workers.slides.opening import open_slide

COUNTS = "ki67_ihc_openslide/qupath_OS-2-ndpi-results.tsv"
GROUPS = {
    PHANTOM: "held-out phantoms",
    OWN: "held-out panels of the user",
    "real": "held-out real nuclei turned IHC",
}
SHOWN, SHOWN_PX = 3, 512
Progress = Callable[[str, int, int], None]
Scored = tuple[Origin, ScoredImage, ScoredImage]


def evaluate(config: Config, work_dir: Path, data_dir: Path, progress: Progress) -> Report:
    """The report, also written as `report.json` and `report.md`, with pictures in `pictures`.

    Parameters
    ----------
    data_dir
        Real IHC is counted where it lies there; left out of the report where it does not.

    Raises
    ------
    FileNotFoundError
        The networks were not trained.
    """
    prepared = read_prepared(config, work_dir)
    nets = load_generators(config, work_dir / RUN / "weights")
    infer = picture_runner(config, nets)
    scored = held_out(config, infer, work_dir, prepared, progress)
    real = real_rows(config, infer, data_dir, work_dir / "pictures", progress)
    wall_s, peak = cost_of(work_dir / RUN / "log.csv")
    report = Report(
        seed=config.seed,
        config=config.digest(),
        data=prepared.digests,
        code=own_code(),
        weights=weights_digests(work_dir),
        threads=config.train.threads,
        machine=machine_name(),
        mode=config.package.mode,
        epochs=config.train.epochs,
        epoch_wall_s=wall_s,
        peak_bytes=peak,
        parameters=sum(p.numel() for net in nets.values() for p in net.parameters()),
        pictures=prepared.pictures,
        numbers=tuple(numbers_of(scored, config.seed)),
        held_out=tuple(_counts(*row) for row in scored),
        real=real,
        counted=read_counts(data_dir) if real else (),
    )
    (work_dir / REPORT).write_text(report.model_dump_json(indent=1) + "\n", "utf-8")
    (work_dir / "report.md").write_text(report_text(report), "utf-8")
    return report


def weights_digests(work_dir: Path) -> dict[str, str]:
    """SHA-256 of the file of each generator."""
    return {path.stem: file_digest(path) for path in sorted((work_dir / RUN / "weights").glob("G*.pt"))}


def held_out(config: Config, infer: Infer, work_dir: Path, prepared: Prepared, progress: Progress) -> list[Scored]:
    """Truth and answer for every picture of the test; a few of each kind are drawn."""
    total = sum(prepared.pictures[TEST].values())
    scored: list[Scored] = []
    drawn: dict[str, list[Picture]] = {}
    for origin, cells in read_wholes(work_dir / TEST):
        found = find_in(infer(cells.panels.ihc), cells.panels.ihc)
        names = config.nets.modalities if origin.has_modalities and origin.source in (PHANTOM, OWN) else ()
        scored.append((origin, truth_of(cells, names), answer_of(found, names)))
        if len(drawn.setdefault(group_of(origin), [])) < SHOWN:
            drawn[group_of(origin)].append(_shown(cells, found))
        progress("held-out pictures", len(scored), total)
    for group, rows in drawn.items():
        write_picture(work_dir / "pictures" / f"{group}.png", column_of(rows))
    return scored


def truth_of(cells: Cells, modalities: tuple[str, ...]) -> ScoredImage:
    """The truth as post-processing leaves cells: without their boundaries."""
    seg = cells.panels.seg
    classes = np.where(seg[..., 0] > 0, 1, np.where(seg[..., 2] > 0, 2, 0))
    instances = np.where(classes > 0, cells.instances, 0)
    return ScoredImage(classes, instances, {name: getattr(cells.panels, name) for name in modalities})


def answer_of(found: Found, modalities: tuple[str, ...]) -> ScoredImage:
    """What was found: cells that count, with their classes."""
    return ScoredImage(found.classes, found.instances, {name: found.outputs[name] for name in modalities})


def group_of(origin: Origin) -> str:
    """Phantoms, one's own panels, and real nuclei are never counted together."""
    return origin.source if origin.source in (PHANTOM, OWN) else "real"


def numbers_of(scored: list[Scored], seed: int, repeats: int = 2000) -> list[Number]:
    """The table of each group of pictures, with intervals from drawing its pictures again."""
    numbers: list[Number] = []
    for group, data in GROUPS.items():
        rows = [row for row in scored if group_of(row[0]) == group]
        if rows:
            table = d6_table([truth for _, truth, _ in rows], [answer for _, _, answer in rows], seed, repeats)
            numbers += [_number(data, rows[0][0].synthetic, row) for row in table]
    return numbers


def real_rows(config: Config, infer: Infer, data_dir: Path, folder: Path, progress: Progress) -> tuple[RealRow, ...]:
    """Cells in the real IHC pictures that are there, each drawn over its picture."""
    present = {name: data_dir / path for name, path in REFERENCES.items() if (data_dir / path).is_file()}
    rows = []
    for done, (name, path) in enumerate(present.items()):
        ihc = read_at(path, config.mpp)
        found = find_in(infer(ihc), ihc)
        write_picture(folder / f"{name}-cells.png", cells_over(ihc, found.labels, found.cells, found.score))
        stripes = [ihc, *found.outputs.values()]
        write_picture(folder / f"{name}-outputs.png", row_of([_middle(stripe) for stripe in stripes]))
        score, is_slide = found.score, path.suffix == ".tif"
        rows.append(
            RealRow(
                name=name,
                mpp=config.mpp,
                cells=score.total,
                positive=score.positive,
                percent_positive=score.percent_positive,
                size_thresh=score.size_thresh,
                note=f"read at {config.mpp:g} um/px" if is_slide else "scale not known, taken as it is",
            )
        )
        progress("real IHC", done + 1, len(present))
    return tuple(rows)


def read_at(path: Path, mpp: float) -> Picture:
    """A picture at a scale; one without a scale as it is."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return read_ihc(path)
    slide = open_slide(path)
    try:
        width, height = (round(s * slide.info.mpp / mpp) for s in (slide.info.width_px, slide.info.height_px))
        return np.asarray(slide.read(Box(0, 0, width, height), mpp))
    finally:
        slide.close()


def read_counts(data_dir: Path) -> tuple[CountRow, ...]:
    """QuPath's counts of OS-2, where they are there."""
    path = data_dir / COUNTS
    if not path.is_file():
        return ()
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(
            CountRow(
                name=row["Name"],
                detection_threshold=float(row["Detection threshold"]),
                dab_threshold=float(row["DAB threshold"]),
                cells=int(row["Num cells"]),
                percent_positive=float(row["Positive %"]),
            )
            for row in csv.DictReader(file, delimiter="\t")
        )


def _counts(origin: Origin, truth: ScoredImage, answer: ScoredImage) -> PictureRow:
    counts = []
    for image in (truth, answer):
        numbers = np.unique(image.instances)
        numbers = numbers[numbers > 0]
        positive = np.unique(image.instances[(image.classes == 1) & (image.instances > 0)])
        counts += [len(numbers), len(positive)]
    return PictureRow(
        name=origin.name,
        source=origin.source,
        true_cells=counts[0],
        true_positive=counts[1],
        found_cells=counts[2],
        found_positive=counts[3],
    )


def _number(data: str, synthetic: bool, row: TableRow) -> Number:
    value, low, high = (None if math.isnan(v) else v for v in (row.estimate.value, row.estimate.low, row.estimate.high))
    return Number(
        data=data,
        metric=row.metric,
        of=row.of,
        how=row.how,
        value=value,
        low=low,
        high=high,
        n=row.estimate.n,
        synthetic=synthetic,
    )


def _shown(cells: Cells, found: Found) -> Picture:
    """IHC, what was made of it, the true mask, and the cells over the IHC."""
    over = cells_over(cells.panels.ihc, found.labels, found.cells, found.score)
    return row_of([_middle(p) for p in (cells.panels.ihc, *found.outputs.values(), cells.panels.seg, over)])


def _middle(picture: Picture) -> Picture:
    """The middle of a picture, on white where it is small."""
    height, width = (min(side, SHOWN_PX) for side in picture.shape[:2])
    top, left = ((side - shown) // 2 for side, shown in zip(picture.shape[:2], (height, width), strict=True))
    sheet = np.full((SHOWN_PX, SHOWN_PX, 3), 255, np.uint8)
    sheet[:height, :width] = picture[top : top + height, left : left + width]
    return sheet
