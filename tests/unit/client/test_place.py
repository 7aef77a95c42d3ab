"""Which service is meant, and which key goes to it."""

import json

import pytest

from service.client.errors import NoServiceError
from service.client.place import Place, find_place


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    monkeypatch.setenv("HISTOSERVE_HOME", str(tmp_path))
    for name in ("HISTOSERVE_URL", "HISTOSERVE_KEY"):
        monkeypatch.delenv(name, raising=False)


def leave_key(tmp_path) -> None:
    (tmp_path / "key").write_text(json.dumps({"url": "http://127.0.0.1:9", "key": "hs.up.s"}))


def test_what_is_given_comes_first_then_the_environment_then_the_key_file(tmp_path, monkeypatch) -> None:
    leave_key(tmp_path)
    assert find_place() == Place("http://127.0.0.1:9", "hs.up.s")
    monkeypatch.setenv("HISTOSERVE_URL", "https://lab/")
    monkeypatch.setenv("HISTOSERVE_KEY", "hs.env.s")
    assert find_place() == Place("https://lab", "hs.env.s")
    assert find_place("https://other", "hs.arg.s") == Place("https://other", "hs.arg.s")


def test_the_key_of_the_key_file_goes_to_no_other_service(tmp_path, monkeypatch) -> None:
    leave_key(tmp_path)
    monkeypatch.setenv("HISTOSERVE_URL", "https://elsewhere")
    with pytest.raises(NoServiceError, match="no API key for https://elsewhere"):
        find_place()
    assert find_place("http://127.0.0.1:9/").key == "hs.up.s"


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "\x00"])
def test_without_a_service_it_is_told_what_to_do(tmp_path, content) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(NoServiceError, match="histoserve up"):
        find_place()


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(NoServiceError, match="ftp"):
        find_place("ftp://x", "k")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8", True),
        ("http://[::1]:8", True),
        ("http://localhost", True),
        ("https://lab.example", False),
    ],
)
def test_the_own_machine_is_known_as_such(url: str, local: bool) -> None:
    assert Place(url, "k").is_local is local
