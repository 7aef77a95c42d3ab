"""The card of the nuclei package: what it is, what it was measured to do, what it must not be used for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.metrics.intervals import Estimate
from training.nuclei.config import Config

DATA_NAMES = {
    "nuclei_tnbc:he": "TNBC, H&E, 40x halved",
    "nuclei_dsb2018:he": "DSB 2018, the 4 images with eosin",
    "nuclei_dsb2018:stained": "DSB 2018, purple stain only",
    "mitosis_brecahad": "BreCaHAD, H&E, never trained on",
}
MEASURE_NAMES = {
    "dice": "Dice of all nuclei",
    "aji": "AJI",
    "f1": "detection F1 at IoU > 0.5",
    "recall": "recall of the marked nuclei",
    "covered": "share of the image covered (the recall of marks thrown at random)",
}
TEMPLATE = Path(__file__).with_name("card.md")
HEADER = ["| data | measure | value | 95 % interval | images |", "|---|---|---|---|---|"]


@dataclass(frozen=True)
class CardFacts:
    """What the card says of the network itself."""

    version: str
    licence: str
    parameters: int
    radius_px: int


def write_card(config: Config, estimates: Mapping[str, Estimate], facts: CardFacts) -> str:
    """The card as Markdown, from the template `card.md`."""
    return TEMPLATE.read_text("utf-8").format(
        version=facts.version,
        mpp=config.data.mpp,
        widths="/".join(map(str, config.network.widths)),
        parameters=facts.parameters,
        radius=facts.radius_px,
        halo=config.grid.halo_px,
        grow=config.grid.grow_px,
        min_area=config.grid.min_area_um2,
        max_area=config.grid.max_area_um2,
        folds=config.data.folds,
        steps=config.train.steps,
        fold_steps=config.train.fold_steps,
        nucleus_um=config.data.nucleus_um,
        mpp_min=config.grid.mpp_min,
        mpp_max=config.grid.mpp_max,
        table="\n".join([*HEADER, *(_row(name, value) for name, value in estimates.items())]),
        licence=facts.licence,
    )


def data_and_measure(name: str) -> tuple[str, str]:
    """The names for readers of an estimate called `<data>/<measure>`."""
    data, measure = name.rsplit("/", 1)
    return DATA_NAMES[data], MEASURE_NAMES[measure]


def _row(name: str, value: Estimate) -> str:
    data, measure = data_and_measure(name)
    return f"| {data} | {measure} | {value.value:.3f} | {value.low:.3f} to {value.high:.3f} | {value.n} |"
