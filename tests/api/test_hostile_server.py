"""Whatever the other side sends, and however slowly: rows or one message, in time, and not retried in vain."""

import gzip
import json
import re
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from comagic import KeyCredentials
from comagic.api import transport
from comagic.api.client import DataApiClient
from comagic.api.deadline import Deadline
from comagic.api.responses import MAX_LEVELS
from comagic.api.transport import Transport
from comagic.exceptions import (
    BadResponseError,
    ComagicError,
    ConfigurationError,
    DeadlineError,
    TooLargeError,
    UnreachableError,
)
from comagic.sandbox.switches import KEY
from tests.support.clients import client_with_key, client_with_login
from tests.support.hostile import HEAD, HostileServer, response, serve_bytes
from tests.support.processes import Loader, Serve
from tests.support.sampling import examples

PAGE = b'{"jsonrpc": "2.0", "id": 1, "result": {"data": [%b], "metadata": {"total_items": 1}}}'
ROW = b'{"id": 1, "start_time": "2026-01-01 00:00:00"%b}'
EMPTY_GZIP, EMPTY_BLOCK = b"\x1f\x8b\x08\0\0\0\0\0\0\3", b"\0\0\0\xff\xff"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("fast", [b"", HEAD + b"Content-Length: 999\r\n\r\n"], ids=["headers", "body"])
def test_byte_at_a_time_ends_at_the_deadline_or_at_the_limit_of_an_exchange(fast: bytes) -> None:
    def respond(server: HostileServer) -> Iterator[bytes]:
        yield fast
        yield from server.slowly(HEAD * 9)

    with serve_bytes(respond) as server:
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            client_with_key(server, deadline=Deadline(0.02)).account()
        with pytest.raises(UnreachableError, match="no complete response in 2 seconds"):
            Transport(server.base_url, 0.4).post("get.account", b"{}", 60)
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "pieces",
    [
        [response(gzip.compress(b" " * 2**22), b"Content-Encoding: gzip")],
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b" " * 2**16 + b"\r\n"] * 64],
        [response(b"[" + b"{}," * 600_000 + b"{}]")],
        [response(PAGE % (b"[" * 300 + b"]" * 300))],
        [response(PAGE % (ROW % (b', "x": ' + b"[" * (MAX_LEVELS + 1) + b"]" * (MAX_LEVELS + 1))))],
        [response(b"[" * 100_000)],
        [response(b"[" * 100_000 + b"]" * 100_000)],
    ],
    ids=["gzip bomb", "endless", "empty objects", "300 levels", "levels", "100,000 open", "100,000 levels"],
)
def test_too_large_response_is_one_message_and_not_retried(
    pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lower here; docs/security.md says how much memory the real one takes."""
    monkeypatch.setattr(transport, "MAX_BODY", 2**21)
    with serve_bytes(lambda _: pieces) as server:
        with pytest.raises(ComagicError) as raised:
            client_with_key(server).page("get.calls_report", 0)
        assert isinstance(raised.value, TooLargeError) or b"[" * 100_000 in pieces[0]
        assert len(server.requests) == 1 or isinstance(raised.value, BadResponseError)
        assert len(str(raised.value)) < 500


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"\x1b[31m"])
def test_compression_that_was_not_asked_for_is_an_error(encoding: bytes) -> None:
    with serve_bytes(lambda _: [response(b"{}", b"Content-Encoding: " + encoding)]) as server:
        with pytest.raises(BadResponseError, match="was not asked") as raised:
            client_with_key(server).account()
        assert "\x1b" not in str(raised.value)


def test_tiny_chunks_are_not_kept_one_by_one() -> None:
    pieces = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"2\r\n[]\r\n" * 150_000 + b"0\r\n\r\n"]
    with serve_bytes(lambda _: pieces) as server:
        client = Transport(server.base_url, 60)
        tracemalloc.start()
        try:
            assert client.post("get.calls_report", b"{}", 60).body == b"[]" * 150_000
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("endless", "error"),
    [(gzip.compress(PAGE % b"") + b"x" * 99, BadResponseError), (EMPTY_GZIP + EMPTY_BLOCK * 9, TooLargeError)],
    ids=["after the end", "empty blocks"],
)
def test_endless_compressed_response_is_not_read_on(
    endless: bytes, error: type[ComagicError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 2**18)

    def respond(server: HostileServer) -> Iterator[bytes]:
        yield HEAD + b"Content-Encoding: gzip\r\n\r\n" + endless
        while not server.stopped.is_set():
            yield EMPTY_BLOCK * 1000

    with serve_bytes(respond) as server, pytest.raises(error):
        client_with_key(server).page("get.calls_report", 0)


def test_more_rows_than_requested_are_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    body = response(PAGE % b"{}, {}, {}")
    with serve_bytes(lambda _: [body]) as server, pytest.raises(BadResponseError, match="3 rows, and 2 at most were"):
        client_with_key(server).page("get.calls_report", 0, limit=2)


def test_page_is_no_larger_than_what_may_still_be_held() -> None:
    body = response(PAGE % (ROW % b', "x": [1, 2, 3]'))
    with serve_bytes(lambda _: [body]) as server:
        share = client_with_key(server).page("get.calls_report", 0).share
    with serve_bytes(lambda _: [body]) as server, pytest.raises(TooLargeError, match="what is held"):
        client_with_key(server).page("get.calls_report", 0, most=share * 0.9)


def test_token_that_is_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    body = b'{"id": 1, "result": {"data": {"access_token": "%b"}}}' % (b"a" * 1001)
    with serve_bytes(lambda _: [response(body)]) as server, pytest.raises(BadResponseError, match="1000 characters"):
        client_with_login(server).account()


def test_compressed_page_is_read() -> None:
    body = gzip.compress(PAGE % (ROW % b""))
    with serve_bytes(lambda _: [response(body, b"Content-Encoding: gzip")]) as server:
        assert client_with_key(server).page("get.calls_report", 0).rows == [
            {"id": 1, "start_time": "2026-01-01 00:00:00"}
        ]
    cut = response(body[:-9], b"Content-Encoding: gzip")
    with serve_bytes(lambda _: [cut]) as server, pytest.raises(BadResponseError, match="cut short"):
        client_with_key(server).page("get.calls_report", 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: PAGE % json.dumps(value).encode("utf-8", "surrogatepass")),
    header=st.binary(max_size=40).filter(lambda header: b"\n" not in header and b"\r" not in header),
    cut=st.integers(0, 400),
)
def test_any_bytes_are_a_page_or_one_error(body: bytes, header: bytes, cut: int) -> None:
    whole = response(body, b"X: " + header)
    with serve_bytes(lambda _: [whole[: cut or None]]) as server:
        try:
            page = client_with_key(server, deadline=Deadline(0.1)).page("get.calls_report", 0)
        except ComagicError as error:
            assert KEY not in str(error)  # noqa: PT017
        else:
            assert all(isinstance(row, dict) for row in page.rows)


def test_loopback_is_reached_without_proxy_and_without_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    account = PAGE % b'{"timezone": "UTC"}'
    with serve_bytes(lambda _: [response(account)]) as server:
        assert client_with_key(server).account().timezone == "UTC"
        assert b"authorization" not in server.requests[0].lower()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://someone:hunter22@dataapi.comagic.ru/v2.0", "holds a user name or password"),
        ("https://dataapi.comagic.ru.example.com/v2.0", "sources.comagic.trusted_hosts"),
        ("https://example.com/v2.0", "sources.comagic.trusted_hosts"),
        ("https://[::1/hunter22", "is not a URL"),
    ],
)
def test_endpoint_that_would_get_the_credentials_is_an_error(url: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as raised:
        DataApiClient(KeyCredentials(access_token=KEY), url)
    assert "hunter22" not in str(raised.value)


def test_trusted_host_is_accepted(serve: Serve) -> None:
    key = KeyCredentials(access_token=KEY)
    assert DataApiClient(key, "https://example.com/v2.0", trusted_hosts=["example.com"])


ECHOES = st.sampled_from(
    [KEY, b64encode(KEY.encode()).decode(), KEY.encode().hex(), f"\\x{KEY[0]}", "\uf0290", "\\" * 9000]
)
ODD_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | ECHOES,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)
ODD_ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(1, 9) | ODD_JSON, "start_time": st.just("2026-01-01 12:00:00") | ODD_JSON},
        optional=dict.fromkeys(
            ("talk_duration", "sale_cost", "employees", "contact_phone_number", "New Key"), ODD_JSON
        ),
    ),
    max_size=5,
)
BULK = st.sampled_from(
    [
        b"",
        b"{}," * 200_000,
        b'"x",' * 500_000,
        b'{"id": "x", "start_time": 1},' * 9_000,
        b'{"id": 1, "x": "%b"},' % (b"\\\\" * 99_999),
    ]
)
PACES = ("whole", "tiny chunks", "gzip", "dripped", "endless")


@dataclass(frozen=True)
class Hostility:
    """What a server does with the requests of a load: each field is for the account and for the report."""

    contents: tuple[bytes | list[Any], bytes | list[Any]]
    bulk: bytes
    total: int
    header: bytes
    pace: str
    cut: int | None

    def respond(self, server: HostileServer) -> Iterator[bytes]:
        request = json.loads(server.requests[-1].partition(b"\r\n\r\n")[2])
        is_report = request["method"] != "get.account"
        content = self.contents[is_report]
        if isinstance(content, list):
            rows = json.dumps(content).encode("utf-8", "surrogatepass")[1:-1] or b"{}"
            metadata = b'{"total_items": %d, "limits": {"day_remaining": %d}}' % (self.total, self.total)
            head = b'{"jsonrpc": "2.0", "id": %d, "result": {"data": [' % request["id"]
            content = head + self.bulk * is_report + rows + b'], "metadata": ' + metadata + b"}}"
        if not is_report:
            return iter([response(content)])
        return self._paced(server, content)

    def _paced(self, server: HostileServer, content: bytes) -> Iterator[bytes]:
        if self.pace == "tiny chunks":
            chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content[:100_000])
            whole = HEAD + b"X: " + self.header + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        elif self.pace == "gzip":
            whole = response(gzip.compress(content), b"Content-Encoding: gzip", b"X: " + self.header)
        else:
            whole = response(content, b"X: " + self.header, b"Date: " + self.header)
        cut = whole[: self.cut]
        if self.pace == "dripped":
            yield cut[:100]
            yield from server.slowly(cut[100:])
        yield cut
        while self.pace == "endless" and not server.stopped.is_set():
            yield self.bulk + b" " * 2**16


@pytest.mark.expensive
def test_any_response_at_any_pace_is_rows_or_one_message_in_time_and_within_the_memory(place: Path) -> None:
    account = [{"app_id": 7, "timezone": "Europe/Moscow"}]
    settings_of_load = {
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
        "SOURCES__COMAGIC__MAX_MINUTES": "0.1",
        "RUNTIME__REQUEST_MAX_ATTEMPTS": "1",
        "DLT_DATA_DIR": str(place),
    }

    @settings(max_examples=examples(40), deadline=None, database=None, phases=[Phase.generate])
    @given(
        hostility=st.builds(
            Hostility,
            contents=st.tuples(
                st.just(account) | st.just(account) | ODD_ROWS, ODD_ROWS | ODD_ROWS | st.binary(max_size=200)
            ),
            bulk=BULK,
            total=st.integers(0, 9) | st.integers(0, 10**30),
            header=st.binary(max_size=40).filter(lambda header: b"\n" not in header and b"\r" not in header),
            pace=st.sampled_from(PACES),
            cut=st.none() | st.none() | st.integers(0, 1000),
        )
    )
    def load(hostility: Hostility) -> None:
        with serve_bytes(hostility.respond) as server:
            code, megabytes, printed = loader.load(server.base_url, 60)
        assert code in (0, 1, 2, 75), printed
        assert "Traceback" not in printed, printed
        assert len(re.findall("^(?:Error|Stopped early): ", printed, re.MULTILINE)) == (code != 0), printed
        assert megabytes < 600, (megabytes, hostility.pace, hostility.bulk[:20])
        for secret in (KEY, KEY.encode().hex(), b64encode(KEY.encode()).decode()):
            assert secret not in printed, printed
        assert all(len(line) < 3000 for line in printed.splitlines()), printed

    with Loader(settings_of_load, "load", "--since", "2026-01-01", "--until", "2026-01-03") as loader:
        load()
