"""The card of the package, written from recipe, data and report."""

from pathlib import Path

from training.deepliif.config import Config
from training.deepliif.data import OWN, PHANTOM, TEST, TRAIN, Prepared
from training.deepliif.infer import halo_px, radius_px
from training.deepliif.report import Number, Report, number_line, real_lines

TEMPLATE = Path(__file__).with_name("card.md")
LICENCE, OWN_LICENCE = "Apache-2.0", "not stated: the licence of the user's images decides"
CREDITS = {
    PHANTOM: "phantoms, drawn by histoserve (synthetic, Apache-2.0)",
    "nuclei_dsb2018": "Kaggle DSB 2018 in its corrected form (CC0), turned IHC",
    "nuclei_tnbc": "Naylor et al., doi:10.5281/zenodo.1175282 (CC BY 4.0), turned IHC",
    OWN: "panels of the user",
}
COLOURS = (
    "Colours and strengths of the stain were drawn between those of OS-2 (OpenSlide test slide, free to use) and "
    "scikit-image's `immunohistochemistry` (BSD-3), so these two pictures lent their colours to the training."
)
SHOWN = ("pix_acc", "share_right", "dice", "iou", "aji", "score_gap", "detection_f1", "mse", "ssim")


def write_card(config: Config, report: Report, prepared: Prepared, version: str, experiment: str) -> str:
    """The card as Markdown, from the template `card.md`."""
    package, nets, train = config.package, config.nets, config.train
    return TEMPLATE.read_text("utf-8").format(
        version=version,
        experiment=experiment,
        headline=_headline(config),
        colours=COLOURS if config.data.real.use else "",
        mode_text=_mode(config),
        table="\n\n".join(_tables(report)),
        real="\n".join(real_lines(report)) or "No real IHC was there to count.",
        parameters=f"{report.parameters:,}",
        blocks=nets.blocks,
        translator_width=nets.translator_width,
        levels=nets.levels,
        side=2**nets.levels,
        segmenter_width=nets.segmenter_width,
        segmenters=_segmenters(config),
        epochs=train.epochs,
        rate=train.rate,
        batch=train.batch,
        reconstruction=train.reconstruction,
        stage=train.stage,
        synthetic=_synthetic(config),
        derived=_derived(config),
        seed=config.seed,
        side_px=config.data.side_px,
        mpp=config.mpp,
        mpp_min=package.mpp_min,
        mpp_max=package.mpp_max,
        training="; ".join(training_data(prepared)),
        held_out=", ".join(f"{count} of {name}" for name, count in sorted(prepared.pictures[TEST].items())),
        licence=licence_of(prepared),
    )


def licence_of(prepared: Prepared) -> str:
    """That of the weights."""
    return OWN_LICENCE if any(OWN in found for found in prepared.pictures.values()) else LICENCE


def training_data(prepared: Prepared) -> tuple[str, ...]:
    """What was trained on, source by source, with credit."""
    return tuple(
        f"{name}: {count} pictures; {CREDITS.get(name, name)}" for name, count in prepared.pictures[TRAIN].items()
    )


def _tables(report: Report) -> list[str]:
    parts = []
    for data in dict.fromkeys(number.data for number in report.numbers):
        rows = [n for n in report.numbers if n.data == data and _is_shown(n)]
        header = [f"**{data}**\n", "| metric | of | how | value | 95 % interval | n |", "|---|---|---|---|---|---|"]
        parts.append("\n".join([*header, *map(number_line, rows)]))
    return parts


def _is_shown(number: Number) -> bool:
    """One row for each number of the paper: pooled where there is such, else the mean over pictures."""
    return number.metric in SHOWN and (number.how == "pooled" or number.metric in ("aji", "mse", "ssim"))


def _headline(config: Config) -> str:
    sources = ["phantoms (drawn tissue)"] if config.data.phantom.train else []
    if config.data.real.use:
        sources.append("real nuclei whose stain was moved by a program to look like IHC")
    if config.data.panels:
        return f"Trained on {' and '.join([*sources, 'panels of the user'])}."
    alone = (
        "Trained on phantoms alone: drawn tissue." if len(sources) == 1 else f"Trained on {' and on '.join(sources)}."
    )
    return f"{alone} No labelled real IHC was seen in training, and none was there to measure on."


def _segmenters(config: Config) -> str:
    if config.nets.many_to_one:
        return "one U-Net takes the IHC and all modalities at once (the paper's many-to-one form)"
    return f"{1 + len(config.nets.modalities)} U-Nets, one for the IHC and one for each modality, weighted and summed"


def _synthetic(config: Config) -> str:
    return "Pictures of the paper's generator of IHC doubled the training set. " if config.synthetic.use else ""


def _derived(config: Config) -> str:
    if not config.data.real.use:
        return ""
    if config.data.real.derived:
        return (
            "For real nuclei the translators learned from modalities that were made of outlines and amounts of stain; "
            "they are no measurement. "
        )
    return "Translators learned from phantoms alone; real nuclei taught the segmenters. "


def _mode(config: Config) -> str:
    if config.package.mode == "compat":
        return (
            f"Mode compat: every tile of {config.package.scale_px} px is normalised by its own statistics, on "
            "DeepLIIF's grid. Answers depend on where tiles lie; edges may show."
        )
    seen, halo = radius_px(config.nets), halo_px(config.nets)
    return (
        "Mode exact: statistics are fitted once per slide and held still, so tiles cannot show. A pixel sees "
        f"{seen} px; the halo is {halo} px."
    )
