"""The whole interface under generated requests: nothing breaks, nothing is answered that is not documented."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from tests.finished import finished_job
from tests.integration.ledger.made import made_job, made_slide
from tests.serving import Served, made_settings, served
from workers.ledger.jobs import cancel_job
from workers.ledger.leases import fail_job

OPENAPI = Path(__file__).parents[2] / "openapi" / "openapi.json"
EXAMPLES = 30
REFUSED = [400, 401, 403, 404, 405, 406, 409, 410, 411, 412, 413, 415, 422, 429]
TAKEN = ["2xx", "3xx", 400, 401, 403, 404, 409, 410, 412, 413, 415, 416, 422, 429, 460]
"""What is right by the schema can still be wrong for what is there; see `_check_refusal`."""
CHECKS = {
    "negative_data_rejection": {"expected-statuses": REFUSED},
    "missing_required_header": {"expected-statuses": REFUSED},
    "positive_data_acceptance": {"expected-statuses": TAKEN},
}
schemathesis.openapi.media_type("application/offset+octet-stream", st.binary(max_size=100))
schema = schemathesis.openapi.from_path(OPENAPI, config=SchemathesisConfig.from_dict({"checks": CHECKS}))


@dataclass(frozen=True)
class World:
    """A service with something in it, and a key that may do everything."""

    service: Served
    key: str
    names: dict[str, list[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    with served(made_settings(tmp_path_factory.mktemp("home"), max_queued_jobs=50)) as service:
        ledger = service.ledger
        open_job, cancelled, failed = (made_job(ledger).id for _ in range(3))
        with ledger.write() as connection:
            cancel_job(connection, "lab", cancelled)
            fail_job(connection, failed, {"type": "urn:histoserve:internal", "title": "t", "detail": "d"})
        done = finished_job(service, {"result.json": b"{}", "maps/m/zarr.json": b"{}", "overview.png": b"png"})
        key = service.key(scopes=("read", "write", "admin"))
        names = {
            "job_id": [done, cancelled, failed, open_job],
            "slide_id": [made_slide(ledger).id for _ in range(4)],
            "name": ["result.json"],
            "version": ["1.0.0"],
            "key": ["m/zarr.json"],
        }
        yield World(service, key, names)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_interface_is_as_documented(case, world):
    # Headers that nobody asked for are none of our business: proxies add them.
    assume("x-schemathesis-unknown-property" not in (case.headers or {}))
    _point_at_something(case, world)
    headers = {"Authorization": f"Bearer {world.key}"}
    answer = case.call_and_validate(base_url=world.service.url, headers=headers, timeout=30)
    _check_refusal(case, answer)


def _point_at_something(case: Any, world: World) -> None:
    """Half of the requests are about what is there; none waits long."""
    drawn = sum(repr((case.query, case.headers, case.body, case.path_parameters)).encode())
    for name in case.path_parameters:
        known = world.names.get(name, []) if "/models/" not in case.path else []
        if drawn % 2 and known:
            case.path_parameters[name] = known[drawn // 2 % len(known)]
    if isinstance(case.query.get("wait"), int | float) and case.query["wait"] > 0:
        case.query["wait"] = min(case.query["wait"], 0.1)


def _check_refusal(case: Any, answer: Any) -> None:
    """What keeps to the schema is not refused as if it did not."""
    is_positive = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_positive and answer.status_code == 422:
        assert answer.json()["type"] != "urn:histoserve:request-invalid", (answer.text, case.as_curl_command())
