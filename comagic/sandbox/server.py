"""Serves a synthetic account over HTTP on this machine, with faults on demand."""

import socket
import struct
import time
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Callable, Dict, Optional, Tuple, Type

import orjson

from .account import API_TIME, SyntheticAccount
from .protocol import Protocol
from .switches import Switches

PATH = "/v2.0"
CONTROL = "/sandbox"


class SandboxServer:
    """A Data API on a free port of the loopback interface, for as long as its `with` block lasts.

    Args:
        account: whose calls; default: a `SyntheticAccount` as it is.
        switches: how to behave; can be changed at any time.
        port: TCP port; 0 for a free one.
        now: the present as an aware instant; default: this machine's clock.
        clock: seconds, for sessions and budgets.
        before_answer: called with the number of each request, counted from 1, before it is answered: to change the
            account or the switches in the middle of a reader's work.
        alter_answer: takes each answer before it is sent, and returns what to send instead.

    Attributes:
        account: the account; `change`, `upload` and `remove` change it after the fact.
        switches: the switches.
        requests: HTTP requests so far, faulty ones included.
    """

    def __init__(
        self,
        account: Optional[SyntheticAccount] = None,
        switches: Optional[Switches] = None,
        port: int = 0,
        now: Optional[Callable[[], datetime]] = None,
        clock: Callable[[], float] = time.monotonic,
        before_answer: Optional[Callable[[int], None]] = None,
        alter_answer: Callable[[Dict[str, Any]], Any] = lambda answer: answer,
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
        """What to set as `sources.comagic.base_url`."""
        return f"http://127.0.0.1:{self._http.server_port}{PATH}"

    @property
    def calls(self) -> Dict[str, int]:
        """Calls that reached the API's rules, by method."""
        return self.protocol.calls

    def next_fault(self) -> Optional[str]:
        """Counts a request and returns the fault that it meets."""
        with self._lock:
            self.requests += 1
            if self._before_answer:
                self._before_answer(self.requests)
            return self.switches.faults.get(self.requests)

    def control(self, order: Dict[str, Any]) -> Dict[str, Any]:
        """Does what a request to `/sandbox` asks for, so that other processes and languages can steer the sandbox.

        `{"switches": {...}}` sets switches, `{"change": {"id": 1, ...}}` fields of a call, `{"upload": {"start_time":
        ..., ...}}` adds a call, `{"remove": 1}` takes one away; the answer counts the calls so far.
        """
        for name, value in order.get("switches", {}).items():
            if not hasattr(self.switches, name):
                raise ValueError(f"there is no switch {name!r}")
            setattr(self.switches, name, {int(at): kind for at, kind in value.items()} if name == "faults" else value)
        done: Dict[str, Any] = {}
        if "change" in order:
            self.account.change(int(order["change"].pop("id")), **order["change"])
        if "upload" in order:
            done["id"] = self.account.upload(
                datetime.strptime(order["upload"].pop("start_time"), API_TIME), **order["upload"]
            )
        if "remove" in order:
            self.account.remove(int(order["remove"]))
        return {**done, "requests": self.requests, "calls": self.calls}

    def __enter__(self) -> "SandboxServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Tuple[str, int], handler: Type[BaseHTTPRequestHandler], sandbox: SandboxServer) -> None:
        super().__init__(address, handler)
        self.sandbox = sandbox

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that goes away in the middle is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """The state of the sandbox, or the answer that only POST is served."""
        if self.path == CONTROL:
            self._send(200, orjson.dumps(self.server.sandbox.control({})))
        else:
            self._send(405, b"Only POST", "text/plain")

    def do_POST(self) -> None:
        """A request of the API, or an order for the sandbox itself."""
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
        self._answer(body, fault)

    def _answer(self, body: bytes, fault: Optional[str]) -> None:
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
            answer = orjson.dumps(sandbox.alter_answer(_spoilt(sandbox.protocol.answer(body), fault)))
            if fault == "garbage":
                answer = answer[: len(answer) // 2]
            self._send(200, answer, cut=fault == "cut")

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.connection.close()

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        headers: Optional[Dict[str, str]] = None,
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


def _spoilt(answer: Dict[str, Any], fault: Optional[str]) -> Dict[str, Any]:
    """The answer as a fault leaves it."""
    if fault == "internal_error":
        error = {"code": -32603, "message": "Internal error", "data": {"mnemonic": "internal_error"}}
        return {"jsonrpc": "2.0", "id": answer["id"], "error": error}
    if fault == "wrong_id":
        return {**answer, "id": -1}
    if fault == "no_result":
        return {"jsonrpc": "2.0", "id": answer["id"]}
    if fault in ("no_metadata", "null_data") and "result" in answer:
        kept = {"data": answer["result"]["data"]} if fault == "no_metadata" else {**answer["result"], "data": None}
        return {**answer, "result": kept}
    return answer
