"""The card of the package, written from the recipe and the report."""

from pathlib import Path

from training.virtual_ihc.config import HE, KI67, Config
from training.virtual_ihc.data import Prepared
from training.virtual_ihc.networks import halo_px, receptive_radius_px
from training.virtual_ihc.report import Report, number_rows

TEMPLATE = Path(__file__).with_name("card.md")
PHANTOMS_ONLY = (
    "**Trained on phantoms and measured on phantoms: tissue that was drawn by a program. Nothing here was learned from "
    "a\npatient's slide. No number below is a clinical claim. Research use only. Not for diagnosis.**"
)
OWN_SLIDES = (
    "**Trained with slides that this project has not seen; the numbers are of phantoms, tissue drawn by a program.\n"
    "No number below is a clinical claim. Research use only. Not for diagnosis.**"
)


def write_card(config: Config, report: Report, prepared: Prepared, facts: dict[str, str]) -> str:
    """The card as Markdown, from the template `card.md`.

    Parameters
    ----------
    facts
        `version`, `licence`, `parameters` and `experiment`, as they are to be read.
    """
    data, fit, loss = config.data, config.fit, config.loss
    crop = f"random squares of {fit.crop_px} px of them, " if fit.crop_px else ""
    return TEMPLATE.read_text("utf-8").format(
        **facts,
        headline=PHANTOMS_ONLY if all(row.synthetic for row in prepared.slides) else OWN_SLIDES,
        table="\n".join(number_rows(report.numbers)),
        origin=_origin(prepared),
        variant=report.variant,
        widths=", ".join(map(str, config.net.widths)),
        blocks=config.net.blocks,
        radius=receptive_radius_px(config.net),
        halo=halo_px(config.net),
        mpp=data.mpp,
        mpp_min=config.package.mpp_min,
        mpp_max=config.package.mpp_max,
        tile=data.tile_px,
        step=data.step_px,
        crop=crop,
        adversarial=loss.adversarial.replace("_", " "),
        cycle=loss.cycle,
        structure=loss.structure if loss.use_ssim else 0,
        rate=fit.rate,
        decay=fit.decay,
        decay_epochs=fit.decay_epochs,
        batch=fit.batch,
        epochs=fit.epochs,
        seed=config.seed,
        effect=data.phantom.ki67_effect,
        hash_weights=report.hash_weights,
        guess=report.guess,
        lost=len(report.lost),
        minutes=report.epoch.wall_s * report.epoch.epochs / 60,
        peak=report.epoch.peak_bytes / 2**20,
        threads=report.threads,
    )


def _origin(prepared: Prepared) -> str:
    lines = []
    for stain, name in ((HE, "H&E"), (KI67, "Ki-67")):
        drawn, own = (prepared.count(stain, synthetic=synthetic) for synthetic in (True, False))
        more = f" and {own[0]} slides of one's own ({own[1]} tiles)" if own[0] else ""
        lines.append(f"{name}: {drawn[0]} phantoms ({drawn[1]} tiles){more}.")
    return " ".join(lines)
