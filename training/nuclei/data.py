"""Samples split by groups of look-alikes, cached in one file that training and evaluation read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from training.nuclei.config import Config, DataConfig
from training.nuclei.sources import Sample, folder_digests, read_sources

ARRAYS = "samples.npz"
INDEX = "samples.json"


@dataclass(frozen=True)
class Prepared:
    """Samples, the fold each is held out in (-1: always trained on), and where they came from."""

    samples: tuple[Sample, ...]
    groups: tuple[str, ...]
    folds: tuple[int, ...]
    digests: dict[str, str]

    def part(self, fold: int | None, held_out: bool) -> list[Sample]:
        """The samples held out in `fold`, or the others; all of them to train on where `fold` is None."""
        return [
            s for s, f in zip(self.samples, self.folds, strict=True) if (fold is not None and f == fold) == held_out
        ]


def prepare(data_dir: Path, work_dir: Path, config: Config) -> Prepared:
    """Read, scale, group and split all sources; cached under `work_dir`."""
    samples = tuple(read_sources(data_dir, config.data))
    groups = group_samples(samples, config.data)
    folds = assign_folds(samples, groups, config.data.folds, config.seed)
    prepared = Prepared(samples, groups, folds, folder_digests(data_dir))
    _save(prepared, work_dir)
    return prepared


def load_prepared(work_dir: Path) -> Prepared:
    """What `prepare` wrote.

    Raises
    ------
    FileNotFoundError
        `prepare` was not run for this work folder.
    """
    index = json.loads((work_dir / INDEX).read_text("utf-8"))
    with np.load(work_dir / ARRAYS, allow_pickle=False) as arrays:
        samples = tuple(
            Sample(**row["sample"], image=arrays[f"image{i}"], instances=arrays[f"instances{i}"])
            for i, row in enumerate(index["samples"])
        )
    rows = index["samples"]
    return Prepared(samples, tuple(r["group"] for r in rows), tuple(r["fold"] for r in rows), index["digests"])


def group_samples(samples: tuple[Sample, ...], config: DataConfig) -> tuple[str, ...]:
    """The group of every sample: clusters of look-alike DSB images, the few pink ones together, others on their own.

    Crops of one field share stain, light and scale; average linkage on those statistics puts them together. DSB names
    no slide or patient, so this is the best available stand-in for a split by patient, not a proof of independence.
    """
    dsb = [i for i, s in enumerate(samples) if s.kind == "stained"]
    pink = {i for i, s in enumerate(samples) if s.kind == "he" and s.source == "nuclei_dsb2018"}
    groups = ["nuclei_dsb2018/pink" if i in pink else f"{s.source}/{s.name}" for i, s in enumerate(samples)]
    if len(dsb) > 1:
        features = np.stack([_look(samples[i]) for i in dsb])
        tree = linkage(pdist(features), method="average")
        for i, cluster in zip(dsb, fcluster(tree, config.groups, criterion="maxclust"), strict=True):
            groups[i] = f"nuclei_dsb2018/look-{cluster:02d}"
    return tuple(groups)


def assign_folds(samples: tuple[Sample, ...], groups: tuple[str, ...], folds: int, seed: int) -> tuple[int, ...]:
    """The fold every sample is held out in: whole groups, largest first, each to the fold emptiest in that source.

    Blank tiles are never held out (-1): they carry no nucleus to score.
    """
    chosen: dict[str, int] = {}
    for source in sorted({s.source for s, g in zip(samples, groups, strict=True) if s.kind != "blank"}):
        sizes: dict[str, int] = {}
        for sample, group in zip(samples, groups, strict=True):
            if sample.source == source:
                sizes[group] = sizes.get(group, 0) + 1
        order = list(np.random.default_rng(seed).permutation(sorted(sizes)))
        load = [0] * folds
        for group in sorted(order, key=lambda g: -sizes[g]):
            chosen[group] = int(np.argmin(load))
            load[chosen[group]] += sizes[group]
    return tuple(chosen.get(g, -1) if s.kind != "blank" else -1 for s, g in zip(samples, groups, strict=True))


def _look(sample: Sample) -> NDArray[np.float64]:
    """Numbers that crops of one field share: colour of the dark and bright tenth, spread, scale."""
    pixels = sample.image.reshape(-1, 3).astype(np.float64) / 255
    dark, bright = np.percentile(pixels, [10, 90], axis=0)
    return np.concatenate([dark, bright, pixels.std(axis=0), [sample.scale]])


def _save(prepared: Prepared, work_dir: Path) -> None:
    work_dir.mkdir(parents=True, exist_ok=True)
    arrays = {f"image{i}": s.image for i, s in enumerate(prepared.samples)}
    labels = {f"instances{i}": s.instances for i, s in enumerate(prepared.samples)}
    np.savez_compressed(work_dir / ARRAYS, allow_pickle=False, **arrays, **labels)
    rows = [
        {"sample": {"name": s.name, "source": s.source, "kind": s.kind, "scale": s.scale}, "group": g, "fold": f}
        for s, g, f in zip(prepared.samples, prepared.groups, prepared.folds, strict=True)
    ]
    text = json.dumps({"digests": prepared.digests, "samples": rows}, indent=1)
    (work_dir / INDEX).write_text(text, "utf-8")
