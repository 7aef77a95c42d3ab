"""Files made to break a reader: each is refused within seconds, in bounded memory, with a typed error."""

import itertools
import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from models.errors import (
    HistoserveError,
    MppMissingError,
    RefusedInputError,
    SlideAbsurdError,
    SlideUnreadableError,
    SlideUnsupportedError,
)
from tests import making, making_raw
from tests.making_raw import LONG, SHORT, directory, image_tags, raw_tiff
from workers.geometry import Box
from workers.slides import ProbeLimits, open_slide, probe_slide

LIMIT_S = 5.0
LIMIT_BYTES = 600 << 20
GROWTH_BYTES = 64 << 20
BIG = 2**31

# Opens each file without any limit, and says what that took beyond the libraries: the header checks alone must suffice.
MEASURED = """
import json, resource, sys
from workers.slides import open_slide
import workers.slides.tiff, workers.slides.raster
from models.errors import HistoserveError
def taken():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
before, seen = taken(), {}
for path in sys.argv[1:]:
    start = taken()
    try:
        open_slide(path, 0.5)
        slug = "opened"
    except HistoserveError as error:
        slug = error.slug
    end = taken()
    seen[path] = {"slug": slug, "cpu_s": end[0] - start[0], "grown_bytes": end[1] - before[1]}
print(json.dumps(seen))
"""


def measure(paths: list[Path]) -> dict[str, dict]:
    """What opening each file took in one child, by file name."""
    command = [sys.executable, "-c", MEASURED, *map(str, paths)]
    child = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return {Path(path).name: seen for path, seen in json.loads(child.stdout).items()}


def children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bombs() -> dict[str, bytes]:
    """Small files with giant claims."""
    tags = image_tags(16, 16)
    many = 1 << 20
    big_entries = struct.pack("<HHQQ", 324, 16, 2**60, 64) * 3
    chain = b"".join(directory({256: (SHORT, [1])}, 8 + 18 * i, following=8 + 18 * (i + 1)) for i in range(20_000))
    sub_loop = image_tags(16, 16, t330=(LONG, [776] * 5000))
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", BIG - 1, BIG - 1) + bytes(9)
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08" + b"\xff\xff" * 2 + b"\x03" + b"\x01\x11\x00" * 3 + b"\xff\xda\x00\x02"
    return {
        "side": raw_tiff(image_tags(BIG, BIG)),
        "area": raw_tiff(image_tags(many - 16, many - 16)),
        "tile": raw_tiff(image_tags(16, 16, t322=(LONG, [BIG]), t323=(LONG, [BIG]))),
        "tile-count": raw_tiff(image_tags(600_000, 200_000)),
        "one-strip": raw_tiff({**image_tags(65_000, 65_000), 322: (LONG, [65_000]), 323: (LONG, [65_000])}),
        "loop": raw_tiff(tags, following=776),
        "sub-loop": raw_tiff(sub_loop),
        "chain": b"II*\0" + struct.pack("<I", 8) + chain,
        "entries": b"II*\0" + struct.pack("<IH", 8, 65_535) + bytes(65_535 * 12),
        "bigtiff-entries": b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**62),
        "bigtiff-count": b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 3) + big_entries + bytes(8),
        "jpeg-tile-65500": raw_tiff({**tags, 259: (SHORT, [7]), 325: (LONG, [len(jpeg)])}, jpeg.ljust(768, b"\0")),
        "png": png,
        "jpeg": jpeg,
        "xml": raw_tiff({**tags, 270: (2, _billion_laughs())}),
        "zeros": bytes(1 << 20),
        "random": np.random.default_rng(0).bytes(1 << 20),
    }


def _billion_laughs() -> bytes:
    names = "abcdefghi"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    text = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{entities}]><scn>&i;</scn>'
    return text.encode() + b"\0"


@pytest.fixture(scope="module")
def measured_bombs(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("bombs")
    for name, data in bombs().items():
        (folder / name).write_bytes(data)
    return measure(sorted(folder.iterdir()))


@pytest.mark.parametrize("name", sorted(bombs()))
def test_a_bomb_is_refused_by_the_checks_alone(measured_bombs, name):
    seen = measured_bombs[name]
    assert seen["slug"] in ("slide-absurd", "slide-unreadable", "slide-unsupported")
    assert seen["cpu_s"] < LIMIT_S
    assert seen["grown_bytes"] < GROWTH_BYTES


def test_the_broken_slides_are_refused(data_dir):
    paths = sorted((data_dir / "broken_slides").iterdir())
    assert paths
    for path in paths:
        before = children_cpu_s()
        with pytest.raises((SlideUnreadableError, SlideUnsupportedError)) as caught:
            probe_slide(path, 0.5)
        assert children_cpu_s() - before < LIMIT_S
        assert str(data_dir) not in str(caught.value)
    assert all(seen["grown_bytes"] < GROWTH_BYTES for seen in measure(paths).values())


def test_a_real_slide_cut_anywhere_is_refused(data_dir, tmp_path):
    """The main image ends near the middle of this file; behind it lie thumbnail, label and macro."""
    whole = (data_dir / "slides" / "CMU-1-Small-Region.svs").read_bytes()
    lengths = [
        0,
        1,
        4,
        7,
        8,
        16,
        100,
        4096,
        100_000,
        *(int(len(whole) * part) for part in (0.3, 0.6, 0.8, 0.95, 0.999)),
    ]
    for length in [*lengths, len(whole) - 100, len(whole) - 1]:
        path = tmp_path / "cut.svs"
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedInputError):
            open_slide(path)
        path.write_bytes(whole[:length] + bytes(len(whole) - length))
        if length < len(whole) * 0.7:
            with pytest.raises(RefusedInputError):
                open_slide(path)


def test_random_damage_never_escapes_as_another_error(data_dir, tmp_path):
    whole = (data_dir / "slides" / "rationai-CMU-1-small.tiff").read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / "damaged.tif"
    opened = 0
    headers = [16, *(i for i in range(0, len(whole), 1) if whole[i : i + 4] == b"\x00\x01\x03\x00")]
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 9))):
            place = int(rng.choice(headers)) + int(rng.integers(0, 300))
            data[min(place, len(data) - 1)] = int(rng.integers(0, 256))
        path.write_bytes(data)
        try:
            open_slide(path).close()
            opened += 1
        except HistoserveError as error:
            assert error.detail
    assert opened < 150


def test_a_dicom_whose_value_is_longer_than_the_file(tmp_path):
    path = making_raw.write_dicom(tmp_path / "a.dcm", making.tissue(200, 200))
    data = bytearray(path.read_bytes())
    at = data.index(b"ACME") - 2
    data[at : at + 2] = b"\xff\xff"
    path.write_bytes(data)
    with pytest.raises(RefusedInputError):
        probe_slide(path)


def test_the_child_tells_what_the_parent_would_have_found(tmp_path):
    path = making.write_svs(tmp_path / "a.svs", making.tissue(600, 400))
    assert probe_slide(path) == open_slide(path).info
    assert probe_slide(path, 0.3).mpp_source == "override"
    bare = making.write_svs(tmp_path / "b.svs", making.tissue(600, 400), mpp=None)
    with pytest.raises(MppMissingError, match="--mpp") as caught:
        probe_slide(bare)
    with pytest.raises(MppMissingError) as here:
        open_slide(bare)
    assert caught.value.as_problem() == here.value.as_problem()


def test_a_child_that_runs_out_of_memory_or_time_is_a_refusal(tmp_path):
    path = making.write_pyramid(tmp_path / "a.tif", making.tissue(4000, 300), tile_px=4096)
    assert probe_slide(path).width_px == 4000
    with pytest.raises(SlideAbsurdError, match="more than 0"):
        probe_slide(path, limits=ProbeLimits(wall_s=0.05))
    with pytest.raises(SlideAbsurdError, match="4194304 bytes of memory"):
        probe_slide(path, limits=ProbeLimits(memory_bytes=4 << 20))


def test_the_parent_never_takes_the_memory_of_the_child(tmp_path):
    path = making.write_pyramid(tmp_path / "a.tif", making.tissue(300, 300))
    # In a process of its own: what other tests' children took would count here too.
    code = (
        "import resource, sys; from pathlib import Path; from workers.slides import probe_slide\n"
        "peak = lambda who: resource.getrusage(who).ru_maxrss\n"
        "before = peak(resource.RUSAGE_SELF); probe_slide(Path(sys.argv[1]))\n"
        "print(peak(resource.RUSAGE_SELF) - before, peak(resource.RUSAGE_CHILDREN))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    grown_kib, child_kib = map(int, done.stdout.split())
    assert grown_kib < 20_000
    assert child_kib * 1024 < LIMIT_BYTES


def test_a_file_that_shrinks_while_it_is_read_is_an_error_not_a_crash(tmp_path):
    path = making.write_pyramid(tmp_path / "a.tif", making.tissue(1200, 900), factors=(1,))
    slide = open_slide(path)
    os.truncate(path, 20_000)
    with pytest.raises(SlideUnreadableError, match="shrank"):
        slide.read(Box(0, 0, 1200, 900), 0.5)


def test_pydicom_is_told_to_be_quiet_only_while_it_parses(tmp_path, recwarn):
    path = making_raw.write_dicom(tmp_path / "a.dcm", making.tissue(200, 200), StudyID="x" * 40)
    recwarn.clear()
    open_slide(path).close()
    assert not recwarn.list
    assert pydicom.config.settings.reading_validation_mode == pydicom.config.WARN
