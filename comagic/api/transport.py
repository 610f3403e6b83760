"""One HTTP exchange with the API, within limits of time and size, whatever the other side does.

requests limits the time to connect and the time between two bytes, and nothing else: a server that sends a byte a
second would hold it for ever, and a body of any size would be read into memory. So the whole exchange has a limit,
after which the connection is cut, and the body is read and decompressed in pieces, up to a limit.
"""

import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Timer
from typing import Any
from urllib.parse import urlsplit

from dlt.sources.helpers.requests import Session
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.exceptions import RequestException, Timeout
from requests.structures import CaseInsensitiveDict
from requests.utils import get_auth_from_url
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from ..exceptions import BadResponseError, OverloadedError, StatusError, TooLargeError, UnreachableError
from ..redaction import printable
from .brands import is_loopback
from .responses import MAX_BODY, Decoded

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""
EXCHANGE_TIMEOUTS = 5
"""A whole exchange may take so many times the timeout of a single read."""
PIECE = 2**16
MAX_SECONDS = 1e6
"""Longest time that a thread can wait for on every system."""
GZIP = zlib.MAX_WBITS | 16
HEADERS = {
    "Content-Type": "application/json; charset=UTF-8",
    "User-Agent": "comagic-dlt",
    "Accept-Encoding": "gzip",
}


@dataclass(frozen=True)
class Exchange:
    """A response of HTTP status 200.

    Attributes:
        headers: its headers.
        body: its body, decompressed.
        size: bytes of the body.
        decoded: what is in it, if that was decoded before its turn; then the body is empty.
    """

    headers: CaseInsensitiveDict[str]
    body: bytes | bytearray
    size: int
    decoded: Decoded | None = None


class Transport:
    """Posts to one URL over one connection that is kept; a single attempt each time.

    Args:
        url: the endpoint.
        timeout: seconds to wait for the next byte.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self._timeout = timeout
        self._line = _Line()
        self._session = Session(raise_for_status=False)
        self._session.auth = _own_auth
        # Proxies of the environment are meant for the network, not for this machine.
        self._session.trust_env = not is_loopback(urlsplit(url).hostname or "")
        self._session.mount("https://", _Adapter(self._line))
        self._session.mount("http://", _Adapter(self._line))

    def post(self, method: str, body: bytes, seconds: float) -> Exchange:
        """Posts a body and reads the whole response.

        Args:
            method: the API's method, for messages.
            body: what to post; it holds the credentials and is never shown.
            seconds: how long it may take at most.

        Raises:
            UnreachableError: no connection, or no complete response in time; the subclasses say which HTTP status.
            BadResponseError: the body is compressed in another way than requested, or damaged.
            TooLargeError: the body is larger than any page of the API.
        """
        limit = min(self._timeout * EXCHANGE_TIMEOUTS, seconds)
        cut = Event()
        try:
            with self._cut_after(limit, cut), self._request(body, HEADERS, limit) as response:
                exchange = self._exchange(method, response)
            if not cut.is_set():  # else a response that was cut in its headers looks complete
                return exchange
            cause = ""
        except (RequestException, HTTPError, OSError) as error:
            cause = _root_cause(error)
        if cut.is_set():
            cause = f"no complete response in {limit:.0f} seconds"
        raise UnreachableError(
            f"{method}: {self.url} cannot be reached ({printable(cause)}). Check sources.comagic.base_url and the "
            "network."
        )

    def send(self, body: bytes, headers: Mapping[str, str], seconds: float) -> int:
        """Posts a body and returns the HTTP status; the body of the response is not read.

        Args:
            body: what to post.
            headers: the headers.
            seconds: how long it may take at most.

        Raises:
            TimeoutError: it took longer.
            OSError: there is no connection, or no response.
        """
        cut = Event()
        try:
            with self._cut_after(seconds, cut), self._request(body, headers, seconds) as response:
                status = response.status_code
        except Timeout:
            raise TimeoutError from None
        except OSError:
            if not cut.is_set():
                raise
        self._line.cut()
        if cut.is_set():
            raise TimeoutError
        return status

    def _request(self, body: bytes, headers: Mapping[str, str], seconds: float) -> Response:
        timeout = min(self._timeout, seconds)
        return self._session.post(
            self.url,
            data=body,
            headers=headers,
            allow_redirects=False,
            stream=True,
            timeout=(min(CONNECT_TIMEOUT, timeout), timeout),
        )

    def _exchange(self, method: str, response: Response) -> Exchange:
        self._check_status(method, response)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        body = _read(method, response, encoding)
        return Exchange(response.headers, body, len(body))

    def _check_status(self, method: str, response: Response) -> None:
        status = response.status_code
        if status in OverloadedError.statuses:
            raise OverloadedError(
                f"{method}: {self.url} returned HTTP {status} on every attempt. Check sources.comagic.base_url; if it "
                "is right, the service is down: run again later.",
                _retry_after(response),
            )
        if status != HTTPStatus.OK:
            raise StatusError(
                f"{method}: {self.url} returned HTTP {status}, which the API never does. Check "
                "sources.comagic.base_url."
            )

    @contextmanager
    def _cut_after(self, seconds: float, cut: Event) -> Iterator[None]:
        """Cuts the connection if the `with` block takes longer, and notes that in `cut`; or if it fails."""

        def end() -> None:
            cut.set()
            self._line.cut()

        timer = Timer(min(seconds, MAX_SECONDS), end)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError as error:  # the system has no more threads
            raise OSError(str(error)) from None
        try:
            yield
        except BaseException:  # closing it would not do: a copy of its socket is open
            self._line.cut()
            raise
        finally:
            timer.cancel()

    def __del__(self) -> None:
        self._line.close()


class _Line:
    """A copy of the last connection's socket: it can be shut down at any time, whatever TLS has done with the first."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def opened(self, connection: socket.socket) -> None:
        """Takes the socket of a new connection."""
        self.close()
        self._socket = connection.dup()

    def cut(self) -> None:
        """Shuts the connection down: whatever waits for it gets an error."""
        if self._socket:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._socket:
            self._socket.close()


class _Adapter(HTTPAdapter):
    """requests' adapter, whose connections can be cut."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        self._watch(manager)
        return manager

    def _watch(self, manager: Any) -> None:
        line = self._line

        class Watched:
            def _new_conn(self) -> socket.socket:
                connection: socket.socket = super()._new_conn()  # type: ignore[misc]
                line.opened(connection)
                return connection

        class Plain(Watched, HTTPConnection):
            pass

        class Encrypted(Watched, HTTPSConnection):
            pass

        pools: dict[str, type[HTTPConnectionPool]] = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": Plain}),
            "https": type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": Encrypted}),
        }
        manager.pool_classes_by_scheme = pools


def _read(method: str, response: Response, encoding: str) -> bytearray:
    """The body, decompressed, up to the limit; in one buffer, since a server can send it two bytes at a time."""
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise BadResponseError(f"{method}: the response is compressed by {printable(encoding)!r}, which was not asked.")
    is_compressed = "gzip" in encoding
    unpacker, body, received = zlib.decompressobj(GZIP), bytearray(), 0
    while piece := response.raw.read(PIECE, decode_content=False):
        received += len(piece)
        try:
            body += unpacker.decompress(piece, MAX_BODY + 1 - len(body)) if is_compressed else piece
        except zlib.error as error:
            raise BadResponseError(f"{method}: the response is damaged ({error}).") from None
        if max(received, len(body)) > MAX_BODY:
            raise TooLargeError(
                f"{method}: the response is larger than {MAX_BODY / 2**20:.0f} MB, twice the largest page. Load fewer "
                "fields (sources.comagic.fields), or check sources.comagic.base_url."
            )
        if unpacker.unused_data:
            raise BadResponseError(f"{method}: the response is damaged (it goes on after its compressed content).")
    if is_compressed and not unpacker.eof:
        raise BadResponseError(f"{method}: the response is cut short.")
    return body


def _own_auth(request: PreparedRequest) -> PreparedRequest:
    """User and password of the URL itself, if any: without this, requests would take a password from `.netrc`."""
    user, password = get_auth_from_url(request.url or "")
    return HTTPBasicAuth(user, password)(request) if user or password else request


def _retry_after(response: Response) -> float:
    """Seconds in the Retry-After header, given as a number or as a date; 0 if there is none or it is malformed."""
    try:
        return Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except (InvalidHeader, ValueError, OverflowError, TypeError):
        return 0.0


def _root_cause(error: BaseException) -> str:
    """The innermost transport error: requests wraps it in several layers of text."""
    cause: BaseException = error
    chain: list[BaseException] = []
    while cause is not None and cause not in chain:
        chain.append(cause)
        inner = [arg for arg in (*cause.args, getattr(cause, "reason", None)) if isinstance(arg, BaseException)]
        cause = inner[0] if inner else cause.__cause__ or cause.__context__  # type: ignore[assignment]
    last = chain[-1]
    return f"{type(last).__name__}: {last}" if str(last) else type(last).__name__
