"""A server of raw bytes on loopback: what it sends need not be HTTP, and need not come at once."""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SECONDS_BETWEEN_PIECES = 0.1
SECONDS_TO_SEND = 2.0


@dataclass
class HostileServer:
    """What the server is asked.

    Attributes:
        base_url: its address.
        requests: the requests so far, as they came.
        stopped: set at its end; a piece of a slow response waits for it.
    """

    base_url: str
    requests: list[bytes] = field(default_factory=list)
    stopped: Event = field(default_factory=Event)

    def slowly(self, content: bytes) -> Iterator[bytes]:
        """The content a byte at a time."""
        for position in range(len(content)):
            if self.stopped.wait(SECONDS_BETWEEN_PIECES):
                return
            yield content[position : position + 1]


Respond = Callable[[HostileServer], Iterable[bytes]]


def response(body: bytes, *headers: bytes) -> bytes:
    """A complete response."""
    return HEAD + b"".join(b"%b\r\n" % header for header in headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def serve_bytes(respond: Respond) -> Iterator[HostileServer]:
    """Serves one response a connection; `respond` returns its pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = HostileServer(f"http://127.0.0.1:{listener.getsockname()[1]}/v2.0")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(SECONDS_TO_SEND)  # a client that keeps the connection and does not read
            with connection, suppress(OSError):
                server.requests.append(_read_request(connection))
                for piece in respond(server):
                    connection.sendall(piece)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
