"""A proxy before the BigQuery emulator: it records requests and makes faults.

Beside, it does what Google does and the emulator does not: it checks `If-Match`, and a load job keeps the id that the
client gave to it, so that a second one with the same id is refused.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import requests

from tests.support.google import CUT, Response, serve_http

Fault = Callable[[int, str, str], str]
"""Takes the number of a request from 0, its method and path; returns `refuse`, `cut`, `lose`, or nothing."""

UNAVAILABLE = {"error": {"code": 503, "message": "Unavailable", "errors": [{"reason": "backendError", "message": ""}]}}
FORBIDDEN = {
    "error": {
        "code": 403,
        "message": "Access Denied: Table p:comagic.tags: Permission bigquery.tables.updateData denied",
        "errors": [{"reason": "accessDenied", "message": ""}],
    }
}
CHANGED = {"error": {"code": 412, "message": "Precondition check failed.", "errors": [{"reason": "conditionNotMet"}]}}
DUPLICATE = {"error": {"code": 409, "message": "Already Exists: Job", "errors": [{"reason": "duplicate"}]}}


class GoogleProxy:
    """A proxy before the emulator; a context manager.

    Args:
        emulator: address of the emulator.
        fault: decides about each request: `refuse` (503), `forbid` (403), `cut` (no response, and nothing done), `lose`
            (done, and no response).
        alter: changes the JSON of a response: takes method, path and JSON.

    Attributes:
        url: address of the proxy.
        seen: method and path of each request so far.
        queries: SQL of each query so far.
        loaded: table of each load job so far.
    """

    def __init__(
        self,
        emulator: str,
        fault: Fault | None = None,
        alter: Callable[[str, str, Any], None] | None = None,
    ) -> None:
        self.url = ""
        self.seen: list[tuple[str, str]] = []
        self.queries: list[str] = []
        self.loaded: list[str] = []
        self.fault = fault
        self.alter = alter
        self._emulator = emulator
        self._lock = Lock()
        self._wanted: dict[str, str] = {}
        """Id that the client gave to a load job, by the upload's; the emulator gives it one of its own."""
        self._jobs: dict[str, str] = {}
        """The emulator's id of a load job, by the client's."""
        self._server: AbstractContextManager[str] = serve_http(self._respond)

    def _respond(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        with self._lock:
            number = len(self.seen)
            self.seen.append((method, path))
        action = self.fault(number, method, path) if self.fault else ""
        if action == "refuse":
            return 503, json.dumps(UNAVAILABLE).encode(), {}
        if action == "forbid":
            return 403, json.dumps(FORBIDDEN).encode(), {}
        if action == "cut":
            return CUT
        # one patch at a time: the etag is looked at first
        if method == "PATCH" and "If-Match" in headers:
            with self._lock:
                found = requests.get(self._emulator + path, timeout=60).json()
                if found.get("etag") != headers["If-Match"]:
                    return 412, json.dumps(CHANGED).encode(), {}
                response = self._forward(method, path, body, headers)
        else:
            response = self._forward(method, path, body, headers)
        return CUT if action == "lose" else response

    def _forward(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        if method == "POST" and path.startswith("/upload/"):
            job = json.loads(body)
            wanted = job["jobReference"]["jobId"]
            self.loaded.append(job["configuration"]["load"]["destinationTable"]["tableId"])
            if wanted in self._jobs:
                return 409, json.dumps(DUPLICATE).encode(), {}
            response = self._send(method, path, body, headers)
            self._wanted[response[2]["Location"].rpartition("upload_id=")[2]] = wanted
            return response
        if method == "POST" and path.split("?")[0].endswith("/queries"):
            self.queries.append(json.loads(body)["query"])
        asked = re.search(r"/jobs/([^/?]+)", path)
        name = asked[1] if asked else self._wanted.get(path.rpartition("upload_id=")[2], "")
        status, content, more = self._send(method, path.replace(name, self._jobs.get(name, name)), body, headers)
        if name and not asked and status == 200:
            self._jobs[name] = json.loads(content)["jobReference"]["jobId"]
        return status, content.replace(self._jobs.get(name, name).encode(), name.encode()) if name else content, more

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        kept = {name: value for name, value in headers.items() if name not in ("Host", "Accept-Encoding")}
        response = requests.request(method, self._emulator + path, data=body, headers=kept, timeout=60)
        content, location = response.content, response.headers.get("Location")
        if self.alter and response.ok and content[:1] == b"{":
            parsed = response.json()
            self.alter(method, path, parsed)
            content = json.dumps(parsed).encode()
        moved = {"Location": location.replace(self._emulator, self.url)} if location else {}
        return response.status_code, content, moved

    def __enter__(self) -> "GoogleProxy":
        self.url = self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)


def still_running(method: str, path: str, response: Any) -> None:
    """Makes a load job run on when its upload is answered, as at Google; the emulator has finished it by then."""
    if method in ("POST", "PUT") and re.search(r"/upload/", path) and "status" in response:
        response["status"] = {"state": "RUNNING"}
