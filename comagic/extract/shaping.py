"""Decodes and transforms pages in a second process, while this one does so with the page before.

Reading a large load is bound by the processor, on one core. The second process runs the same functions and hands back,
for each row, its key, time and day, and the JSON that dlt would write of it. It takes pages of which there is nothing
to report; any other it leaves to this process, as if it were not there.
"""

import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, tzinfo
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Lock, Thread
from typing import Any, NamedTuple

import orjson
from dlt.common.json import json

from ..api.responses import Decoded, decode
from ..catalog import BY_DAY, PARTITION_DATE, Report, reports
from .privacy import Privacy
from .rows import RejectedRow, identify
from .transform import Row, RowTransformer

MIN_ROWS = 30_000
"""Announced rows from which the second process pays: it is ready after two or three pages."""
MAX_LEFT = 3
"""Pages that the second process may leave to this one: if there are more, it only does what is done again."""

Start = Callable[..., tuple[BaseProcess, Connection]]
"""Starts a process with a function and its arguments, to which a connection is prepended."""


class ShapedRow(Row):
    """A row with what reading needs: key, time and day.

    Attributes:
        json: all of it, as dlt's typed JSON.
    """

    __slots__ = ("json",)

    json: orjson.Fragment


class ShapedPage(NamedTuple):
    """A page as the second process hands it back: an item for each row.

    Attributes:
        decoded: the response, without its rows.
        keys: the keys.
        times: the times, as they came.
        days: the local days.
        rows: the rows as dlt's typed JSON.
    """

    decoded: Decoded
    keys: Sequence[Any]
    times: Sequence[Any]
    days: Sequence[date]
    rows: Sequence[bytes]


def can_shape(report: Report) -> bool:
    """Whether a report's rows, as the API sends them, can be read by nothing but their key, time and day."""
    return not (report.key_of or report.merge_key or report.rereads or report.period == BY_DAY)


class ShapingProcess:
    """The second process; one for a report's part of a load package.

    Args:
        report: the report.
        zone: the account's time zone.
        privacy: what is removed or replaced.
        start: starts the process.
    """

    def __init__(self, report: Report, zone: tzinfo, privacy: Privacy, start: Start) -> None:
        self._report = report
        self._arguments = (report.name, zone, privacy)
        self._start = start
        self._rows = self._left = 0
        self._lock = Lock()
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._starter: Thread | None = None
        self._is_closed = False

    @property
    def is_ready(self) -> bool:
        """Whether it can be given a page."""
        return self._connection is not None

    def announce(self, rows: int) -> None:
        """Takes that so many more rows will be read; starts the process if that makes it pay."""
        self._rows += rows
        if self._rows >= MIN_ROWS and self._starter is None:
            self._starter = Thread(target=self._run, daemon=True)
            with suppress(RuntimeError):  # the system has no more threads: it goes without
                self._starter.start()

    def __call__(self, body: bytes | bytearray) -> Decoded | None:
        """Decodes a response; its rows are `ShapedRow`. None if that has to be done without this process."""
        connection = self._connection
        if connection is None:
            return None
        try:
            connection.send_bytes(body)
            page: ShapedPage | None = connection.recv()
        except Exception:  # it was ended, or nobody knows what it says next
            self._connection = None
            return None
        if page is None:
            self._left += 1
            if self._left == MAX_LEFT:
                self._connection = None
            return None
        rows = page.decoded.response["result"]["data"] = []
        for key, time, day, content in zip(page.keys, page.times, page.days, page.rows, strict=True):
            row = ShapedRow({self._report.primary_key: key, self._report.cursor: time, PARTITION_DATE: day})
            row.json = orjson.Fragment(content)
            rows.append(row)
        return page.decoded

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._is_closed, self._connection = True, None
            if self._process:
                self._process.kill()
                self._process.join()

    def _run(self) -> None:
        try:
            process, connection = self._start(serve_pages, *self._arguments)
        except (EOFError, OSError):  # no room for one: it goes without
            return
        with self._lock:
            if self._is_closed:
                process.kill()
            else:
                self._process, self._connection = process, connection


def serve_pages(connection: Connection, name: str, zone: tzinfo, privacy: Privacy) -> None:
    """Shapes pages until the other end of a connection is closed: what the second process runs.

    Args:
        connection: takes response bodies, returns a `ShapedPage` or None for each.
        name: name of the report.
        zone: the account's time zone.
        privacy: what is removed or replaced.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the process that started it
    report = reports()[name]
    transformer = RowTransformer(report, zone, privacy)
    with suppress(EOFError, OSError):
        while True:
            body = connection.recv_bytes()
            connection.send(shape(report, zone, transformer, body))
            del body  # or a page would stay in memory while it waits


def shape(report: Report, zone: tzinfo, transformer: RowTransformer, body: bytes) -> ShapedPage | None:
    """Decodes and transforms a page; None if there is anything to report of it."""
    transformer.take_misfits()
    try:
        decoded = decode(report.method, body)
        result = decoded.response["result"]
        rows = result["data"]
        if decoded.repairs or decoded.response.get("error") is not None or not isinstance(rows, list):
            return None
        identified = identify(report, rows, zone)
        times = [row[report.cursor] for row in rows]
        shaped = transformer.transform(rows)
    except Exception:  # whatever it is, it is raised where there is somebody to tell
        return None
    if transformer.has_met_oddities or any(isinstance(row, RejectedRow) for row in identified):
        return None
    result["data"] = None
    keys, days = [row.key for row in identified], [row[PARTITION_DATE] for row in shaped]  # type: ignore[union-attr]
    return ShapedPage(decoded, keys, times, days, [json.typed_dumpb(row) for row in shaped])
