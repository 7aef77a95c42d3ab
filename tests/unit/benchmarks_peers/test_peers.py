"""What is pure in the comparison with peers: ratios, turns, pixels, patches, the table."""

import sys

import numpy as np
import pytest

from benchmarks.peers.agreement import class_agreement, on_grid, patches_apart, pixel_difference
from benchmarks.peers.table import table
from benchmarks.peers.timing import ChildFailedError, Usage, compared, in_turns, run_child


def usage(wall_s, cpu_s=1.0, peak_bytes=100):
    return Usage(wall_s, cpu_s, peak_bytes, 2 * peak_bytes, 0.5, 1.5)


def test_turns_go_forth_and_back():
    order = []

    def run(name):
        return lambda: order.append(name) or usage(1.0)

    taken = in_turns({"a": run("a"), "b": run("b"), "c": run("c")}, 3)
    assert "".join(order) == "abccbaabc"
    assert {name: len(runs) for name, runs in taken.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_taken_within_a_turn():
    taken = {"peer": [usage(10.0), usage(40.0), usage(6.0)], "ours": [usage(5.0), usage(10.0), usage(6.0)]}
    told = compared(taken, {"all": ("peer", "ours")})
    assert told["ratios"]["all"]["wall_s"] == {"median": 2.0, "min": 1.0, "max": 4.0, "n": 3}
    assert told["ratios"]["all"]["theirs"] == "peer"
    assert told["runs"]["peer"]["wall_s"]["median"] == 10.0
    assert told["runs"]["ours"]["load_average"] == {"median": 1.0, "min": 0.5, "max": 1.5, "n": 6}


def test_a_child_is_measured_whole():
    held = 64_000_000
    work = f"import subprocess, sys; x = bytearray({held}); x[::4096] = b'1' * len(x[::4096]); print(len(x))"
    alone = run_child([sys.executable, "-I", "-S", "-c", "pass"])
    taken = run_child([sys.executable, "-I", "-S", "-c", work])
    assert taken.peak_bytes - alone.peak_bytes == pytest.approx(held, rel=0.1)
    assert 0 < taken.cpu_s < 10
    assert taken.wall_s > 0


def test_a_child_that_fails_says_why():
    with pytest.raises(ChildFailedError, match="no such slide"):
        run_child([sys.executable, "-I", "-S", "-c", "raise SystemExit('no such slide')"])


def test_pixels_that_were_not_computed_are_not_compared():
    ours = np.full((3, 2, 2), 255, np.uint8)
    ours[:, 0, 0], ours[:, 0, 1] = (10, 20, 30), (40, 50, 60)
    theirs = np.zeros((3, 2, 2), np.uint8)
    theirs[:, 0, 0], theirs[:, 0, 1] = (11, 20, 30), (40, 57, 60)
    told = pixel_difference(ours, theirs)
    assert told == {
        "compared": 0.5,
        "largest": 7,
        "off_by_one": pytest.approx(1 / 6),
        "off_by_more": pytest.approx(1 / 6),
    }


def test_classes_agree_where_we_computed():
    ours = np.array([[0, 1, 2, 255], [0, 1, 1, 255]], np.uint8)
    theirs = np.array([[0, 1, 2, 0], [0, 2, 1, 1]])
    assert class_agreement(ours, theirs) == {"compared": 0.75, "same": pytest.approx(5 / 6)}


def test_patches_between_the_grids_are_left_out():
    rows = [(0, 0, 0.1), (350, 700, 0.2), (175, 350, 0.3), (350, 10, 0.4)]
    assert on_grid(rows, 350) == {(0, 0): 0.1, (1, 2): 0.2}


def test_probabilities_are_compared_where_both_have_a_patch():
    stored = np.zeros((2, 1, 3), np.uint8)
    stored[1, 0] = (51, 102, 255)
    classes = np.array([[0, 0, 255]], np.uint8)
    told = patches_apart({(0, 0): 0.2, (1, 0): 0.5, (2, 0): 0.0, (0, 7): 0.9}, stored, classes)
    assert told == {"compared": 2, "largest": pytest.approx(0.1), "step": 1 / 255}


def test_the_table_shows_every_comparison_and_every_failure():
    taken = {"tiatoolbox": [usage(30.0, 20.0, 4 * 10**9)], "ours": [usage(10.0, 5.0, 10**9)]}
    part = {"side_px": 4096, "goal": 2.0, "machine": {"cores": 2}, "tiles": {"tiatoolbox": 64, "ours": 60}}
    report = {
        "peers": {
            "install": {
                "wsinfer": {"installed": False, "how_far": "import it:\n no module | h5py", "notes": "old"},
                "tiatoolbox": {"installed": True, "versions": {"tiatoolbox": "2.1.3", "torch": "2.13.0"}, "notes": ""},
            },
            "readers": {"tiffslide": "3.0.1"},
            "tiatoolbox": part | compared(taken, {"default": ("tiatoolbox", "ours")}),
            "wsinfer": {"failed": "not over after 9 s", "machine": {"cores": 2}},
        }
    }
    text = table(report)
    assert "| default | 30.0, 20.0, 4.00 | 10.0, 5.0, 1.00 | 3.00 | 4.00 | 4.00 |" in text
    assert "4096 px square; tiles tiatoolbox 64, ours 60; 1 turns; load average up to 1.5 on 2 cores; goal 2." in text
    assert "| wsinfer | no: import it: no module / h5py |" in text
    assert "It did not run: not over after 9 s" in text
    assert "| tiatoolbox | 2.1.3 | 2.13.0 |" in text


def test_readers_are_told_from_the_part_that_measured_them():
    ratio = {"median": 4.5, "min": 4.0, "max": 5.0, "n": 9}
    reading = {"mpix_per_s": {"tiffslide": {"median": 50.4}, "openslide": {"median": 42.0}}}
    reading |= {"ratio_to_tiffslide": ratio, "ratio_to_openslide": ratio}
    reading["goals"] = {"ratio_to_tiffslide": 4.0, "ratio_to_openslide": 4.0}
    assert "| tiffslide | 50 | **4.50** (4.00 to 5.00) | 4 |" in table({"peers": {"readers": {}}, "reading": reading})


def test_nothing_measured_is_said():
    assert "make bench-peers" in table({})
