"""The card of the mitosis package: what it is, what it was measured to do, what it must not be used for."""

from pathlib import Path

from training.metrics.intervals import Estimate
from training.mitosis.config import Config, StageConfig
from training.mitosis.evaluate import NetworkReport, Report, stage_of
from training.mitosis.fold import network_names, open_fold
from training.mitosis.parts import FINAL, POSITIVE
from training.mitosis.prepare import Prepared
from training.mitosis.scores import Scores
from training.nets.all_convolutional import RECEPTIVE_PX

TEMPLATE = Path(__file__).with_name("card.md")
LICENCE = "CC-BY-4.0"
USEFUL_F1 = 0.5
"""Where even the upper end of the interval lies below, the card says that the network is of no use on real slides."""
ROWS = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "false detections per mm2": "false_per_mm2",
}


def write_card(prepared: Prepared, config: Config, report: Report, version: str, data: tuple[str, ...]) -> str:
    """The card as Markdown, from the template `card.md`."""
    last = network_names(config)[-1]
    network = report.networks[last]
    own: StageConfig = getattr(config, stage_of(last))
    real = [counts for name, counts in report.candidate_recall.items() if name != "phantom"]
    found, every = (sum(part) for part in zip(*real, strict=True)) if real else (0, 0)
    return TEMPLATE.read_text("utf-8").format(
        version=version,
        mpp=config.data.mpp,
        gamma=own.gamma,
        parameters=report.parameters,
        k=config.k,
        soft=config.soft_share,
        random_places=config.data.random_places,
        mined=config.mined,
        receptive=RECEPTIVE_PX,
        component=config.evaluate.component_threshold,
        threshold=network.thresholds[FINAL],
        distance=config.evaluate.min_distance_px * config.data.mpp,
        letters=config.augment.letters,
        experiment=config.name,
        match_um=report.match_um,
        verdict=verdict(network),
        table=score_table(network),
        cases=case_table(network),
        chain=chain_table(report),
        norm=", and batch normalisation, which the paper does not have" if config.norm else "",
        fewest=_fewest(prepared, config),
        **_real_facts(prepared),
        data="\n".join(f"* {line}." for line in data),
        licence=LICENCE,
        mpp_min=config.package.mpp_min,
        mpp_max=config.package.mpp_max,
        recall=f"{found} of {every}",
        reach=config.candidates.match_px,
    )


def verdict(network: NetworkReport) -> str:
    """What the numbers come to, in a sentence that nobody can overlook."""
    real = network.real
    if real is None or real.recall is None or real.f1 is None:
        return "It was never held against real mitoses: nothing is known of how it does on real slides."
    told = (
        f"On real cases that its sisters never saw, {real.tp} of {real.tp + real.fn} mitoses were found (F1 "
        f"{real.f1.value:.2f}, {real.f1.low:.2f} to {real.f1.high:.2f}), with {real.false_per_mm2.value:.0f} false "
        "detections per mm2."
    )
    if is_useful(network):
        return told
    return told + " It does not find mitoses on real slides: use it to try the way from slide to hotspot, and retrain."


def is_useful(network: NetworkReport) -> bool:
    """Whether the network may be of use on real cases: the upper end of the interval of its F1 reaches `USEFUL_F1`."""
    return network.real is not None and network.real.f1 is not None and network.real.f1.high >= USEFUL_F1


def score_table(network: NetworkReport) -> str:
    """Real and phantom numbers of a network, a row each."""
    lines = ["| data | measure | value | 95 % interval | images |", "|---|---|---|---|---|"]
    for data, scores in (("real, held-out cases", network.real), ("phantoms (synthetic)", network.phantom)):
        if scores is not None:
            lines += [_row(data, name, getattr(scores, field)) for name, field in ROWS.items()]
    return "\n".join(line for line in lines if line)


def case_table(network: NetworkReport) -> str:
    """One row for each held-out real case."""
    lines = ["| case | images | mitoses | found | missed | false | F1 | false per mm2 | threshold |", "|" + "---|" * 9]
    for case, scores in network.real_cases.items():
        threshold = network.thresholds.get(case)
        cells = (case, scores.images, scores.tp + scores.fn, scores.tp, scores.fn, scores.fp)
        told = "-" if threshold is None else f"{threshold:.3f}"
        rest = (_value(scores.f1), f"{scores.false_per_mm2.value:.1f}", told)
        lines.append("| " + " | ".join(map(str, (*cells, *rest))) + " |")
    return "\n".join(lines)


def chain_table(report: Report) -> str:
    """One row for each network of the chain, as the paper's Table III."""
    lines = ["| network | real F1 | real best | phantom F1 | phantom best |", "|---|---|---|---|---|"]
    for name, network in report.networks.items():
        lines.append(
            f"| {name} | {_value(_f1(network.real))} | {best_of(network.curve_real)} "
            f"| {_value(_f1(network.phantom))} | {best_of(network.curve_phantom)} |"
        )
    return "\n".join(lines)


def best_of(curve: list[float]) -> str:
    """The highest F1 of a curve as text; a dash where there is no curve."""
    return f"{max(curve):.3f}" if curve else "-"


def _f1(scores: Scores | None) -> Estimate | None:
    return None if scores is None else scores.f1


def _row(data: str, name: str, value: Estimate | None) -> str:
    if value is None:
        return ""
    return f"| {data} | {name} | {value.value:.3f} | {value.low:.3f} to {value.high:.3f} | {value.n} |"


def _value(value: Estimate | None) -> str:
    return "-" if value is None else f"{value.value:.3f}"


def _real_facts(prepared: Prepared) -> dict[str, str | int]:
    """What the real images are: sources, cases, mitoses, and how many of these the largest case has."""
    real = [image for image in prepared.images if not image.synthetic]
    mitoses: dict[str, int] = {}
    for image in real:
        mitoses[image.case] = mitoses.get(image.case, 0) + len(image.points_px(POSITIVE))
    return {
        "real_sources": ", ".join(dict.fromkeys(image.source for image in real)) or "nothing",
        "real_cases": len(mitoses),
        "real_mitoses": sum(mitoses.values()),
        "most": max(mitoses.values(), default=0),
    }


def _fewest(prepared: Prepared, config: Config) -> int:
    """Real mitoses that the worst off fold had for training."""
    counts = []
    for case in {image.case for image in prepared.images if not image.synthetic}:
        try:
            fold = open_fold(prepared, config, Path(), case)
        except ValueError:
            continue
        real = [i for i in prepared.images if i.name in fold.parts.train and not i.synthetic]
        counts.append(sum(len(image.points_px(POSITIVE)) for image in real))
    return min(counts, default=0)
