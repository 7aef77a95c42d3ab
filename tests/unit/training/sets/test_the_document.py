"""The examples of docs/training-data.md are read as it says."""

import re
import tomllib
from pathlib import Path

import pytest

from training.sets.coco import read_coco
from training.sets.labelme import read_labelme
from training.sets.marks import Mark
from training.sets.sources import MarksConfig, SourcesConfig

DOCUMENT = Path(__file__).parents[4] / "docs" / "training-data.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", examples("toml"))
def test_tables_are_valid(text):
    assert SourcesConfig.model_validate(tomllib.loads(text)).data[0].mpp == 0.25


def test_every_key_is_told_of():
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*$", DOCUMENT.read_text("utf-8"), re.MULTILINE))))
    assert set(MarksConfig.model_fields) <= told


def test_json_examples_are_read(tmp_path):
    labelme, coco = examples("json")
    (tmp_path / "roi-1.json").write_text(labelme)
    assert read_labelme(tmp_path / "roi-1.json", 0.25)[0].marks[1] == Mark(56, 78, "negative", 32, 36)
    (tmp_path / "midog.json").write_text(coco)
    assert read_coco(tmp_path / "midog.json", 0.25)[0].marks == (Mark(295, 4069, "not mitotic figure", 50, 50),)
