"""Serves a synthetic account over HTTP on this machine, with faults on demand."""

import json
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any

import orjson

from .account import SyntheticAccount
from .calls import API_TIME
from .protocol import Protocol
from .switches import Switches

PATH = "/v2.0"
CONTROL = "/sandbox"


def encode(response: Any) -> bytes:
    """JSON of a response, also with what a real server may send and orjson rejects: NaN, half a surrogate pair.

    Bytes are sent as they are.
    """
    if isinstance(response, bytes):
        return response
    try:
        return orjson.dumps(response)
    except TypeError:
        return json.dumps(response).encode()


class SandboxServer:
    """A Data API server on the loopback interface; it runs inside its `with` block.

    Args:
        account: the account to serve; default: a `SyntheticAccount` with its defaults.
        switches: how to behave; can be changed at any time.
        port: TCP port; 0 for a free one.
        now: the present as an aware time; default: this machine's clock.
        clock: seconds, for sessions and the quota.
        before_answer: called before the response to each request with the request's number, counted from 1; for
            example to change the account or the switches during a sync.
        alter_answer: takes each response before it is sent, and returns what to send instead.

    Attributes:
        account: the account; `change`, `upload` and `remove` change its calls.
        switches: the switches.
        protocol: the API's rules.
        requests: number of HTTP requests so far, those that met a fault included.
    """

    def __init__(
        self,
        account: SyntheticAccount | None = None,
        switches: Switches | None = None,
        port: int = 0,
        now: Callable[[], datetime] | None = None,
        clock: Callable[[], float] = time.monotonic,
        before_answer: Callable[[int], None] | None = None,
        alter_answer: Callable[[dict[str, Any]], Any] = lambda response: response,
    ) -> None:
        self.account = account or SyntheticAccount()
        self.switches = switches or Switches()
        self.protocol = Protocol(self.account, self.switches, now, clock)
        self.requests = 0
        self.alter_answer = alter_answer
        self._before_answer = before_answer
        self._lock = Lock()
        self._http = _Http(("127.0.0.1", port), _Handler, self)
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        """Value of the setting `sources.comagic.base_url`."""
        return f"http://127.0.0.1:{self._http.server_port}{PATH}"

    @property
    def calls(self) -> dict[str, int]:
        """Number of requests by method, those that met a transport fault excluded."""
        return self.protocol.calls

    def next_fault(self) -> str | None:
        """Counts a request and returns its fault, if it has one."""
        with self._lock:
            self.requests += 1
            if self._before_answer:
                self._before_answer(self.requests)
            return self.switches.faults.get(self.requests)

    def control(self, request: dict[str, Any]) -> dict[str, Any]:
        """Executes a request to `/sandbox`, so that other processes can control the sandbox over HTTP.

        Args:
            request: any of `{"switches": {...}}` to set switches, `{"change": {"id": 1, ...}}` to change fields of a
                call, `{"upload": {"start_time": "...", ...}}` to add a call, `{"remove": 1}` to remove one.

        Returns:
            The number of requests so far, in total and by method, and the id of an uploaded call.

        Raises:
            ValueError: there is no such switch.
        """
        for name, value in request.get("switches", {}).items():
            self.switches.set(name, value)
        result: dict[str, Any] = {}
        if "change" in request:
            fields = dict(request["change"])
            self.account.change(int(fields.pop("id")), **fields)
        if "upload" in request:
            fields = dict(request["upload"])
            result["id"] = self.account.upload(datetime.strptime(fields.pop("start_time"), API_TIME), **fields)
        if "remove" in request:
            self.account.remove(int(request["remove"]))
        return {**result, "requests": self.requests, "calls": self.calls}

    def __enter__(self) -> "SandboxServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], sandbox: SandboxServer) -> None:
        super().__init__(address, handler)
        self.sandbox = sandbox

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that disconnect before they have the response."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        """Returns the state of the sandbox; the API itself has only POST."""
        if self.path == CONTROL:
            self._send(200, orjson.dumps(self.server.sandbox.control({})))
        else:
            self._send(405, b"Only POST", "text/plain")

    def do_POST(self) -> None:
        """Serves a request of the API, or a control request to the sandbox."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        sandbox = self.server.sandbox
        if self.path == CONTROL:
            try:
                self._send(200, orjson.dumps(sandbox.control(orjson.loads(body))))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._send(400, f"{type(error).__name__}: {error}".encode(), "text/plain")
            return
        if self.path.rstrip("/") != PATH:
            self._send(404, b"Not found", "text/plain")
            return
        fault = sandbox.next_fault()
        if sandbox.switches.latency:
            time.sleep(sandbox.switches.latency)
        self._respond(body, fault)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The header `Date`."""
        return super().date_time_string((timestamp or time.time()) + self.server.sandbox.switches.clock_seconds)

    def _respond(self, body: bytes, fault: str | None) -> None:
        sandbox = self.server.sandbox
        if fault == "hang":
            time.sleep(sandbox.switches.hang_seconds)
        if fault in ("reset", "hang"):
            self._reset()
        elif fault == "html":
            self._send(200, b"<html><body>Service is being updated</body></html>", "text/html")
        elif fault == "empty":
            self._send(200, b"")
        elif fault and fault[0].isdigit():
            status, _, retry_after = fault.partition(":")
            self._send(int(status), b"", "text/plain", {"Retry-After": retry_after} if retry_after else {})
        else:
            response = _apply_fault(sandbox.protocol.respond(body), fault)
            content = encode(sandbox.alter_answer(response))
            if fault == "garbage":
                content = content[: len(content) // 2]
            self._send(200, content, cut=fault == "cut")

    def _reset(self) -> None:
        # linger of 0 seconds: close() sends a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.connection.close()

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        cut: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self.close_connection = True


def _apply_fault(response: dict[str, Any], fault: str | None) -> dict[str, Any]:
    """The response with a fault in its content; unchanged for faults of the transport."""
    if fault == "internal_error":
        error = {"code": -32603, "message": "Internal error", "data": {"mnemonic": "internal_error"}}
        return {"jsonrpc": "2.0", "id": response["id"], "error": error}
    if fault == "wrong_id":
        return {**response, "id": -1}
    if fault == "no_result":
        return {"jsonrpc": "2.0", "id": response["id"]}
    if fault in ("no_metadata", "null_data") and "result" in response:
        kept = {"data": response["result"]["data"]} if fault == "no_metadata" else {**response["result"], "data": None}
        return {**response, "result": kept}
    return response
