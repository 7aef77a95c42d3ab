"""Score every slide of a folder and write one CSV: python examples/batch.py SLIDES --model nuclei --out scores.csv

Uses the Python client. The service is the one that HISTOSERVE_URL and HISTOSERVE_KEY name, or a running
`histoserve up`. Research use only. Not for diagnosis.
"""

import argparse
import csv
import sys
from pathlib import Path

from models.errors import HistoserveError
from service.client import Client


def main() -> int:
    """The exit code: 0 where every slide has its scores."""
    arguments = read_arguments()
    paths = sorted(path for path in arguments.slides.iterdir() if path.is_file() and not path.name.startswith("."))
    with Client() as client:
        jobs = {path: submit(client, path, arguments) for path in paths}
        rows = [finish(client, path, job) for path, job in jobs.items()]
    write_table(arguments.out, rows)
    failed = [row for row in rows if row["problem"]]
    print(f"{len(rows) - len(failed)} of {len(rows)} slides scored: {arguments.out}")
    return 1 if failed else 0


def read_arguments() -> argparse.Namespace:
    """What was said on the command line."""
    parser = argparse.ArgumentParser(description="Score every slide of a folder.")
    parser.add_argument("slides", type=Path, help="folder of slides")
    parser.add_argument("--model", default="nuclei", help="model package")
    parser.add_argument("--mpp", type=float, help="um per pixel, for slides that do not say it")
    parser.add_argument("--out", type=Path, default=Path("scores.csv"), help="table to write")
    return parser.parse_args()


def submit(client: Client, path: Path, arguments: argparse.Namespace) -> str | HistoserveError:
    """The job of a slide, or why there is none. Uploads that broke off go on where they were."""
    try:
        slide = client.add_slide(path, mpp=arguments.mpp)
        job = client.submit(slide, model=arguments.model)
    except HistoserveError as error:
        return error
    print(f"{path.name}: {job.id}", file=sys.stderr)
    return job.id


def finish(client: Client, path: Path, job: str | HistoserveError) -> dict[str, object]:
    """A row of the table, once the job is over."""
    row: dict[str, object] = {"slide": path.name, "job": "", "state": "refused", "problem": ""}
    if isinstance(job, HistoserveError):
        return row | {"problem": job.slug}
    done = client.wait(job)
    row |= {"job": done.id, "state": done.state}
    if done.problem is not None:
        return row | {"problem": done.problem.type.rsplit(":", 1)[1]}
    return row | dict(numbers(done.scores or {}))


def numbers(scores: dict[str, object], name: str = "") -> list[tuple[str, object]]:
    """The numbers of nested scores, each with its whole name."""
    found: list[tuple[str, object]] = []
    for key, value in scores.items():
        whole = f"{name}.{key}" if name else key
        found += numbers(value, whole) if isinstance(value, dict) else [(whole, value)]
    return found


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    """One row per slide; a column for each number that any of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
