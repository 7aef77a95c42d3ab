"""What a woken worker makes of slides and jobs that cannot be worked on: each ends, with its own problem."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.integration.ledger.made import ORDER
from training.phantom.spec import PhantomSpec
from training.phantom.write import write_phantom
from workers.contract.settings import Settings
from workers.contract.store import open_store
from workers.ledger import Ledger, migrate, open_ledger
from workers.ledger.events import list_events
from workers.ledger.jobs import JobRow, NewJob, create_job, job_of_any_tenant, list_attempts
from workers.ledger.slides import NewSlide, create_slide, slide_of_any_tenant
from workers.wake.answer import answer

NUCLEI = "nuclei@1.0.0"


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Iterator[Settings]:
    """A deployment without Redis; signals are given back."""
    for name, value in {"HOME": tmp_path / "home", "REDIS_URL": "redis://127.0.0.1:1/0", "HEARTBEAT_S": 0.2}.items():
        monkeypatch.setenv(f"HISTOSERVE_{name}", str(value))
    before = signal.getsignal(signal.SIGTERM)
    yield Settings()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def ledger(settings) -> Iterator[Ledger]:
    migrate(settings.database)
    opened = open_ledger(settings.database)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.tiff"
    write_phantom(PhantomSpec(seed=3, width_px=600, height_px=600, mpp=0.5, tissue=0.7), {"he": path})
    return path


def hand_in(ledger: Ledger, settings: Settings, path: Path | None, **fields) -> str:
    if path is not None:
        open_store(settings).put(path, "slides/upl_1")
    new = NewSlide(**({"origin": "upload", "uri": "store:slides/upl_1"} | fields))
    with ledger.write() as connection:
        return create_slide(connection, "lab", new).id


def order(ledger: Ledger, slide_id: str, package: str = NUCLEI, **fields) -> str:
    body = ORDER | {"package": package} | fields
    with ledger.write() as connection:
        return create_job(connection, "lab", NewJob(slide_id, package, body), 100).id


def job_of(ledger: Ledger, job_id: str) -> JobRow:
    with ledger.read() as connection:
        return job_of_any_tenant(connection, job_id)


def failure(ledger: Ledger, job_id: str) -> str:
    job = job_of(ledger, job_id)
    assert job.state == "failed"
    return job.problem["type"].removeprefix("urn:histoserve:")


def test_a_slide_is_told_as_it_was_found(ledger, settings, small):
    slide_id = hand_in(ledger, settings, small)
    answer(f"slide:{slide_id}")
    with ledger.read() as connection:
        slide = slide_of_any_tenant(connection, slide_id)
    assert (slide.state, slide.size_bytes) == ("ready", small.stat().st_size)
    assert (slide.info["width_px"], slide.info["mpp"], slide.info["stain_guess"]["stain"]) == (600, 0.5, "he")


@pytest.mark.parametrize(
    ("make", "fields", "slug"),
    [
        (lambda path: path.write_bytes(b"no slide" * 1000), {}, "slide-unreadable"),
        (lambda path: tifffile.imwrite(path, np.full((600, 600, 3), 200, np.uint8)), {}, "mpp-missing"),
        (lambda path: path.write_bytes(b"x"), {"sha256_stated": "0" * 64}, "slide-changed"),
    ],
)
def test_a_slide_that_cannot_be_used_is_refused_and_so_is_its_job(ledger, settings, tmp_path, make, fields, slug):
    path = tmp_path / "slide"
    make(path)
    slide_id = hand_in(ledger, settings, path, **fields)
    job_id = order(ledger, slide_id)
    answer(f"job:{job_id}")
    with ledger.read() as connection:
        slide = slide_of_any_tenant(connection, slide_id)
    assert (slide.state, slide.problem["type"]) == ("refused", f"urn:histoserve:{slug}")
    assert slide.problem["remedy"]
    assert failure(ledger, job_id) == slug


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"package": "nuclei@9.9.9"}, "model-unknown"),
        ({"mpp": 4.0}, "mpp-out-of-range"),
        (
            {"regions": {"type": "Polygon", "coordinates": [[[9000, 0], [9100, 0], [9100, 90], [9000, 0]]]}},
            "regions-invalid",
        ),
    ],
)
def test_an_order_that_cannot_be_met_fails_with_its_reason(ledger, settings, small, fields, slug):
    job_id = order(ledger, hand_in(ledger, settings, small), **fields)
    answer(f"job:{job_id}")
    assert failure(ledger, job_id) == slug
    with ledger.read() as connection:
        (attempt,) = list_attempts(connection, job_id)
    assert attempt.outcome == "failed"
    assert list(settings.scratch_folder.glob("att_*")) == []


def test_a_blank_slide_has_no_tissue(ledger, settings, tmp_path):
    path = tmp_path / "blank.tiff"
    tifffile.imwrite(path, np.full((900, 900, 3), 244, np.uint8))
    job_id = order(ledger, hand_in(ledger, settings, path, mpp=0.5))
    answer(f"job:{job_id}")
    assert failure(ledger, job_id) == "no-tissue"


def test_our_own_failures_are_tried_again_and_end(ledger, settings):
    job_id = order(ledger, hand_in(ledger, settings, None))
    for _ in range(settings.max_failures - 1):
        answer(f"job:{job_id}")
        assert job_of(ledger, job_id).state == "running"
    answer(f"job:{job_id}")
    assert job_of(ledger, job_id).state == "failed"
    answer(f"job:{job_id}")
    with ledger.read() as connection:
        assert len(list_attempts(connection, job_id)) == settings.max_failures, "what is over is not begun again"


def test_a_job_that_takes_too_long_is_ended(ledger, settings, small, monkeypatch):
    monkeypatch.setenv("HISTOSERVE_JOB_TIMEOUT_S", "0.01")
    monkeypatch.setenv("HISTOSERVE_HEARTBEAT_S", "0.01")
    job_id = order(ledger, hand_in(ledger, settings, small))
    answer(f"job:{job_id}")
    assert failure(ledger, job_id) == "timed-out"


def test_the_lease_is_renewed_while_the_slide_is_validated(ledger, settings, small, monkeypatch):
    """The digest of a large slide takes longer than a lease."""
    from workers.ledger.leases import reap_attempts
    from workers.wake import slide as validation

    monkeypatch.setenv("HISTOSERVE_LEASE_S", "0.6")
    examine, lost = validation._examine, []

    def slowly(*arguments):
        time.sleep(1.5)
        with ledger.write() as connection:
            lost.append(reap_attempts(connection))
        return examine(*arguments)

    monkeypatch.setattr(validation, "_examine", slowly)
    job_id = order(ledger, hand_in(ledger, settings, small))
    answer(f"job:{job_id}")
    assert lost == [{}]
    assert job_of(ledger, job_id).state == "succeeded"


def test_parameters_and_regions_reach_the_engine(ledger, settings, small):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [300, 0], [300, 600], [0, 600], [0, 0]]]}
    whole, part = (
        order(ledger, hand_in(ledger, settings, small), **fields)
        for fields in ({}, {"regions": square, "parameters": {"min_area_um2": 30}})
    )
    for job_id in (whole, part):
        answer(f"job:{job_id}")
    results = [job_of(ledger, job_id).result for job_id in (whole, part)]
    assert results[0]["scores"]["cells"]["count"] > results[1]["scores"]["cells"]["count"] > 0
    assert len(results[1]["regions"]) == 1
    with ledger.read() as connection:
        assert [e.kind for e in list_events(connection, part)][-2:] == ["succeeded", "attempt-ended"]


def test_a_ring_for_nothing_is_nothing(ledger, settings):
    answer("job:job_none")
    answer("slide:sld_none")
    answer("tea:ready")
