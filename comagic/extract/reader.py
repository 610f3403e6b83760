"""Reads the windows of a report: every row of a window once, whatever moves while it is paged.

Rows are paged by offset, sorted by the cursor. Between two answers calls end, uploads arrive, rows may vanish; then
what stands at an offset shifts, and a row can be skipped or come twice. So each page begins with the last row of the
page before, a reading that shows any sign of movement is followed by another, and rows are told apart by their key.
"""

import time
from collections import deque
from dataclasses import asdict, dataclass, replace
from datetime import datetime, tzinfo
from hashlib import sha256
from math import ceil
from typing import Any, Dict, Generator, Iterator, List, Mapping, Sequence, Set, Union

from dlt.common import logger
from dlt.common.json import json

from ..api.client import DataApiClient
from ..api.responses import Page, wall_time_of
from ..catalog import Dictionary, Report, Resource, dictionaries
from ..exceptions import BadAnswerError, WindowTooDenseError
from ..settings import CEILING, MAX_LIMIT, MAX_OFFSET, MAX_READINGS
from .transform import Row
from .windows import API_TIME, Window, asked_end, asked_start, split

ACCOUNT_METHOD = "get.account"
OVERLAP = 1
"""Rows of the page before with which a page begins."""
SPLIT_SHARE = 0.9
"""Share of the rows allowed that the parts of a split window aim at: calls are not spread evenly."""
KEY_DIGITS = 32
"""Length of a key that is made."""


@dataclass(frozen=True)
class WindowResult:
    """A finished window, for the progress, the summary and the reconciliation.

    Attributes:
        resource: name of the report.
        window: the window.
        parameters: what else was asked for: the site, say.
        reached: wall time up to which everything is read now; before the window's end if other parameters are to come.
        announced: rows that the API said the request has, the second on either side of the window included.
        received: different rows that came for the same request; less than announced if the API miscounted or lost some.
        loaded: rows handed to dlt: those of the window itself, once each.
        requests: calls of the API that it took.
        seconds: time that it took, what dlt did with the rows meanwhile included.
        waiting: windows of the period that are still to be read, once for each set of parameters.
    """

    resource: str
    window: Window
    parameters: Mapping[str, Any]
    reached: datetime
    announced: int
    received: int
    loaded: int
    requests: int
    seconds: float
    waiting: int

    @property
    def difference(self) -> int:
        """Rows announced but not received; negative if more came."""
        return self.announced - self.received


class WindowReader:
    """Reads the windows of one report's period.

    A key is handed out once, whatever window it comes with: the destination's MERGE relies on a load package holding
    each key once.

    Args:
        client: the client.
        report: the report.
        fields: names of the fields to ask for.
        zone: the account's zone.
        most_rows: split a window with more rows than this, if it can be split; at most the API's ceiling.
        parameters: what else to ask for; each window is read once with each of them, and rows carry them.
    """

    def __init__(
        self,
        client: DataApiClient,
        report: Report,
        fields: Sequence[str],
        zone: tzinfo,
        most_rows: int = CEILING,
        parameters: Sequence[Mapping[str, Any]] = ({},),
    ) -> None:
        self._client = client
        self._report = report
        self._fields = list(fields)
        self._zone = zone
        self._parameters = parameters
        self._is_sorted = report.fields[report.cursor].sort
        # Without an order, a second page may hold anything: then a window has to come in one.
        self._reachable = CEILING if self._is_sorted else MAX_LIMIT
        self._most_rows = min(most_rows, self._reachable)
        self._loaded: Set[Any] = set()

    def read(self, windows: Sequence[Window]) -> Iterator[Union[List[Row], WindowResult]]:
        """Reads windows in their order; one with too many rows is split, and its parts take its place.

        Args:
            windows: windows that touch or lie apart, in order of time.

        Yields:
            The rows of a window, a page at a time, as the API sent them; then the window's result.

        Raises:
            WindowTooDenseError: a single second has more rows than can be paged to.
            ApiError: see `DataApiClient.call`.
        """
        for nth, whole in enumerate(windows, start=1):
            waiting = deque((whole, parameters) for parameters in self._parameters)
            while waiting:
                window, parameters = waiting.popleft()
                result = yield from self._read(window, parameters)
                if not isinstance(result, WindowResult):
                    waiting.extendleft((part, parameters) for part in reversed(result))
                    continue
                yield replace(
                    result,
                    reached=min((part.start for part, _ in waiting), default=whole.end),
                    waiting=len(waiting) + (len(windows) - nth) * len(self._parameters),
                )

    def _read(
        self, window: Window, parameters: Mapping[str, Any]
    ) -> Generator[List[Row], None, Union[WindowResult, Sequence[Window]]]:
        """Reads one window; returns its result, or the parts to be read instead if it has too many rows."""
        calls_before, began = self._client.usage.total, time.perf_counter()
        received: Set[Any] = set()
        announced, loaded = 0, 0
        held: List[Row] = []
        for _ in range(MAX_READINGS):
            reading = _Reading(self._report)
            params = {**parameters, **self._params(window)}
            for page in _iterate_pages(self._client, self._report.method, OVERLAP, **params):
                if parts := self._parts(window, page.total):
                    return parts
                self._complete(page.rows, parameters)
                reading.add(page)
                rows = self._new_rows(page, window)
                del page  # or two pages would be in memory during the next call
                loaded += len(rows)
                if self._report.merge_key:
                    held += rows  # what is replaced whole has to come whole
                elif rows:
                    yield rows
                del rows
            announced = reading.total
            received |= reading.keys
            if reading.is_still:
                break
        if held:
            yield held
        result = WindowResult(
            resource=self._report.name,
            window=window,
            parameters=parameters,
            reached=window.end,
            announced=announced,
            received=len(received),
            loaded=loaded,
            requests=self._client.usage.total - calls_before,
            seconds=time.perf_counter() - began,
            waiting=0,
        )
        if result.difference:
            logger.warning(f"{result.resource} {window}: {announced} rows announced, {len(received)} came.")
        return result

    def _parts(self, window: Window, total: int) -> Sequence[Window]:
        """The parts of a window with so many rows; none if it can be read as it is."""
        if total > self._most_rows and window.seconds > 1:
            return split(window, max(2, ceil(total / (self._most_rows * SPLIT_SHARE))))
        if total > self._reachable:
            raise WindowTooDenseError(
                f"{self._report.method}: {total} rows around {window.start:{API_TIME}}, of which the API hands out "
                f"{self._reachable} at most. What was read before that is kept; nothing after it was read. "
                "Ask the vendor for an export of that moment and load around it with --since and --until."
            )
        return ()

    def _params(self, window: Window) -> Dict[str, Any]:
        params: Dict[str, Any] = {
            "date_from": asked_start(window, self._zone).strftime(API_TIME),
            "date_till": asked_end(window, self._zone).strftime(API_TIME),
            "fields": self._fields,
        }
        if self._is_sorted:
            params["sort"] = [{"field": self._report.cursor, "order": "asc"}]
        return params

    def _complete(self, rows: Sequence[Row], parameters: Mapping[str, Any]) -> None:
        """Gives rows the parameters that they were asked for with, and a key where they have none."""
        if parameters or self._report.key_of:
            for row in rows:
                row.update(parameters)
                if self._report.key_of:
                    row[self._report.primary_key] = made_key(row, self._report.key_of)

    def _new_rows(self, page: Page, window: Window) -> List[Row]:
        rows = []
        for row in page.rows:
            key = row[self._report.primary_key]
            if key not in self._loaded and wall_time_of(self._report.method, row, self._report.cursor) in window:
                self._loaded.add(key)
                rows.append(row)
        return rows


def made_key(row: Row, names: Sequence[str]) -> str:
    """A key for rows without one: 128 bits of the SHA-256 of some of their values, in hexadecimal."""
    return sha256(json.dumpb([row.get(name) for name in names])).hexdigest()[:KEY_DIGITS]


def every_parameters(client: DataApiClient, report: Report, **parameters: Any) -> List[Dict[str, Any]]:
    """What a report's windows have to be asked for with, beside the period: nothing, or each site in turn.

    Args:
        client: the client.
        report: the report.
        **parameters: what each request has to name anyway.

    Raises:
        ApiError: see `DataApiClient.page`.
    """
    found = [parameters]
    for parameter, name in report.for_each.items():
        dictionary = dictionaries()[name]
        key = dictionary.primary_key
        entries = read_dictionary(client, dictionary, [key], **parameters)
        found = [{**of, parameter: entry[key]} for of in found for entry in entries]
    return found


def read_dictionary(
    client: DataApiClient, dictionary: Dictionary, fields: Sequence[str], **parameters: Any
) -> List[Row]:
    """Reads a dictionary whole: each entry once, by its key.

    Args:
        client: the client.
        dictionary: the dictionary.
        fields: names of the fields to ask for.
        **parameters: what else to ask for; entries carry them.

    Raises:
        BadAnswerError: it has more entries than can be asked for, or moved each time that it was read.
        ApiError: see `DataApiClient.page`.
    """
    if dictionary.method == ACCOUNT_METHOD:  # has no pages and no fields to choose
        return [{**asdict(client.account(**parameters)), **parameters}]
    sorted_by = next((name for name in (dictionary.primary_key, "name") if _can_sort(dictionary, name)), None)
    params: Dict[str, Any] = {**parameters, "fields": list(fields)}
    if sorted_by:
        params["sort"] = [{"field": sorted_by, "order": "asc"}]
    found: Dict[Any, Row] = {}
    for _ in range(MAX_READINGS):
        reading = _Reading(dictionary)
        found = {}
        for page in _iterate_pages(client, dictionary.method, OVERLAP, **params):
            reading.add(page)
            found.update({row[dictionary.primary_key]: {**row, **parameters} for row in page.rows})
        if reading.is_still and len(found) == reading.total:
            return list(found.values())
    raise BadAnswerError(
        f"{dictionary.method}: {reading.total} entries were announced and {len(found)} came, in {MAX_READINGS} "
        "readings. The table is left as it was; run again."
    )


def _can_sort(dictionary: Dictionary, name: str) -> bool:
    return name in dictionary.fields and dictionary.fields[name].sort


class _Reading:
    """One pass over a window's pages, and whether rows shifted during it.

    A page has to begin with the row that the page before ended with. If it begins with a row not seen yet, rows were
    skipped; if it repeats more than that one, rows came in before. Rows that come and go after what was read so far
    shift nothing and do no harm.
    """

    def __init__(self, report: Resource) -> None:
        self.keys: Set[Any] = set()
        self.total = 0
        self.is_still = True
        self._report = report

    def add(self, page: Page) -> None:
        """Takes a page in."""
        keys = [self._key(row) for row in page.rows]
        if self.keys:
            joins = bool(keys) and keys[0] in self.keys
            repeats = sum(key in self.keys for key in keys)
            self.is_still &= joins and repeats <= self._expected_repeats(page)
        self.keys.update(keys)
        self.total = page.total

    def _expected_repeats(self, page: Page) -> int:
        return max(OVERLAP, len(self.keys) + len(page.rows) - CEILING)

    def _key(self, row: Row) -> Any:
        key = row.get(self._report.primary_key)
        if not isinstance(key, str if self._report.key_of else int):
            raise BadAnswerError(f"{self._report.method}: a row has no {self._report.primary_key}: {key!r}.")
        return key


def _iterate_pages(client: DataApiClient, method: str, overlap: int, **params: Any) -> Iterator[Page]:
    """Pages through a query by offset until its rows end.

    Args:
        client: the client.
        method: a method that returns rows.
        overlap: rows of the previous page to ask for again, so that a shift between two answers can be seen.
        **params: further parameters of the method.

    Yields:
        Pages; each but the first begins with the overlap. The last one reaches the total, or brings nothing beyond the
        overlap whatever the total says, or is the last that the API's ceiling of offsets allows.
    """
    offset, repeated = 0, 0
    while True:
        page = client.page(method, offset, **params)
        reached, total = offset + len(page.rows), page.total
        yield page
        del page  # or two pages would be in memory during the next call
        if reached - offset <= repeated or reached >= total or offset >= MAX_OFFSET:
            return
        offset = min(reached - overlap, MAX_OFFSET)
        repeated = reached - offset
