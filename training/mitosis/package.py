"""The trained network as a model package: manifest, card, golden tile, weights to go on from."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import OutputConflictError
from models.manifest import GridSpec, InputSpec, Metric, OutputSpec, Paper, Role
from models.measures_spec import PointsMeasure
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, deterministic_npz, write_package
from models.seen import seen_of
from models.stain_spec import StainSeen
from training.loop.fit import load_weights
from training.metrics.intervals import Estimate
from training.mitosis.card import LICENCE, is_useful, verdict, write_card
from training.mitosis.config import Config
from training.mitosis.detect import OUTPUT, points_measure
from training.mitosis.evaluate import REPORT, NetworkReport, Report, stage_of, weights_of
from training.mitosis.fold import file_digest, network_names, new_network, open_fold
from training.mitosis.parts import FINAL
from training.mitosis.prepare import Prepared
from training.mitosis.scores import Scores
from training.nets.all_convolutional import INSET_PX, STRIDE_PX, MitosisBytes
from training.sets.marks import MarkedImage
from workers.geometry import Box
from workers.measures.grades import THETA_1, THETA_2
from workers.measures.hotspots import HOTSPOT_MM2
from workers.slides.opening import open_slide
from workers.slides.slide import frame_size

GOLDEN_PX = 256
"""As in the paper."""
REAL, PHANTOM = "real, held-out cases", "phantoms, held out"
TELLEZ = Paper(
    title="Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference to train distilled "
    "stain-invariant convolutional networks",
    doi="10.1109/TMI.2018.2820199",
)
CREDITS = {
    "BreCaHAD": "BreCaHAD, Aksac et al. 2019: {images} images of {cases} cases, {mitoses} mitoses, CC BY 4.0 "
    "(doi:10.6084/m9.figshare.7379186)",
    "phantom": "Phantoms drawn by histoserve (synthetic): {images} images, {mitoses} mitoses",
}


def export_package(prepared: Prepared, config: Config, work_dir: Path, zoo_dir: Path, version: str) -> Path:
    """The folder of the package `mitosis` of that version: the final fold's last network and the report's numbers.

    Raises
    ------
    FileNotFoundError
        The final fold was not trained, or nothing evaluated.
    ValueError
        Report, recipe, data and weights are not of one piece.
    OutputConflictError
        There is such a package already.
    """
    folder = zoo_dir / "mitosis" / version
    if folder.exists():
        raise OutputConflictError(f"The package mitosis@{version} exists already.", "Give another version.")
    name = network_names(config)[-1]
    report = read_report(prepared, config, work_dir)
    weights = weights_of(open_fold(prepared, config, work_dir, FINAL), name)
    if report.weights.get(f"{FINAL}/{name}") != file_digest(weights):
        raise ValueError("the report is of other weights: run evaluate again")
    net = load_weights(new_network(config, stage_of(name)), weights)
    # Sides whose traces at the strides differ, so that the exporter takes neither for a constant.
    example = torch.zeros(2, 2 * INSET_PX + 32, 2 * INSET_PX + 64, 3, dtype=torch.uint8)
    plain = net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    network = export_onnx(MitosisBytes(plain).eval(), [example], [OUTPUT], spatial_axes=(1, 2))
    state = {key: np.array(value.numpy(), order="C") for key, value in net.state_dict().items()}
    files: dict[str, tuple[Role, bytes]] = {
        "mitosis.onnx": ("network", network),
        "weights.npz": ("other", deterministic_npz(state)),
        "card.md": ("card", write_card(prepared, config, report, version, training_data(prepared)).encode()),
    }
    fields = manifest_fields(prepared, config, report, version)
    return write_package(folder, fields, files, GoldenTile(golden_tile(prepared, config))).folder


def read_report(prepared: Prepared, config: Config, work_dir: Path) -> Report:
    """The report of this recipe on this data.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is of another recipe or other data.
    """
    path = work_dir / REPORT
    if not path.exists():
        raise FileNotFoundError(f"there is no report in {work_dir}: run evaluate first")
    report = Report.model_validate_json(path.read_text("utf-8"))
    if (report.config, report.data) != (config.digest(), prepared.patches_digest):
        raise ValueError("the report is of another recipe or other data: run evaluate again")
    return report


def manifest_fields(prepared: Prepared, config: Config, report: Report, version: str) -> dict[str, Any]:
    """The manifest without its files."""
    grid, name = config.package, network_names(config)[-1]
    network = report.networks[name]
    return {
        "name": "mitosis",
        "version": version,
        "title": title(network),
        "analysis": "mitosis",
        "task": "detection",
        "stain": "he",
        "runtime": "onnx",
        "grid": GridSpec(
            mpp=config.data.mpp,
            mpp_min=grid.mpp_min,
            mpp_max=grid.mpp_max,
            tile_px=grid.tile_px,
            halo_px=INSET_PX,
            align_px=STRIDE_PX,
        ),
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": (
            OutputSpec(
                name=OUTPUT, kind="heat", activation="sigmoid", channels=1, stride_px=STRIDE_PX, inset_px=INSET_PX
            ),
        ),
        "measures": (package_measure(config, network),),
        "seen": seen_stains(prepared, config),
        "licence": LICENCE,
        "training_data": training_data(prepared),
        "metrics": (*_metrics(network.real, REAL, False), *_metrics(network.phantom, PHANTOM, True)),
        "intended_use": f"Mitoses in H&E of breast at about {config.data.mpp} um/px, for research. {verdict(network)}",
        "not_for": "Research use only. Not for diagnosis. Not for grading patients, IHC, cytology or other organs.",
        "papers": (TELLEZ,),
        "recipe": recipe(config, report),
    }


def title(network: NetworkReport) -> str:
    """The name that lists show, with the two numbers one must know."""
    named = (("real cases", network.real), ("phantoms", network.phantom))
    told = [f"F1 {scores.f1.value:.2f} on {data}" for data, scores in named if scores is not None and scores.f1]
    return f"Mitotic figures in H&E ({', '.join(told)})" if told else "Mitotic figures in H&E"


def package_measure(config: Config, network: NetworkReport) -> PointsMeasure:
    """The detections as the package states them, and the disc of 2 mm2 that holds most of them.

    The paper's grades are added only where the network was of use on real cases: a grade is read as one of a patient.
    """
    measure = points_measure(config.evaluate, config.data.mpp, round(network.thresholds[FINAL], 6))
    thetas = {"theta1": THETA_1, "theta2": THETA_2} if is_useful(network) else {}
    return measure.model_copy(update={"hotspot_mm2": HOTSPOT_MM2} | thetas)


def seen_stains(prepared: Prepared, config: Config) -> StainSeen | None:
    """How the images were stained that networks were trained on."""
    trained = [image for image in prepared.images if image.name not in prepared.test_phantoms]
    return seen_of((_pixels(image, config.data.mpp) for image in trained), config.data.mpp)


def training_data(prepared: Prepared) -> tuple[str, ...]:
    """One line for each source, with its licence and credit."""
    lines = []
    for source in dict.fromkeys(image.source for image in prepared.images):
        own = [i for i in prepared.images if i.source == source and i.name not in prepared.test_phantoms]
        mitoses = sum(len(image.points_px("mitosis")) for image in own)
        text = CREDITS.get(source, source + ": {images} images of {cases} cases, {mitoses} mitoses, the user's own")
        lines.append(text.format(images=len(own), cases=len({i.case for i in own}), mitoses=mitoses))
    return tuple(lines)


def recipe(config: Config, report: Report) -> dict[str, str]:
    """What it takes to make the same weights again."""
    return {
        "seed": str(config.seed),
        "config": report.config,
        "data": report.data,
        "code": report.code,
        "threads": str(report.threads),
        "torch": report.torch,
    } | {f"weights:{name}": digest for name, digest in report.weights.items() if name.startswith(FINAL)}


def golden_tile(prepared: Prepared, config: Config) -> NDArray[np.uint8]:
    """A square around a mitosis of the first image that has one, uint8 (H, W, 3), on the stride grid.

    Of a phantom where there is one: a package is handed on, and pixels of real slides need not be.
    """
    images = sorted(prepared.images, key=lambda image: not image.synthetic)
    image = next(i for i in images if len(i.points_px("mitosis")))
    x, y = (image.points_px("mitosis")[0] * image.mpp / config.data.mpp).astype(int).tolist()
    slide = open_slide(image.path, image.mpp)
    try:
        box = Box((x - GOLDEN_PX // 2) // 4 * 4, (y - GOLDEN_PX // 2) // 4 * 4, GOLDEN_PX, GOLDEN_PX)
        return slide.read(box, config.data.mpp)
    finally:
        slide.close()


def _pixels(image: MarkedImage, mpp: float) -> NDArray[np.uint8]:
    """The whole image at `mpp`: regions and phantoms, which are small."""
    slide = open_slide(image.path, image.mpp)
    try:
        width_px, height_px = frame_size(slide.info, mpp)
        return slide.read(Box(0, 0, width_px, height_px), mpp)
    finally:
        slide.close()


def _metrics(scores: Scores | None, data: str, synthetic: bool) -> tuple[Metric, ...]:
    if scores is None:
        return ()
    named = {
        "F1 of mitoses": scores.f1,
        "precision": scores.precision,
        "recall": scores.recall,
        "false detections per mm2": scores.false_per_mm2,
    }
    return tuple(_metric(name, value, data, synthetic) for name, value in named.items() if value is not None)


def _metric(name: str, value: Estimate, data: str, synthetic: bool) -> Metric:
    numbers = {key: round(getattr(value, key), 4) for key in ("value", "low", "high")}
    return Metric(name=name, n=value.n, data=data, synthetic=synthetic, **numbers)
