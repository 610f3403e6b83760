"""Reads the windows of a report: every row of a window once, whatever moves while it is paged.

Rows are paged by offset, sorted by the cursor. Between two answers calls end, uploads arrive, rows may vanish; then
what stands at an offset shifts, and a row can be skipped or come twice. So each page begins with the last row of the
page before, a reading that shows any sign of movement is followed by another, and rows are told apart by their key.
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Dict, Iterator, List, Sequence, Set

from dlt.common import logger

from comagic.catalog import Report
from comagic.client import DataApiClient, Page, iterate_pages
from comagic.exceptions import BadAnswerError, WindowTooDenseError
from comagic.settings import CEILING, MAX_READINGS
from comagic.windows import API_TIME, Window, asked_end, asked_start, split

Row = Dict[str, Any]

OVERLAP = 1
"""Rows of the page before with which a page begins."""
SPLIT_ROWS = CEILING * 9 // 10
"""Rows to aim at in each part of a window that is split: below the ceiling, since calls are not spread evenly."""


@dataclass(frozen=True)
class WindowResult:
    """A finished window, for the progress, the summary and the reconciliation.

    Attributes:
        resource: name of the resource.
        window: the window.
        announced: rows that the API said the request has, the second on either side of the window included.
        received: different rows that came for the same request; less than announced if the API miscounted or lost some.
        loaded: rows handed to dlt: those of the window itself, once each.
        requests: calls of the API that it took.
    """

    resource: str
    window: Window
    announced: int
    received: int
    loaded: int
    requests: int

    @property
    def difference(self) -> int:
        """Rows announced but not received; negative if more came."""
        return self.announced - self.received


class WindowReader:
    """Reads windows of one report, one after the other.

    Args:
        client: the client.
        report: the report.
        fields: names of the fields to ask for.
        zone: the account's zone.

    """

    def __init__(self, client: DataApiClient, report: Report, fields: Sequence[str], zone: tzinfo) -> None:
        self._results: List[WindowResult] = []
        self._client = client
        self._report = report
        self._fields = list(fields)
        self._zone = zone
        self._loaded: Set[Any] = set()

    def read(self, window: Window) -> Iterator[List[Row]]:
        """Yields the window's rows, a page at a time, as the API sent them but without repeats.

        A row is not yielded again by a later window of the same reader: one load package holds each key once, which
        the destination's MERGE relies on.

        Raises:
            WindowTooDenseError: a single second has more rows than can be paged to.
            ApiError: see `DataApiClient.call`.
        """
        calls_before = self._client.usage.total
        received: Set[Any] = set()
        announced, loaded = 0, 0
        for _ in range(MAX_READINGS):
            reading = _Reading(self._report)
            for page in iterate_pages(self._client, self._report.method, OVERLAP, **self._params(window)):
                if page.total > CEILING:
                    yield from self._read_parts(window, page.total)
                    return
                reading.add(page)
                rows = self._new_rows(page, window)
                loaded += len(rows)
                if rows:
                    yield rows
            announced = reading.total
            received |= reading.keys
            if reading.is_still or (len(received) == announced and not reading.total_moved):
                break
        requests = self._client.usage.total - calls_before
        result = WindowResult(self._report.name, window, announced, len(received), loaded, requests)
        if result.difference:
            logger.warning(f"{result.resource} {window}: {announced} rows announced, {len(received)} came.")
        self._results.append(result)

    def take_results(self) -> List[WindowResult]:
        """Hands over the windows finished since the last call; a window that was split is represented by its parts."""
        results, self._results = self._results, []
        return results

    def _read_parts(self, window: Window, total: int) -> Iterator[List[Row]]:
        if window.seconds <= 1:
            raise WindowTooDenseError(
                f"{self._report.method}: {total} rows around {window.start:{API_TIME}}, of which the API hands out "
                f"{CEILING} at most. Nothing of this load package was kept, because rows would be missing. "
                f"Ask the vendor for an export of that moment and load around it with --since and --until."
            )
        for part in split(window, max(2, -(-total // SPLIT_ROWS))):
            yield from self.read(part)

    def _params(self, window: Window) -> Dict[str, Any]:
        return {
            "date_from": asked_start(window, self._zone).strftime(API_TIME),
            "date_till": asked_end(window, self._zone).strftime(API_TIME),
            "fields": self._fields,
            "sort": [{"field": self._report.cursor, "order": "asc"}],
        }

    def _new_rows(self, page: Page, window: Window) -> List[Row]:
        rows = []
        for row in page.rows:
            key = row[self._report.primary_key]
            if key not in self._loaded and wall_time(self._report, self._report.cursor, row) in window:
                self._loaded.add(key)
                rows.append(row)
        return rows


class _Reading:
    """One pass over a window's pages, and the signs that rows moved during it."""

    def __init__(self, report: Report) -> None:
        self.keys: Set[Any] = set()
        self.total_moved = False
        self._report = report
        self._totals: List[int] = []
        self._shifted = False

    @property
    def total(self) -> int:
        """What the last answer announced."""
        return self._totals[-1]

    @property
    def is_still(self) -> bool:
        """True if nothing moved: one answer cannot, and pages that join without repeats or gaps did not."""
        return len(self._totals) == 1 or not (self._shifted or self.total_moved)

    def add(self, page: Page) -> None:
        """Takes a page in."""
        keys = [self._key(row) for row in page.rows]
        if self._totals:
            joins = bool(keys) and keys[0] in self.keys
            repeats = sum(key in self.keys for key in keys)
            self._shifted |= not joins or repeats > self._expected_repeats(page)
            self.total_moved |= page.total != self.total
        self.keys.update(keys)
        self._totals.append(page.total)

    def _expected_repeats(self, page: Page) -> int:
        return max(OVERLAP, len(self.keys) + len(page.rows) - CEILING)

    def _key(self, row: Row) -> Any:
        key = row.get(self._report.primary_key)
        if not isinstance(key, int):
            raise BadAnswerError(f"{self._report.method}: a row has no {self._report.primary_key}: {key!r}.")
        return key


def wall_time(report: Report, name: str, row: Row) -> datetime:
    """The wall time in a field of a row.

    Raises:
        BadAnswerError: it is missing, or not `YYYY-MM-DD HH:MM:SS`.
    """
    try:
        moment = datetime.fromisoformat(row[name])
        if moment.tzinfo is None:
            return moment
    except (KeyError, TypeError, ValueError):
        pass
    raise BadAnswerError(
        f"{report.method}: {name} of row {row.get(report.primary_key)!r} is {row.get(name)!r}, not YYYY-MM-DD HH:MM:SS."
    )
