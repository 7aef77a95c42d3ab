"""A laboratory system talks to histoserve with nothing but HTTP: python examples/lis_httpx.py SLIDE ACCESSION

Environment: HISTOSERVE_URL, HISTOSERVE_KEY; HISTOSERVE_MODEL (nuclei). Needs httpx alone. Prints what goes into the
report as JSON. Research use only. Not for diagnosis.
"""

import base64
import hashlib
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

PIECE_BYTES = 8 * 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
TRIES = 6


class OrderRefusedError(Exception):
    """The service said no; asking again would not help."""


def main() -> None:
    """Order an analysis of one slide, wait for it, print its result."""
    path, accession = Path(sys.argv[1]), sys.argv[2]
    # What the LIS knows the order by; every answer of the service carries it.
    ids = {"accession": accession, "placer_order": f"PO-{accession}", "external_id": f"{accession}-1"}
    # One key for one order, kept with the order: sent twice, it is still one job.
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"lis.example/{accession}/{path.name}/{path.stat().st_mtime_ns}"))
    headers = {"Authorization": f"Bearer {os.environ['HISTOSERVE_KEY']}"}
    with httpx.Client(base_url=os.environ["HISTOSERVE_URL"], headers=headers, timeout=60) as http:
        upload_id, sha256 = upload(http, path, key)
        slide = {"upload_id": upload_id, "filename": path.name, "sha256": sha256, "ids": ids}
        slide_id = ask(http, "POST", "/v1/slides", key, json=slide).json()["id"]
        order = {"slide_id": slide_id, "model": os.environ.get("HISTOSERVE_MODEL", "nuclei"), "ids": ids}
        job = ask(http, "POST", "/v1/jobs", key, json=order).json()
        job = wait(http, job["id"])
        if job["state"] != "succeeded":
            raise OrderRefusedError(words(job["problem"] or {"title": f"The job was {job['state']}", "detail": ""}))
        result = ask(http, "GET", f"/v1/jobs/{job['id']}/results").json()
        print(json.dumps(report(http, result), indent=2))


def upload(http: httpx.Client, path: Path, key: str) -> tuple[str, str]:
    """The upload and its SHA-256. Sent in pieces; after a failure the service is asked how far it is."""
    size, sha256 = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    name = base64.b64encode(path.name.encode()).decode()
    begin = TUS | {"Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
    # The same key gives the same upload, so an order that is begun again goes on where it was.
    place = ask(http, "POST", "/v1/uploads", key, headers=begin).headers["Location"]
    offset = int(ask(http, "HEAD", place, headers=TUS).headers["Upload-Offset"])
    failures = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            before, refusal = offset, send_piece(http, place, offset, file.read(PIECE_BYTES))
            offset = int(ask(http, "HEAD", place, headers=TUS).headers["Upload-Offset"])
            failures = 0 if offset > before else failures + 1
            if failures == TRIES:
                raise OrderRefusedError(refusal)
            time.sleep(2**failures - 1)
    return place.rsplit("/", 1)[1], sha256


def send_piece(http: httpx.Client, place: str, offset: int, piece: bytes) -> str:
    """Why a piece was not taken; empty where it was. The offset tells what has arrived."""
    headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    try:
        answer = http.patch(place, content=piece, headers=headers)
    except httpx.TransportError as error:
        return f"The upload broke off: {error}"
    return "" if answer.status_code < 400 else words(answer.json())


def ask(
    http: httpx.Client,
    method: str,
    path: str,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    json: dict[str, Any] | None = None,
) -> httpx.Response:
    """The answer. Sent again while the service is away; what it refuses is raised as it was told."""
    headers = (headers or {}) | ({"Idempotency-Key": key} if key else {})
    for attempt in range(TRIES):
        try:
            answer = http.request(method, path, headers=headers, json=json)
        except httpx.TransportError:
            time.sleep(2**attempt)
            continue
        if answer.status_code < 400:
            return answer
        if answer.status_code not in (429, 502, 503, 504):
            raise OrderRefusedError(words(answer.json() if answer.content else {"title": str(answer.status_code)}))
        time.sleep(float(answer.headers.get("Retry-After", "1")))
    raise OrderRefusedError(f"{method} {path}: the service is away")


def wait(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """The job when it is over. Each question is answered when something changed, or after 30 s with 304."""
    tag, job = '"none"', dict[str, Any]()
    while not job.get("ended_at"):
        answer = ask(http, "GET", f"/v1/jobs/{job_id}?wait=30", headers={"If-None-Match": tag})
        if answer.status_code != 304:
            tag, job = answer.headers["ETag"], answer.json()
            done = job["progress"]["fraction"] or 0
            print(f"{job_id} {job['state']} {done:.0%}", file=sys.stderr)
    return job


def report(http: httpx.Client, result: dict[str, Any]) -> dict[str, Any]:
    """What the LIS keeps: its own order ids, the scores, what they were made with, and the overview picture."""
    picture = next(file for file in result["artifacts"] if file["path"] == "overview.png")
    content = ask(http, "GET", picture["url"]).content
    if hashlib.sha256(content).hexdigest() != picture["sha256"]:
        raise OrderRefusedError("overview.png is not the picture that was made")
    kept = Path(os.environ.get("LIS_FOLDER", ".")) / f"{result['ids']['accession']}.png"
    kept.write_bytes(content)
    made = {"package": result["result"]["package"]["reference"], "slide_sha256": result["result"]["slide"]["sha256"]}
    told = {"ids": result["ids"], "job_id": result["job_id"], "scores": result["result"]["scores"]}
    return told | made | {"warnings": result["result"]["warnings"], "picture": str(kept), "notice": result["notice"]}


def words(problem: dict[str, Any]) -> str:
    """A problem document (RFC 9457) as a sentence."""
    return " ".join(filter(None, (f"{problem['title']}.", problem.get("detail"), problem.get("remedy"))))


if __name__ == "__main__":
    try:
        main()
    except OrderRefusedError as error:
        sys.exit(str(error))
