"""Compose file and images keep their promises: plain users, read-only roots, health checks, no default secrets."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = sorted(path.name for path in (REPOSITORY / "docker").glob("*.Dockerfile"))
PIXELS = {
    "torch",
    "numpy",
    "zarr",
    "tifffile",
    "tiffslide",
    "imagecodecs",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
}


def test_the_parts_are_those_of_the_docs() -> None:
    assert set(SERVICES) == {"postgres", "redis", "service", "worker-cpu", "worker-gpu"}
    assert [name for name, part in SERVICES.items() if "profiles" in part] == ["worker-gpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_part_is_hardened(name: str) -> None:
    part = SERVICES[name]
    assert int(part["user"].split(":")[0]) > 0
    assert part["read_only"] is True
    assert part["cap_drop"] == ["ALL"]
    assert "cap_add" not in part
    assert not part.get("privileged", False)
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert part["healthcheck"]["test"]
    assert part["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_part_writes_outlives_it_in_a_named_volume(name: str) -> None:
    volumes = [entry.split(":")[0] for entry in SERVICES[name]["volumes"]]
    assert volumes
    assert set(volumes) <= set(COMPOSE["volumes"])


def test_only_the_service_is_published_and_on_loopback() -> None:
    ports = {name: part["ports"] for name, part in SERVICES.items() if "ports" in part}
    assert list(ports) == ["service"]
    assert all(port.startswith("127.0.0.1:") for port in ports["service"])
    inside = {name for name, part in SERVICES.items() if part["networks"] == ["inside"]}
    assert inside == set(SERVICES) - {"service"}
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_parts_start_after_what_they_need() -> None:
    needs = {name: part["depends_on"] for name, part in SERVICES.items() if "depends_on" in part}
    assert {name: set(need) for name, need in needs.items()} == {
        "service": {"postgres", "redis"},
        "worker-cpu": {"service"},
        "worker-gpu": {"service"},
    }
    assert {why["condition"] for need in needs.values() for why in need.values()} == {"service_healthy"}


def test_no_password_has_a_default() -> None:
    """Every variable of a secret stops compose where it is not set."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    secrets = {(name, rest[:2]) for name, rest in used if "PASSWORD" in name}
    assert secrets == {("POSTGRES_PASSWORD", ":?"), ("REDIS_PASSWORD", ":?")}
    for part in SERVICES.values():
        for name, value in part.get("environment", {}).items():
            assert "PASSWORD" not in name or str(value).startswith("${")


def test_redis_keeps_its_log_on_disk() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "--requirepass" in command


def test_workers_have_longer_to_stop_than_they_take() -> None:
    from workers.daemon.supervise import GRACE_S

    for name in ("worker-cpu", "worker-gpu"):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > GRACE_S


@pytest.mark.parametrize("name", ["service", "worker-cpu", "worker-gpu"])
def test_a_built_part_has_its_image(name: str) -> None:
    assert SERVICES[name]["build"] == {"context": ".", "dockerfile": f"docker/{name}.Dockerfile"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_plain_user_and_is_checked(image: str) -> None:
    text = (REPOSITORY / "docker" / image).read_text()
    last = text.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (\d+):", last, re.M) == ["10001"]
    assert "HEALTHCHECK" in last
    assert 'ENTRYPOINT ["histoserve"]' in last


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_made_of_what_the_build_is_sent(image: str) -> None:
    sent = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--)(.+)$", (REPOSITORY / "docker" / image).read_text(), re.M):
        for source in line.split()[:-1]:
            assert f"!{source}" in sent
            assert (REPOSITORY / source).exists()


def test_the_service_image_asks_for_no_pixels() -> None:
    """The extras it installs, and those they name, hold nothing of the engine."""
    line = (REPOSITORY / "docker" / "service.Dockerfile").read_text()
    extras = set(re.findall(r"'\.\[([\w,-]+)\]'", line)[0].split(","))
    assert extras == {"service", "s3"}
    assert not {requirement.name for requirement in requirements(extras)} & PIXELS


def requirements(extras: set[str]) -> list[Requirement]:
    """What `pip install '.[extras]'` asks for, extras of extras followed."""
    project = tomllib.loads(Path(REPOSITORY, "pyproject.toml").read_text())["project"]
    wanted, found, seen = list(project["dependencies"]), [], set()
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    while wanted:
        requirement = Requirement(wanted.pop())
        if requirement.name != "histoserve":
            found.append(requirement)
        for extra in requirement.extras if requirement.name == "histoserve" else ():
            if extra not in seen:
                seen.add(extra)
                wanted += project["optional-dependencies"][extra]
    return found
