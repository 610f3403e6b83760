"""Reads the windows of a report, and whole dictionaries: every row once, whatever moves while it is paged.

Rows are sorted by the cursor and identified by their key. If rows moved while a window was read (see `pages`), it is
read again.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import chain, islice
from math import ceil
from typing import Any

from dlt.common import logger

from ..api.client import MAX_LIMIT, MAX_QUERY_ROWS, DataApiClient
from ..api.prefetch import Planned
from ..api.responses import MAX_BODY, Page
from ..catalog import BY_DAY, BY_FILTER, DAY, Dictionary, Report, dictionaries
from ..exceptions import BadResponseError, MalformedResponseError, WindowTooDenseError
from .convert import to_text
from .pages import Budget, PageSequence, following_offsets, iterate_pages
from .rows import IdentifiedRow, Redact, RejectedRow, identify
from .shaping import ShapingProcess
from .transform import Row
from .windows import API_TIME, SECOND, Window, day_start, request_end, request_start, split

ACCOUNT_METHOD = "get.account"
MAX_READINGS = 3
"""How often a window or dictionary is read, at most, if its rows move."""
MAX_DIFFERENCE = 1
"""By how many entries a dictionary's announced number may be wrong."""
MAX_PARTS = 1000
"""Parts of a split window, at most; a part that still has too many rows is split again."""
SPLIT_SHARE = 0.9
"""Share of the maximum rows that the parts of a split window aim at: calls are not spread evenly."""


Part = tuple[Window, Mapping[str, Any]]
"""A window, and what else is requested with it."""


@dataclass(frozen=True)
class WindowResult:
    """A finished window, for the progress, the summary and the proof of completeness.

    Attributes:
        resource: name of the report.
        window: the window.
        parameters: what else was requested: the site, for example.
        reached: local time up to which everything is read now; before the window's end if other parameters follow.
        announced: rows that the API announced for the request, the second on either side of the window included.
        received: different rows that came for the same request; fewer than announced if the API miscounted or lost
            some.
        loaded: rows handed to dlt: those of the window itself, once each.
        requests: API calls that it took.
        seconds: time that it took, including what dlt did with the rows meanwhile.
        remaining: windows of the period that are still to be read, once for each set of parameters.
        rejected: rows without a key or time.
        outside: rows of other times than were requested; they are not loaded.
        is_uncounted: whether there were no rows, and the API did not say how many there are.
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
    remaining: int
    rejected: Sequence[RejectedRow] = ()
    outside: int = 0
    is_uncounted: bool = False

    @property
    def difference(self) -> int:
        """Rows announced but not received; negative if more came."""
        return self.announced - self.received


class WindowReader:
    """Reads the windows of one report's period.

    A key is returned once, whichever window it comes with: the destination's MERGE relies on a load package having
    each key once.

    Args:
        client: the client.
        report: the report.
        fields: names of the fields to request.
        zone: the account's time zone.
        max_rows: split a window with more rows than this, if it can be split; at most what one query can reach.
        parameters: what else to request; each window is read once with each of them, and rows carry them.
        redact: what is kept of rows that are rejected.
        shaping: a second process that decodes pages.
        share: rows after which somebody else reads on; so many are read ahead. None: nobody else does.

    Attributes:
        left: what is left of the windows, of which some may be split; empty with several sets of parameters.
    """

    def __init__(
        self,
        client: DataApiClient,
        report: Report,
        fields: Sequence[str],
        zone: tzinfo,
        max_rows: int = MAX_QUERY_ROWS,
        parameters: Sequence[Mapping[str, Any]] = ({},),
        redact: Redact = to_text,
        shaping: ShapingProcess | None = None,
        share: int | None = None,
    ) -> None:
        self.left: list[Window] = []
        self._share = share
        self._redact = redact
        self._shaping = shaping
        self._client = client
        self._report = report
        self._fields = list(fields)
        self._zone = zone
        self._parameters = parameters
        self._is_sorted = report.cursor_field.sort
        # Without an order, a second page may hold anything: then a window has to fit on one page.
        self._reachable = MAX_QUERY_ROWS if self._is_sorted else MAX_LIMIT
        # A day that the API sums up cannot be split.
        self._max_rows = self._reachable if report.period == BY_DAY else min(max_rows, self._reachable)
        self._seen: set[Any] = set()

    def read(self, windows: Sequence[Window]) -> Iterator[list[Row] | WindowResult]:
        """Reads windows in their order; one with too many rows is split, and its parts take its place.

        Args:
            windows: windows that do not overlap, in order of time.

        Yields:
            The rows of a window, a page at a time, as the API sent them; then the window's result.

        Raises:
            WindowTooDenseError: a single second has more rows than one query can reach.
            ApiError: see `DataApiClient.page`.
        """
        try:
            for nth, whole in enumerate(windows, start=1):
                queue = deque((whole, parameters) for parameters in self._parameters)
                while queue:
                    window, parameters = queue.popleft()
                    later = chain([*queue], ((one, more) for one in windows[nth:] for more in self._parameters))
                    result = yield from self._read(window, parameters, later)
                    if not isinstance(result, WindowResult):
                        queue.extendleft((part, parameters) for part in reversed(result))
                        continue
                    self._share = self._share and max(1, self._share - result.loaded)
                    self.left = [part for part, _ in queue] + [*windows[nth:]] if len(self._parameters) == 1 else []
                    yield replace(
                        result,
                        reached=min((part.start for part, _ in queue), default=whole.end),
                        remaining=len(queue) + (len(windows) - nth) * len(self._parameters),
                    )
        finally:
            if self._shaping:
                self._shaping.close()

    def _read_ahead(self, part: Part, total: int, later: Iterable[Part]) -> None:
        """Plans the requests that follow the first page of a window.

        Args:
            part: the window and what else is requested.
            total: rows of the window.
            later: what will be read after it.
        """
        if self._shaping:
            self._shaping.announce(total)
        own = [Planned(self._params(*part), following_offsets(total))]
        if self._share and total:  # so that others find room for what they read ahead
            later = islice(later, ceil(max(0, self._share - total) / total))
        queries = chain(own, (Planned(self._params(*one)) for one in later))
        self._client.read_ahead(self._report.method, queries, self._following, self._shaping)

    def _following(self, total: int) -> Iterator[int] | None:
        """Offsets of the pages after a window's first one; None if the window will be split."""
        return following_offsets(total) if total <= self._max_rows else None

    def _read(
        self, window: Window, parameters: Mapping[str, Any], later: Iterable[Part]
    ) -> Generator[list[Row], None, WindowResult | Sequence[Window]]:
        """Reads one window; returns its result, or the parts to be read instead if it has too many rows."""
        calls_before, started = self._client.usage.total, time.perf_counter()
        received: set[Any] = set()
        rejected: dict[str, RejectedRow] = {}
        announced, loaded, outside, is_uncounted = 0, 0, 0, False
        held: list[Row] = []
        budget = Budget()
        for _ in range(MAX_READINGS):
            pages, outside = PageSequence(), 0
            for page in self._pages(window, parameters, budget, later):
                if parts := self._parts(window, page.total, held):
                    return parts
                identified = self._identify(page, window, parameters)
                pages.add([_key(row) for row in identified], page.total)
                _keep_rejected(identified, rejected, budget)
                rows = self._new_rows(identified, window)
                outside += self._count_outside(identified, window)
                share = page.share * len(rows) / max(len(page.rows), 1)
                del page, identified  # or two pages would be in memory during the next call
                loaded += len(rows)
                if self._report.merge_key:  # a day is replaced whole, so a part of it must not reach dlt
                    held += rows
                    budget.left -= share
                elif rows:
                    yield rows
                del rows
            if parts := self._parts(window, self._least_total(pages), held):
                return parts
            announced, is_uncounted = pages.total, pages.announced is None and not pages.keys
            received |= pages.keys
            if pages.is_stable:
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
            seconds=time.perf_counter() - started,
            remaining=0,
            rejected=tuple(rejected.values()),
            outside=outside,
            is_uncounted=is_uncounted,
        )
        if result.difference:
            logger.warning(f"{result.resource} {window}: {announced} rows announced, {len(received)} received.")
        return result

    def _pages(
        self, window: Window, parameters: Mapping[str, Any], budget: Budget, later: Iterable[Part]
    ) -> Iterator[Page]:
        is_first = True
        try:
            for page in iterate_pages(self._client, self._report, budget, **self._params(window, parameters)):
                if is_first and (page.total or 0) <= self._max_rows:
                    self._read_ahead((window, parameters), page.total or 0, later)
                is_first = False
                yield page
                del page  # or two pages would be in memory during the next call
        except MalformedResponseError as error:
            raise MalformedResponseError(f"{error} It is in the window {window}.") from None

    def _identify(self, page: Page, window: Window, parameters: Mapping[str, Any]) -> list[IdentifiedRow | RejectedRow]:
        day = {self._report.cursor: str(window.start.date())} if self._report.period == BY_DAY else {}
        for row in page.rows if parameters or day else ():
            row.update({**parameters, **day})
        return identify(self._report, page.rows, self._zone, self._redact)

    def _least_total(self, pages: PageSequence) -> int | None:
        """How many rows there are at least, if nothing says how many, and there may be more than can be reached."""
        is_known = pages.announced is not None or len(pages.keys) < self._reachable
        return None if is_known else self._reachable + 1

    def _parts(self, window: Window, total: int | None, held: Sequence[Row]) -> Sequence[Window]:
        """The parts of a window with so many rows; none if it can be read as it is, or if nobody knows how many.

        Rows of it that are held count as not read.
        """
        if total is None:
            return ()
        if total > self._max_rows and window.seconds > 1 and self._report.period != BY_DAY:
            self._seen.difference_update(row[self._report.primary_key] for row in held)
            return split(window, min(max(2, ceil(total / (self._max_rows * SPLIT_SHARE))), MAX_PARTS))
        if total > self._reachable:
            raise WindowTooDenseError(
                f"{self._report.method}: {total} rows around {window.start:{API_TIME}}; the API returns "
                f"{self._reachable} at most. Everything before that is loaded, nothing after it. "
                "Ask the vendor for an export of that moment, and load around it with --since and --until."
            )
        return ()

    def _params(self, window: Window, parameters: Mapping[str, Any]) -> dict[str, Any]:
        period = period_params(self._report, window, self._zone)
        params: dict[str, Any] = {**parameters, "fields": self._fields, **period}
        if self._is_sorted:
            params["sort"] = [{"field": self._report.cursor, "order": "asc"}]
        return params

    def _new_rows(self, identified: Sequence[IdentifiedRow | RejectedRow], window: Window) -> list[Row]:
        rows = []
        for item in identified:
            if isinstance(item, RejectedRow) or item.time is None or item.time not in window:
                continue
            if item.key not in self._seen:
                self._seen.add(item.key)
                rows.append(item.row)
        return rows

    def _count_outside(self, identified: Sequence[IdentifiedRow | RejectedRow], window: Window) -> int:
        """Rows of other times than were requested: the API has answered another question."""
        start, end = request_start(window, self._zone), request_end(window, self._zone)
        if self._report.cursor_field.type == DAY:
            start = day_start(start)
        times = (item.time for item in identified if isinstance(item, IdentifiedRow))
        return sum(time is not None and not start <= time <= end for time in times)


def period_params(report: Report, window: Window, zone: tzinfo) -> dict[str, Any]:
    """The parameters of a request that select a window; see `Report.period`."""
    start, end = request_start(window, zone), request_end(window, zone)
    if report.period == BY_DAY:  # exactly it: the API sums up whatever days are requested
        start = day_start(window.start)
        end = start + timedelta(days=1) - SECOND
    first, last = start.strftime(API_TIME), end.strftime(API_TIME)
    if report.period == BY_FILTER:
        bounds = [(">=", first), ("<=", last)]
        filters = [{"field": report.cursor, "operator": sign, "value": value} for sign, value in bounds]
        return {"filter": {"filters": filters, "condition": "and"}}
    return {"date_from": first, "date_till": last}


def _keep_rejected(
    identified: Sequence[IdentifiedRow | RejectedRow], rejected: dict[str, RejectedRow], budget: Budget
) -> None:
    """Adds the rejected rows of a page to those before, within the budget."""
    for item in identified:
        if isinstance(item, RejectedRow) and item.id not in rejected:
            rejected[item.id] = item
            budget.left -= len(item.content) / MAX_BODY


def _key(item: IdentifiedRow | RejectedRow) -> Any:
    return item.id if isinstance(item, RejectedRow) else item.key


def parameter_sets(client: DataApiClient, report: Report, **parameters: Any) -> list[dict[str, Any]]:
    """The parameters, beside the period, that a report's windows have to be requested with: none, or each site's.

    Args:
        client: the client.
        report: the report.
        **parameters: what each request has to have anyway.

    Raises:
        ApiError: see `DataApiClient.page`.
    """
    found = [parameters]
    for parameter, name in report.for_each.items():
        dictionary = dictionaries()[name]
        key = dictionary.primary_key
        entries = read_dictionary(client, dictionary, [key], **parameters).rows
        found = [{**one, parameter: entry[key]} for one in found for entry in entries]
    return found


@dataclass(frozen=True)
class DictionaryResult:
    """A dictionary that was read whole.

    Attributes:
        rows: its entries.
        parameters: what else was requested: the client of an agency, for example.
        rejected: entries without a key.
        announced: how many entries the API said that there are; None if it did not.
        requests: API calls that it took.
        seconds: time that it took.
        read_at: when it had been read.
    """

    rows: list[Row]
    parameters: Mapping[str, Any]
    rejected: Sequence[RejectedRow]
    announced: int | None
    requests: int
    seconds: float
    read_at: datetime

    @property
    def is_uncounted(self) -> bool:
        """Whether there were no entries, and the API did not say how many there are."""
        return self.announced is None and not self.received

    @property
    def received(self) -> int:
        """All entries."""
        return len(self.rows) + len(self.rejected)


def read_dictionary(
    client: DataApiClient, dictionary: Dictionary, fields: Sequence[str], redact: Redact = to_text, **parameters: Any
) -> DictionaryResult:
    """Reads a whole dictionary: each entry once, by its key.

    Args:
        client: the client.
        dictionary: the dictionary.
        fields: names of the fields to request.
        redact: what is kept of entries that are rejected.
        **parameters: what else to request; entries carry them.

    Raises:
        TooLargeError: its entries are larger than any page.
        BadResponseError: it has more entries than one query can reach, or moved each time that it was read.
        ApiError: see `DataApiClient.page`.
    """
    calls_before, started = client.usage.total, time.perf_counter()
    rows, rejected, announced = _read_entries(client, dictionary, fields, redact, parameters)
    requests, seconds = client.usage.total - calls_before, time.perf_counter() - started
    return DictionaryResult(rows, parameters, rejected, announced, requests, seconds, datetime.now(UTC))


def _read_entries(
    client: DataApiClient, dictionary: Dictionary, fields: Sequence[str], redact: Redact, parameters: Mapping[str, Any]
) -> tuple[list[Row], list[RejectedRow], int | None]:
    if dictionary.method == ACCOUNT_METHOD:  # has no pages and no fields to choose
        return [{**asdict(client.account(**parameters)), **parameters}], [], 1
    names = (*dictionary.needed, "name")
    sort_field = next((name for name in names if _can_sort(dictionary, name, client.manual)), None)
    params: dict[str, Any] = {**parameters, "fields": list(fields)}
    if sort_field:
        params["sort"] = [{"field": sort_field, "order": "asc"}]
    found: dict[Any, IdentifiedRow | RejectedRow] = {}
    for reading in range(MAX_READINGS):
        pages = PageSequence()
        found, budget = {}, Budget()
        for page in _entry_pages(client, dictionary, budget, params):
            for row in page.rows if parameters else ():
                row.update(parameters)
            identified = identify(dictionary, page.rows, redact=redact)
            pages.add([_key(item) for item in identified], page.total)
            found.update({_key(item): item for item in identified})
            budget.left -= page.share
            del page, identified  # or two pages would be in memory during the next call
        # A total that is one too high is a known fault of the API; an entry that came or went shows in a new reading.
        tolerated = MAX_DIFFERENCE if reading == MAX_READINGS - 1 else 0
        if pages.is_stable and abs(len(found) - pages.total) <= tolerated:
            rejected = [item for item in found.values() if isinstance(item, RejectedRow)]
            rows = [item.row for item in found.values() if isinstance(item, IdentifiedRow)]
            return rows, rejected, pages.announced
    raise BadResponseError(
        f"{dictionary.method}: {pages.total} entries announced, {len(found)} received, in {MAX_READINGS} readings. "
        "The table is unchanged; run again."
    )


def _entry_pages(
    client: DataApiClient, dictionary: Dictionary, budget: Budget, params: Mapping[str, Any]
) -> Iterator[Page]:
    if not dictionary.rows_in:
        return iterate_pages(client, dictionary, budget, **params)
    accepted = {name: value for name, value in params.items() if name != "fields"}
    return iter([client.object_rows(dictionary.method, dictionary.rows_in, dictionary.fields, **accepted)])


def _can_sort(dictionary: Dictionary, name: str, manual: str) -> bool:
    declared = dictionary.fields.get(name)
    return declared is not None and declared.sort and manual not in declared.not_in
