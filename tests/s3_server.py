"""A small S3 for tests: what s3fs asks of a bucket, in memory, over real HTTP. It checks no signatures."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

XML = '<?xml version="1.0" encoding="UTF-8"?>'


class Bucket(ThreadingHTTPServer):
    """The server and what it holds. `refuse` makes every writing answer a 507, as a full disk does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """A running server with the bucket `slides-and-results`."""
    server = Bucket()
    thread = threading.Thread(target=server.serve_forever, name="s3")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        key, query = self._place()
        body = self._body()
        with self.server.lock:
            if "partNumber" in query:
                self.server.parts[query["uploadId"][0]][int(query["partNumber"][0])] = body
            elif "x-amz-copy-source" in self.headers:
                source = unquote(self.headers["x-amz-copy-source"]).split("/", 2)[-1]
                self.server.objects[key] = self.server.objects[source]
            elif key:
                self.server.objects[key] = body
        self._answer(200, b"", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})  # noqa: S324

    def do_POST(self) -> None:
        key, query = self._place()
        body = self._body()
        with self.server.lock:
            if "uploads" in query:
                upload = hashlib.sha256(f"{key}{len(self.server.parts)}".encode()).hexdigest()[:16]
                self.server.parts[upload] = {}
                self._xml(
                    f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                )
            elif "uploadId" in query:
                parts = self.server.parts.pop(query["uploadId"][0])
                self.server.objects[key] = b"".join(parts[number] for number in sorted(parts))
                self._xml("<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
            else:
                for element in ElementTree.fromstring(body).iter():  # noqa: S314
                    if element.tag.endswith("Key"):
                        self.server.objects.pop(str(element.text), None)
                self._xml("<DeleteResult></DeleteResult>")

    def do_HEAD(self) -> None:
        self._object()

    def do_GET(self) -> None:
        key, query = self._place()
        if key:
            self._object()
        else:
            self._list(query.get("prefix", [""])[0], query.get("delimiter", [""])[0])

    def do_DELETE(self) -> None:
        key, _ = self._place()
        with self.server.lock:
            self.server.objects.pop(key, None)
        self._answer(204, b"")

    def _object(self) -> None:
        key, _ = self._place()
        data = self.server.objects.get(key)
        if data is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": formatdate(usegmt=True)}  # noqa: S324
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if wanted:
            first, _, last = wanted.partition("-")
            start, stop = int(first), min(int(last or len(data) - 1) + 1, len(data))
            if start >= len(data):
                self._answer(416, b"<Error><Code>InvalidRange</Code></Error>")
                return
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self._answer(206, data[start:stop], headers)
        else:
            self._answer(200, data, headers)

    def _list(self, prefix: str, delimiter: str) -> None:
        found, folders = [], set()
        for key in sorted(self.server.objects):
            if not key.startswith(prefix):
                continue
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders.add(prefix + head + cut)
            else:
                found.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[key])}</Size><ETag>x</ETag>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in found
        )
        below = "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
        count = f"<KeyCount>{len(found) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._xml(f"<ListBucketResult><Name>b</Name>{count}{contents}{below}</ListBucketResult>")

    def _place(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).lstrip("/").partition("/")[2], parse_qs(parts.query, keep_blank_values=True)

    def _body(self) -> bytes:
        if "aws-chunked" in self.headers.get("Content-Encoding", "") or self.headers.get("Transfer-Encoding"):
            return self._chunked()
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _chunked(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return whole

    def _xml(self, body: str) -> None:
        self._answer(200, (XML + body).encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
