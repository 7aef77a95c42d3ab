"""Options files are literals or text, and never run."""

import pytest

from models.errors import PackageInvalidError
from models.importers.deepliif.options import parse_options, parse_value, read_options


def test_lines_are_keys_and_literals():
    text = (
        "----------------- Options ---------------\n"
        "   batch_size: 1                             \t[default: 8]\n"
        "        model: DeepLIIF   [default: DeepLIIF]\n"
        "  seg_weights: [0.25, 0.15, 0.25, 0.1, 0.25] [default: None]\n"
        "   no_dropout: False\n"
        "     dataroot: C:/data: here\n"
        "    mod_id_seg: None\n"
    )
    assert parse_options(text) == {
        "batch_size": 1,
        "model": "DeepLIIF",
        "seg_weights": [0.25, 0.15, 0.25, 0.1, 0.25],
        "no_dropout": False,
        "dataroot": "C:/data: here",
        "mod_id_seg": None,
    }


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {marker}')",
        "open({marker!r}, 'w')",
        "[x for x in (open({marker!r}, 'w'),)]",
        "exec('open({marker!r}, \"w\")')",
        "float('nan')",
        "1 if True else 2",
        "",
    ],
)
def test_code_stays_text_and_is_not_run(text, tmp_path):
    marker = tmp_path / "ran"
    code = text.replace("{marker!r}", repr(str(marker))).replace("{marker}", str(marker))
    assert parse_value(code) == code
    assert not marker.exists()


@pytest.mark.parametrize(
    "text", ["(" * 2000, "[" * 1500 + "]" * 500, "-" * 2040 + "1", "9" * 100_000, "'\0'", "'\\d'["]
)
def test_values_made_to_break_the_parser_stay_text(text):
    assert parse_value(text) == text


def test_the_options_of_testing_come_first(tmp_path):
    (tmp_path / "train_opt.txt").write_text("ngf: 1")
    assert read_options(tmp_path) == {"ngf": 1}
    (tmp_path / "test_opt.txt").write_text("ngf: 2")
    assert read_options(tmp_path) == {"ngf": 2}


def test_no_options_and_too_large_ones_are_refused(tmp_path):
    with pytest.raises(PackageInvalidError, match="neither test_opt"):
        read_options(tmp_path)
    (tmp_path / "train_opt.txt").write_text("a: 1\n" * 20_000)
    with pytest.raises(PackageInvalidError, match="100000 bytes"):
        read_options(tmp_path)
