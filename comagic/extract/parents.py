"""Reads reports that take a request for each row of another one: what was said in a call.

So many requests are dear: a run has a budget, and the newest rows come first. Which were asked about is kept in dlt's
state, by their day, as long as that day is looked at; each is asked about once, and again later if there was nothing.
"""

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from ..api.client import DataApiClient
from ..catalog import Parents, Report, reports
from ..exceptions import RequestError
from .context import Context
from .reader import WindowReader, WindowResult
from .rows import IdentifiedRow, identify
from .transform import Row
from .windows import Window, day_start, plan_windows

ASKED_KEY = "asked"
"""Key in the resource's state: by day the keys that were asked about, with the day on which there was nothing."""
QUOTA_PARTS = 20
"""Into how many parts the day's quota is cut for a report that takes many requests; one is for it."""
MAX_REFUSED = 5
"""After so many errors and no response, the request itself is wrong."""


def affordable_requests(most: int, client: DataApiClient) -> int:
    """How many requests a run may spend on a report that takes many.

    Args:
        most: what the settings allow.
        client: the client, whose last response says how large the day's quota is.
    """
    limit = client.usage.limit("day_limit")
    return most if limit is None else max(1, min(most, limit // QUOTA_PARTS))


def parents_window(context: Context, now: datetime) -> Window:
    """The period in which a run looks for the rows to ask about.

    Args:
        context: what the report is read with.
        now: the present, in local time.
    """
    start = context.since or day_start(now - timedelta(days=context.settings.transcript_days))
    end = min(context.until or now, now)
    return Window(min(start, end), end)


class ParentsReader:
    """Reads a report row by row of another one.

    Args:
        report: the report.
        parents: whose rows are asked about.
        context: what it is read with.
        zone: the account's time zone.
        state: the resource's state.

    Attributes:
        error: the first error about a single row, if there was one.
    """

    def __init__(self, report: Report, parents: Parents, context: Context, zone: tzinfo, state: dict[str, Any]) -> None:
        self._report, self._parents, self._context, self._zone = report, parents, context, zone
        self._source = reports()[parents.report]
        self._asked: dict[str, dict[str, str]] = state.setdefault(ASKED_KEY, {})
        self._requests = self._refused = 0
        self._is_exhausted = False
        self.error: RequestError | None = None

    def read(self, window: Window, now: datetime, most: int | None = None) -> Iterator[list[Row] | WindowResult]:
        """Asks about rows of a period, the newest first.

        Args:
            window: the period.
            now: the present, in local time.
            most: how many rows to ask about; None for the setting.

        Yields:
            The rows of a response; at last the result of all.

        Raises:
            RequestError: the API rejects every request.
            ApiError: see `DataApiClient.page`.
        """
        client, settings, started = self._context.client, self._context.settings, time.perf_counter()
        calls_before = client.usage.total
        oldest = min(window.start, now - timedelta(days=settings.transcript_days)).date()
        for day in [day for day in self._asked if day < str(oldest)]:
            del self._asked[day]
        budget = affordable_requests(most or settings.transcript_requests, client)
        loaded = 0
        for parent in self._wanted(window, now.date()):
            if self._requests >= budget:
                self._is_exhausted = True
                break
            key = parent[self._source.primary_key]
            identified = identify(self._report, self._ask(key, parent), self._zone)
            rows = list({item.key: item.row for item in identified if isinstance(item, IdentifiedRow)}.values())
            self._asked.setdefault(_day(parent, self._source), {})[str(key)] = "" if rows else str(now.date())
            loaded += len(rows)
            if rows:
                yield rows
        yield WindowResult(
            resource=self._report.name,
            window=window,
            parameters=self._context.parameters(self._report),
            reached=window.end,
            announced=loaded,
            received=loaded,
            loaded=loaded,
            requests=client.usage.total - calls_before,
            seconds=time.perf_counter() - started,
            remaining=0,
        )

    def messages(self) -> Iterator[str]:
        """What the user should know of it."""
        name = self._context.name(self._report)
        if self._is_exhausted:
            yield (
                f"{name}: asked about {self._requests:,} {self._source.name}, the newest first; others are left to the "
                "next runs (sources.comagic.transcript_requests)."
            )
        if self.error:
            yield f"{name}: the API rejected {self._refused} of {self._requests} requests: {self.error}"

    def _ask(self, key: Any, parent: Row) -> list[Row]:
        """The rows about a row; none if the API rejects the request."""
        report, parameters = self._report, self._context.parameters(self._report)
        self._requests += 1
        asked = {self._parents.parameter: key}
        try:
            page = self._context.client.object_rows(report.method, report.rows_in, report.fields, **asked, **parameters)
        except RequestError as error:
            self._refused += 1
            if self._refused == self._requests == MAX_REFUSED:
                raise
            self.error = self.error or error
            return []
        return [{**row, **asked, **parameters, report.cursor: parent[self._source.cursor]} for row in page.rows]

    def _wanted(self, window: Window, today: date) -> Iterator[Row]:
        """The rows to ask about, the newest first."""
        again = str(today - timedelta(days=self._context.settings.transcript_retry_days))
        for parent in self._newest(window):
            asked = self._asked.get(_day(parent, self._source), {}).get(str(parent[self._source.primary_key]))
            if asked is None or "" < asked <= again:
                yield parent

    def _newest(self, window: Window) -> Iterator[Row]:
        """The rows that fit, the newest first."""
        context, source = self._context, self._source
        excluded = context.privacy(source)
        wanted = [name for name in (self._parents.has, self._parents.duration) if not excluded.excludes(name)]
        fields = [source.primary_key, source.cursor, *wanted]
        reader = WindowReader(context.client, source, fields, self._zone, parameters=[context.parameters(source)])
        days = context.settings.window_days
        for one in reversed(plan_windows(window.start, window.end, days, source.longest_period_days)):
            rows = [row for part in reader.read([one]) if not isinstance(part, WindowResult) for row in part]
            yield from (row for row in reversed(rows) if self._fits(row))

    def _fits(self, row: Row) -> bool:
        """False if there can be nothing about the row; what the API did not send does not count."""
        duration = row.get(self._parents.duration)
        is_long = not isinstance(duration, int) or duration >= self._context.settings.transcript_min_seconds
        return bool(row.get(self._parents.has, True)) and is_long


def _day(row: Row, report: Report) -> str:
    return str(row[report.cursor])[:10]
