"""Verifies one report: counts first, then the keys, or all values, of what has to be read.

The API's total for a window takes a request for one row. It only chooses what to read, since it can be one too high,
and since it is not documented whether the bounds are included: the rows that are read decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pendulum
from dlt import Schema

from ..api.client import MAX_LIMIT
from ..catalog import BY_DAY, BY_FILTER, PARTITION_DATE, Report, Resource
from ..exceptions import UncountedError
from ..extract.context import Context
from ..extract.reader import MAX_DIFFERENCE, WindowReader, WindowResult, period_params
from ..extract.schema import table_columns
from ..extract.transform import Row
from ..extract.windows import Window, to_local
from .bounds import DAY
from .comparison import Comparison, make_comparison
from .loaded_rows import NO_ROWS, DayCount, LoadedRow, LoadedRows
from .verified_windows import choose_periods, clip, days_of, halved, midnight, rows_in, rows_near, runs, windows_of
from .verify_results import DayResult, ReportResult

ROWS_IN_MEMORY = 10_000
"""Rows that are compared at once; a part of a window with more is split."""
KEYS_IN_MEMORY = 100_000
"""The same where only keys are compared."""


def why_not(resource: Resource) -> str:
    """Why a resource cannot be verified; empty if it can."""
    if not isinstance(resource, Report):
        return "a dictionary, which each load reads whole and checks against the API's count"
    if resource.parents:
        return f"it takes a request for each of the {resource.parents.report}"
    if resource.period == BY_DAY:
        return "it takes a request for each day, and load replaces the day whole"
    if resource.merge_key:
        return "its rows have no key of their own, and load replaces days whole"
    return ""


class ReportVerification:
    """Verifies one report, or one client's rows of it.

    Args:
        report: the report.
        context: what it is read with.
        loaded: its rows in the destination.
        is_deep: whether to read everything and compare all values.
        keeps_extra: whether to remember the rows that the API does not have, to delete them.

    Attributes:
        result: what was found so far.
    """

    def __init__(
        self, report: Report, context: Context, loaded: LoadedRows, is_deep: bool, keeps_extra: bool = False
    ) -> None:
        self.result = ReportResult(report.name, context.user_id, is_deep)
        self.report = report
        self.context = context
        self._loaded = loaded
        self._is_deep = is_deep
        self._keeps_extra = keeps_extra
        self._parameters = context.parameters(report)
        self._comparisons: dict[tuple[str, ...], Comparison] = {}
        self._transformer = context.transformer(
            report, loaded.zone, self._parameters, table_columns(loaded.schema, report)
        )

    def verify(self, since: datetime | None, until: datetime | None) -> None:
        """Compares all that was loaded of a period.

        Args:
            since: local time at which to start; None for the beginning.
            until: local time before which to end; None for the last day that was over when it was loaded.

        Raises:
            UncountedError: the API does not say how many rows there are.
            ApiError: see `DataApiClient.page`.
        """
        now = to_local(pendulum.now("UTC"), self._loaded.zone)
        self.result.periods = choose_periods(self._loaded.periods(), since, until, now)
        with self.counting_requests():
            for period in self.result.periods:
                counts = self._loaded.count(period)
                if self._is_deep:
                    windows = [*self._windows_by_rows(period, counts)]
                    self.result.windows += len(windows)
                    self._compare(windows)
                else:
                    self._compare_counts(period, counts)

    def refresh(self, schema: Schema, existing: Mapping[str, Sequence[str]]) -> None:
        """Takes in what a load has changed: dlt's schema, and the columns of tables; see `LoadedRows`."""
        self._loaded = replace(self._loaded, schema=schema, existing=existing)
        self._comparisons = {}

    def compare_again(self, days: Sequence[date]) -> None:
        """Compares days again; what was found in them before is forgotten."""
        for day in days:
            self.result.days.pop(day, None)
        with self.counting_requests():
            for first, last in runs(sorted(days)):
                for part in clip(self.result.periods, midnight(first), midnight(last) + DAY):
                    self._compare(windows_of(part, self._days, self.report.longest_period_days))

    def may_delete(self, day: DayResult) -> bool:
        """True if rows of a day that the API does not have may be deleted.

        Not if the API has no rows of the day at all, or did not send what it announced; nor after a day that it has no
        longer, since the limit of what the vendor keeps may be in this one.
        """
        return bool(day.extra and day.api) and day.is_whole and not self.result.is_expired(day.day - DAY)

    def delete_extra(self, day: DayResult) -> int:
        """Deletes rows of a day that the API does not have: not in a first reading, nor in this second one.

        Args:
            day: what the first reading has found.

        Returns:
            How many rows were deleted.
        """
        row_ids: list[str] = []
        with self.counting_requests():
            for part in clip(self.result.periods, midnight(day.day), midnight(day.day) + DAY):
                found, is_whole = self._read_keys(part)
                if found and is_whole:
                    gone = day.extra_keys - found
                    row_ids += [row.row_id for row in self._loaded.read(part) if row.key in gone]
        self._loaded.delete(day.day, row_ids)
        self.result.deleted += len(row_ids)
        return len(row_ids)

    @contextmanager
    def counting_requests(self) -> Iterator[None]:
        """Counts the API calls of its `with` block."""
        usage = self.context.client.usage
        before = usage.total
        try:
            yield
        finally:
            self.result.requests += usage.total - before

    def _compare_counts(self, period: Window, counts: Mapping[date, DayCount]) -> None:
        """Compares counts window by window. Where they differ, it compares keys, of one page at a time if it can.

        To read a page takes no more requests than to halve its window.
        """
        queue = windows_of(period, self._days, self.report.longest_period_days)
        self.result.windows += len(queue)
        while queue:
            window = queue.pop(0)
            total, rows = self._total(window), rows_in(window, counts)
            if total == rows_near(window, counts):
                self.result.counted_rows += rows
            elif total == 0:
                self._note_empty(window, counts)
            elif total <= MAX_LIMIT or rows == 0 or len(halves := halved(window)) < 2:
                self._compare([window])
            else:
                queue[:0] = halves

    def _note_empty(self, window: Window, counts: Mapping[date, DayCount]) -> None:
        """Notes the days of a window in which the API has no rows at all."""
        for day in days_of(window):
            if rows := counts.get(day, NO_ROWS).rows:
                self.result.days[day] = DayResult(day, destination=rows, extra=rows)

    def _total(self, window: Window) -> int:
        """The API's number of rows of a window, with a second more on either side."""
        page = self.context.client.page(
            self.report.method,
            offset=0,
            limit=1,
            needed=self.report.indispensable,
            fields=self._needed,
            **period_params(self.report, window, self._loaded.zone),
            **self._parameters,
        )
        if page.total is None:
            raise UncountedError(
                f"{self.report.method}: the API does not say how many rows there are, so they cannot be counted. "
                "Compare them one by one: --deep."
            )
        return page.total

    def _compare(self, windows: Sequence[Window]) -> None:
        """Reads windows, and compares their rows with the destination's, a part of a window at a time."""
        fields = self.context.selected_fields(self.report) if self._is_deep else self._needed
        held: dict[Any, tuple[date, bytes]] = {}
        for part in self._read(windows, fields, ROWS_IN_MEMORY if self._is_deep else KEYS_IN_MEMORY):
            if isinstance(part, WindowResult):
                self._judge(part, held)
                held = {}
                continue
            comparison = self._comparison if self._is_deep else None
            for row in self._transformer.transform(part):
                expected = comparison.expected(row) if comparison else b""
                held[row[self.report.primary_key]] = (row[PARTITION_DATE], expected)
            self._transformer.take_misfits()

    def _judge(self, result: WindowResult, held: dict[Any, tuple[date, bytes]]) -> None:
        """Compares the API's rows of a window with the destination's."""
        for day, _ in held.values():
            self.result.day(day).api += 1
        comparison = self._comparison if self._is_deep else None
        columns, lists = (comparison.columns, comparison.lists) if comparison else ((), {})
        matched: set[Any] = set()
        for row in self._loaded.read(result.window, columns, lists):
            found, expected = self.result.day(row.day), held.pop(row.key, None)
            found.destination += 1
            if row.key in matched:
                found.doubled += 1
                found.note(row.key)
            elif expected is None:
                found.extra += 1
                found.extra_keys |= {row.key} if self._keeps_extra else set()
                found.note(row.key)
            else:
                matched.add(row.key)
                if comparison:
                    _note_changes(found, comparison, expected[1], row)
        for key, (day, _) in held.items():
            self.result.day(day).missing += 1
            self.result.day(day).note(key)
        for day in days_of(result.window) if result.difference > MAX_DIFFERENCE else ():
            self.result.day(day).is_whole = False

    def _read(self, windows: Sequence[Window], fields: Sequence[str], most: int) -> Iterator[list[Row] | WindowResult]:
        """Reads windows; by a reader for each, since a reader remembers the keys that it has read."""
        for window in windows:
            reader = WindowReader(self.context.client, self.report, fields, self._loaded.zone, most, [self._parameters])
            yield from reader.read([window])

    def _read_keys(self, window: Window) -> tuple[set[Any], bool]:
        """The keys that the API has of a window, and whether it sent all rows that it announced."""
        found: set[Any] = set()
        is_whole = True
        for part in self._read([window], self._needed, KEYS_IN_MEMORY):
            if isinstance(part, WindowResult):
                is_whole &= part.difference <= MAX_DIFFERENCE
            else:
                found.update(row[self.report.primary_key] for row in part)
        return found, is_whole

    def _windows_by_rows(self, period: Window, counts: Mapping[date, DayCount]) -> Iterator[Window]:
        """Cuts a period at midnights into windows of about a page each, by the rows of the destination."""
        start, rows = period.start, 0
        for day in days_of(period):
            more = counts.get(day, NO_ROWS).rows
            is_full = rows + more > MAX_LIMIT or midnight(day) - start >= timedelta(days=self._days)
            if is_full and midnight(day) > start:
                yield Window(start, midnight(day))
                start, rows = midnight(day), 0
            rows += more
        yield Window(start, period.end)

    @property
    def _days(self) -> int:
        """Days of a window, at most."""
        longest = self.report.longest_period_days
        return longest if self.report.period == BY_FILTER else min(self.context.settings.window_days, longest - 1)

    @property
    def _needed(self) -> list[str]:
        """Fields that identify a row."""
        return [name for name in dict.fromkeys(self.report.needed) if name in self.report.fields]

    @property
    def _comparison(self) -> Comparison:
        """What is compared: of the fields that the API has accepted so far."""
        fields = tuple(self.context.selected_fields(self.report))
        if fields not in self._comparisons:
            loaded = self._loaded
            self._comparisons[fields] = make_comparison(self.report, self.context, loaded.schema, loaded.existing)
        return self._comparisons[fields]


def _note_changes(found: DayResult, comparison: Comparison, expected: bytes, row: LoadedRow) -> None:
    """Notes in which columns and lists a row differs."""
    if names := comparison.differences(expected, row.values, row.lists):
        found.changed += 1
        found.columns.update(names)
        found.note(row.key)
