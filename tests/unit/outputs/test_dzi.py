"""Deep Zoom images, put together again as a viewer does it: its rule for which tiles to ask for is OpenSeadragon's."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.unit.outputs.samples import make_frame, make_spec, store
from workers.geometry import Box
from workers.outputs.dzi import XMLNS, display_rects, dzi_folder, halve_flags, remove_dzi, write_dzi
from workers.outputs.maps import MapSpec, read_box
from workers.outputs.marks import MARK
from workers.outputs.place import place_of
from workers.outputs.pyramid import build_pyramid, halve

WIDTH, HEIGHT = 700, 530
TILE = 254


def picture(width: int, height: int) -> np.ndarray:
    """Smooth, so that JPEG keeps it."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack((250 * x, 250 * y, 120 + 100 * x * y)).astype(np.uint8)


def written(folder: Path, values: np.ndarray, **changes) -> tuple[MapSpec, Path]:
    spec = make_spec(values.shape[2], values.shape[1], "image", shard=256, chunk=128)
    store(folder, spec, values)
    build_pyramid(folder, spec)
    spec = replace(spec, **changes)
    path = folder / "picture.dzi"
    write_dzi(folder, spec, place_of(make_frame(spec.width_px, spec.height_px)), path)
    return spec, path


class Viewer:
    """Reads a `.dzi` and asks for tiles."""

    def __init__(self, path: Path) -> None:
        root = ElementTree.parse(path).getroot()  # noqa: S314  # we have just written it
        assert root.tag == f"{{{XMLNS}}}Image" and root.get("Format") == "jpg"
        assert (root.get("TileSize"), root.get("Overlap")) == (str(TILE), "1")
        size = root.find(f"{{{XMLNS}}}Size")
        self.width, self.height = int(size.get("Width")), int(size.get("Height"))
        self.finest = math.ceil(math.log2(max(self.width, self.height)))
        self.rects = [
            (
                *(int(shown.find(f"{{{XMLNS}}}Rect").get(k)) for k in ("X", "Y", "Width", "Height")),
                shown.get("MaxLevel"),
            )
            for shown in root.iter(f"{{{XMLNS}}}DisplayRect")
        ]
        self.tiles = dzi_folder(path)

    def asks_for(self, level: int, column: int, row: int) -> bool:
        scale = 0.5 ** (self.finest - level)
        return not self.rects or any(
            level <= int(most)
            and math.floor(x * scale / TILE) <= column < math.ceil((x + width) * scale / TILE)
            and math.floor(y * scale / TILE) <= row < math.ceil((y + height) * scale / TILE)
            for x, y, width, height, most in self.rects
        )

    def level(self, level: int) -> tuple[np.ndarray, set[str]]:
        """(the picture of a level, the files it is made of); white where no tile is asked for."""
        step = 2 ** (self.finest - level)
        width, height = math.ceil(self.width / step), math.ceil(self.height / step)
        canvas, files = np.full((height, width, 3), 255, np.uint8), set()
        for row in range(math.ceil(height / TILE)):
            for column in range(math.ceil(width / TILE)):
                if not self.asks_for(level, column, row):
                    continue
                name = f"{level}/{column}_{row}.jpg"
                left, top = max(0, column * TILE - 1), max(0, row * TILE - 1)
                right, bottom = min(width, (column + 1) * TILE + 1), min(height, (row + 1) * TILE + 1)
                with Image.open(self.tiles / name) as tile:
                    assert tile.size == (right - left, bottom - top)
                    canvas[top:bottom, left:right] = np.asarray(tile.convert("RGB"))
                files.add(name)
        return canvas, files


def test_every_level_is_the_map(tmp_path):
    spec, path = written(tmp_path, picture(WIDTH, HEIGHT))
    viewer = Viewer(path)
    assert (viewer.width, viewer.height, viewer.finest) == (WIDTH, HEIGHT, 10) and not viewer.rects
    expected = read_box(tmp_path, spec, Box(0, 0, WIDTH, HEIGHT))
    files = set()
    for level in range(10, -1, -1):
        seen, names = viewer.level(level)
        # JPEG keeps what is smooth; a few px wide the gradient is none any more.
        assert np.abs(seen.astype(int) - expected.transpose(1, 2, 0)).max() <= (12 if level > 5 else 40)
        files |= names
        expected = halve(expected, is_classes=False)
    assert expected.shape == (3, 1, 1) and spec.levels == 2
    assert files == {p.relative_to(viewer.tiles).as_posix() for p in viewer.tiles.rglob("*.jpg")}


def test_blank_tiles_have_no_file_and_no_viewer_asks_for_them(tmp_path):
    values = np.full((3, 1100, 1500), 255, np.uint8)
    values[:, 300:400, 600:700] = 90
    values[:, 1099, 1499] = 0
    _, path = written(tmp_path, values)
    viewer = Viewer(path)
    files: set[str] = set()
    for level in range(viewer.finest + 1):
        seen, names = viewer.level(level)
        files |= names
        if level == viewer.finest:
            assert names == {f"{level}/2_1.jpg", f"{level}/5_4.jpg"}
            assert (np.abs(seen.astype(int) - values.transpose(1, 2, 0)) <= 12).mean() > 0.9999
    assert files == {p.relative_to(viewer.tiles).as_posix() for p in viewer.tiles.rglob("*.jpg")}
    assert {f"{level}/0_0.jpg" for level in range(9)} <= files


def test_a_map_of_nothing_still_opens(tmp_path):
    _, path = written(tmp_path, np.full((3, 600, 600), 255, np.uint8))
    viewer = Viewer(path)
    assert viewer.rects and viewer.level(10)[1] == {"10/0_0.jpg"}
    assert all((viewer.level(level)[0] == 255).all() for level in range(11))


@pytest.mark.parametrize("size", [(1, 1), (254, 1), (255, 3), (256, 256), (257, 9)])
def test_any_size_has_its_levels(tmp_path, size):
    width, height = size
    _, path = written(tmp_path, np.full((3, height, width), 100, np.uint8))
    viewer = Viewer(path)
    for level in range(viewer.finest + 1):
        assert np.abs(viewer.level(level)[0].astype(int) - 100).max() <= 2
    assert not (viewer.tiles / str(viewer.finest + 1)).exists()


def test_the_mark_is_in_the_description_and_in_every_tile(tmp_path):
    _, path = written(tmp_path, picture(300, 300), virtual="Ki-67 -- (virtual stain)")
    text = path.read_text()
    assert MARK in text and "Ki-67 - - (virtual stain)" in text
    Viewer(path)
    for tile in dzi_folder(path).rglob("*.jpg"):
        with Image.open(tile) as image:
            assert MARK in image.info["comment"].decode() and "Research use only" in image.info["comment"].decode()


def test_the_same_map_gives_the_same_files_whatever_lay_there(tmp_path):
    _, path = written(tmp_path, picture(300, 280))
    first = {p: p.read_bytes() for p in [path, *sorted(dzi_folder(path).rglob("*.jpg"))]}
    (dzi_folder(path) / "9" / "7_7.jpg").write_bytes(b"of an earlier run")
    spec = make_spec(300, 280, "image", shard=256, chunk=128)
    write_dzi(tmp_path, spec, place_of(make_frame(300, 280)), path)
    assert {p: p.read_bytes() for p in [path, *sorted(dzi_folder(path).rglob("*.jpg"))]} == first
    remove_dzi(path)
    remove_dzi(path)
    assert not path.exists() and not dzi_folder(path).exists()


def test_a_run_that_is_stopped_leaves_no_half_picture(tmp_path):
    spec = make_spec(600, 600, "image", shard=256, chunk=128)
    store(tmp_path, spec, np.full((3, 600, 600), 7, np.uint8))
    build_pyramid(tmp_path, spec)
    rows = iter([None, None])

    def check() -> None:
        next(rows)

    path = tmp_path / "picture.dzi"
    with pytest.raises(StopIteration):
        write_dzi(tmp_path, spec, place_of(make_frame(600, 600)), path, check)
    assert not path.exists() and not dzi_folder(path).exists()


def test_flags_of_a_coarser_level():
    flags = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1]], bool)
    assert halve_flags(flags).tolist() == [[True, False], [False, True]]


def test_rectangles_share_what_they_can():
    flags = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [1, 0, 0, 1]], bool)
    assert sorted(display_rects(flags)) == sorted([Box(0, 0, 2, 2), Box(3, 0, 1, 1), Box(0, 2, 1, 1), Box(3, 2, 1, 1)])


def test_rectangles_cover_the_flags_and_nothing_else():
    rng = np.random.default_rng(5)
    for _ in range(20):
        flags = rng.random((9, 7)) < 0.4
        covered = np.zeros(flags.shape, int)
        for box in display_rects(flags):
            covered[box.y : box.bottom, box.x : box.right] += 1
        np.testing.assert_array_equal(covered, flags)
