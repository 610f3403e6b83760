"""Google's servers on loopback: one that rejects requests, one bucket of Cloud Storage, and keys for them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Response = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""
CUT: Response = (0, b"", {})
"""Instead of a response, the connection ends."""
Respond = Callable[[str, str, bytes, dict[str, str]], Response]
"""Takes method, path, body and headers."""

Rejection = tuple[str, int, str, str]
"""Part of the path of the requests that are rejected, HTTP status, Google's reason and message."""
NO_DATASET: Rejection = ("", 404, "notFound", "Not found: Dataset p:comagic")


@contextmanager
def serve_http(respond: Respond) -> Iterator[str]:
    """Serves HTTP on loopback with a function; yields the server's address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            request_body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            response = respond(self.command, self.path, request_body, dict(self.headers))
            if response is CUT:
                self.close_connection = True
                return
            status, body, headers = response
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815  # the base class's names

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RejectingGoogle:
    """BigQuery and Google's token server, which reject requests; datasets that nothing rejects are missing.

    Args:
        *rejections: what is rejected, and how; the first one that matches the path.

    Attributes:
        paths: paths of the requests so far.
        url: the address.
    """

    def __init__(self, *rejections: Rejection) -> None:
        self.paths: list[str] = []
        self.url = ""
        self._rejections = (*rejections, NO_DATASET)
        self._server: AbstractContextManager[str] = serve_http(self._respond)

    @property
    def environment(self) -> dict[str, str]:
        """Environment under which a load goes to this server."""
        return {
            "BIGQUERY_EMULATOR_HOST": self.url,
            "DESTINATION_TYPE": "bigquery",
            "DESTINATION__BIGQUERY__PROJECT_ID": "p",
            "DESTINATION__BIGQUERY__RETRY_DEADLINE": "2",
        }

    def _respond(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:  # noqa: ARG002
        self.paths.append(path)
        if method in ("POST", "PATCH") and path.split("?")[0].endswith(("/datasets", "/tables")):
            return 200, body, {}  # a dataset, or the table that is a lock
        _, status, reason, message = next(rejection for rejection in self._rejections if rejection[0] in path)
        error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
        return status, json.dumps({"error": error}).encode(), {}

    def __enter__(self) -> "RejectingGoogle":
        self.url = self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)


class Bucket:
    """The JSON API of Cloud Storage with one bucket, `lake`, whose objects are files that the emulator finds.

    Args:
        folder: folder of the bucket.

    Attributes:
        uploaded: names of the uploaded objects.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploaded: list[str] = []

    def respond(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        """Responds as Cloud Storage does."""
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        if parts.path == "/token":
            return 200, json.dumps({"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}).encode(), {}
        if parts.path.startswith("/upload/"):
            return self._upload(query, body, headers)
        if "/o/" in parts.path:
            file = self.folder / unquote(parts.path.split("/o/", 1)[1])
            return self._object(method, file, query.get("alt") == ["media"])
        found = [self._metadata(file) for file in self.folder.rglob("*") if file.is_file()]
        items = [item for item in found if item["name"].startswith(query.get("prefix", [""])[0])]
        return 200, json.dumps({"kind": "storage#objects", "items": items}).encode(), {}

    def _upload(self, query: dict[str, list[str]], body: bytes, headers: dict[str, str]) -> Response:
        """A large file takes two requests: the response to the first names the address to send the content to."""
        if query.get("uploadType") == ["resumable"]:
            name = json.loads(body)["name"]
            return 200, b"", {"Location": f"http://{headers['Host']}/upload/?name={quote(name, safe='')}"}
        if query.get("uploadType") == ["multipart"]:
            head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
            metadata, content = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
            name, body = json.loads(bytes(metadata.get_content()))["name"], content.get_content()
        else:
            (name,) = query["name"]
        self.uploaded.append(name)
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return 200, json.dumps(self._metadata(file)).encode(), {}

    def _object(self, method: str, file: Path, is_content: bool) -> Response:
        if not file.is_file():
            return 404, b'{"error": {"code": 404, "message": "Not Found"}}', {}
        if method == "DELETE":
            file.unlink()
            return 204, b"", {}
        if is_content:
            return 200, file.read_bytes(), {}
        return 200, json.dumps(self._metadata(file)).encode(), {}

    def _metadata(self, file: Path) -> dict[str, str]:
        updated = datetime.fromtimestamp(file.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "kind": "storage#object",
            "name": file.relative_to(self.folder).as_posix(),
            "bucket": "lake",
            "size": str(file.stat().st_size),
            "updated": updated,
        }


def service_account_key(google_url: str) -> dict[str, str]:
    """Returns a new key of a service account, whose tokens come from a server."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": "p",
        "client_email": "loader@p.iam.gserviceaccount.com",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "token_uri": f"{google_url}/token",
    }
