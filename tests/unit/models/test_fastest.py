"""The race between runtimes: the quickest wins, the others are no choice, and the outcome is remembered."""

import json
import time
from dataclasses import dataclass, field

import pytest

from models.errors import GoldenMismatchError, ProviderUnavailableError
from models.runtimes.fastest import open_fastest, outcomes_path
from tests.toy_predictor import ToyPredictor, toy_manifest


@dataclass
class Stable:
    """Providers by name: seconds of a batch, or why it cannot run."""

    seconds: dict[str, float | Exception]
    opened: list[str] = field(default_factory=list)

    def open(self, name: str) -> ToyPredictor:
        self.opened.append(name)
        pace = self.seconds[name]
        if isinstance(pace, Exception):
            raise pace
        predictor = ToyPredictor(toy_manifest())
        answer = predictor.predict

        def slowed(batch, statistics=None):
            time.sleep(pace)
            return answer(batch, statistics)

        predictor.predict = slowed
        predictor.name = name
        return predictor


def test_the_quickest_wins_and_is_not_raced_again(tmp_path):
    stable, file = Stable({"slow": 0.08, "quick": 0.001}), tmp_path / "cache" / "outcomes.json"
    assert open_fastest(("slow", "quick"), "net", stable.open, file).name == "quick"
    assert list(json.loads(file.read_text()).values()) == ["quick"]
    stable.opened.clear()
    assert open_fastest(("slow", "quick"), "net", stable.open, file).name == "quick"
    assert stable.opened == ["quick"]
    stable.seconds = {"slow": 0.001, "quick": 0.08}
    assert open_fastest(("slow", "quick"), "another net", stable.open, file).name == "slow"
    assert len(json.loads(file.read_text())) == 2


def test_what_is_not_installed_or_answers_wrongly_is_no_choice(tmp_path):
    stable = Stable({"absent": ProviderUnavailableError("no"), "wrong": GoldenMismatchError("no"), "slow": 0.02})
    assert open_fastest(tuple(stable.seconds), "net", stable.open, tmp_path / "o.json").name == "slow"
    none = Stable({"absent": ProviderUnavailableError("no")})
    with pytest.raises(ProviderUnavailableError, match="on none of absent"):
        open_fastest(("absent",), "net", none.open, tmp_path / "o.json")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_broken_memory_is_no_memory(tmp_path, text):
    file = tmp_path / "o.json"
    file.write_text(text)
    assert open_fastest(("one",), "net", Stable({"one": 0.0}).open, file).name == "one"
    assert "one" in json.loads(file.read_text()).values()


def test_the_memory_lies_in_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert outcomes_path() == tmp_path / "histoserve" / "fastest.json"
