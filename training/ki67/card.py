"""The card of the package, written from the recipe and the report."""

from pathlib import Path

from training.ki67.config import Config
from training.ki67.data import TEST, TRAIN, Prepared
from training.ki67.report import Report
from training.metrics.numbers import Number
from training.nets.dense import receptive_radius_px

TEMPLATE = Path(__file__).with_name("card.md")
HEADER = ("| data | measure | value | 95 % interval | n |", "|---|---|---|---|---|")
SCORES_HEADER = ("| held-out patches | precision | recall | F1 | support |", "|---|---|---|---|---|")
PHANTOMS_ONLY = (
    "**Trained on phantoms and measured on phantoms: tissue that was drawn by a program. Nothing here was seen on a "
    "patient's slide.\nNo number below is a clinical claim. Research use only. Not for diagnosis.**"
)
OWN_IMAGES = (
    "**Trained on labelled images that this project has not seen. Numbers on images and on phantoms are kept apart.\n"
    "No number below is a clinical claim. Research use only. Not for diagnosis.**"
)
BEST_AUC = "AUC of positive against negative, best possible"


def write_card(config: Config, report: Report, prepared: Prepared, facts: dict[str, str]) -> str:
    """The card as Markdown, from the template `card.md`.

    Parameters
    ----------
    facts
        `version`, `licence`, `parameters`, `experiment` and `start`, as they are to be read.
    """
    grid, data = config.package, config.data
    numbers = [*report.numbers, *correlation_numbers(report)]
    return TEMPLATE.read_text("utf-8").format(
        **facts,
        stride=grid.stride_px,
        cell_um=grid.stride_px * data.mpp,
        mpp=data.mpp,
        mpp_min=grid.mpp_min,
        mpp_max=grid.mpp_max,
        effect=data.phantom.ki67_effect,
        best_auc=next((n.value for n in numbers if n.name == BEST_AUC), float("nan")),
        table="\n".join([*HEADER, *map(_row, numbers)]),
        classes="\n\n".join(_scores(report)),
        moved=_moved(config),
        headline=PHANTOMS_ONLY if is_synthetic(prepared) else OWN_IMAGES,
        origin=_origin(prepared),
        lost=f"{len(report.lost_pairs)} pairs could not be registered and are left out. " if report.lost_pairs else "",
        width=config.width,
        patch=data.patch_px,
        halo=grid.halo_px,
        radius=receptive_radius_px(grid.stride_px),
        epochs=config.loop.epochs,
        seed=config.seed,
        cases=_cases(prepared, TRAIN),
        test_cases=_cases(prepared, TEST),
    )


def correlation_numbers(report: Report) -> list[Number]:
    """The correlations as numbers, with Fisher's interval."""
    data = "pairs of phantom sections, H&E against Ki-67"
    return [
        Number(data=data, name=f"Pearson r of {name}", value=c.r, low=c.low, high=c.high, n=c.n, synthetic=True)
        for name, c in report.correlations.items()
    ]


def is_synthetic(prepared: Prepared) -> bool:
    """Whether all images, of training and test, are phantoms."""
    return all(row.synthetic for row in prepared.images)


def _origin(prepared: Prepared) -> str:
    if is_synthetic(prepared):
        return "All are phantoms of `histoserve phantom`, drawn by this project: no third party's rights."
    sources = sorted({row.source for row in prepared.images if not row.synthetic})
    return f"Images of {', '.join(sources)}: their owner states their licence."


def _moved(config: Config) -> str:
    if config.data.pairs.moved:
        return "shifted, turned and warped, and registered to the H&E"
    return "lying as the H&E does"


def _cases(prepared: Prepared, part: str) -> int:
    return len({row.case for row in prepared.images if row.part == part})


def _row(number: Number) -> str:
    interval = "" if number.low is None or number.high is None else f"{number.low:.3f} to {number.high:.3f}"
    return f"| {number.data} | {number.name} | {number.value:.3f} | {interval} | {number.n} |"


def _scores(report: Report) -> list[str]:
    rows = [
        [f"| {s.name} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.support} |" for s in table.scores]
        for table in report.tables
    ]
    return ["\n".join([*SCORES_HEADER, *part]) for part in rows]
