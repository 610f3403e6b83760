"""Days of a report that another report tells have changed, and that no lookback reaches: they are read again.

An upload can put a call into any past day, and the calls' own report does not tell. The days are kept in the source's
state until they were read, so a run that dies in between loses none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

import dlt

from ..catalog import Report, reports
from .context import Context
from .transform import Row
from .windows import to_local

KEY = "rereads"
"""Key in the source's state: days by name of the dlt resource."""

OVERLAP = timedelta(days=1)
"""A row is looked at once more on the next day: it can be there before what it tells of."""


def note_days(
    report: Report, rows: Iterable[Row], context: Context, reached: datetime | None, present: datetime
) -> None:
    """Notes the days that new rows of a report tell of.

    Args:
        report: the report.
        rows: its rows.
        context: what it is read with.
        reached: the instant up to which earlier runs have come; None if there were none.
        present: the present instant.
    """
    if not report.rereads or not context.settings.reread_uploaded_days or reached is None:
        return
    zone = context.zone()
    before = (to_local(present, zone) - timedelta(days=context.settings.lookback_days)).date()
    new = [row for row in rows if row[report.cursor] > reached - OVERLAP]
    for name, field in report.rereads.items():
        days = {day for row in new if (day := _local_day(row.get(field), zone)) and day < before}
        if days:
            noted = dlt.current.source_state().setdefault(KEY, {})
            target = context.name(reports()[name])
            noted[target] = sorted({*noted.get(target, ()), *map(str, days)})


def reread_contexts(report: Report, context: Context, state: Mapping[str, Any]) -> Iterator[Context]:
    """What to read the noted days of a report with: a context for each run of days.

    Args:
        report: the report.
        context: what it is read with otherwise.
        state: the source's state.
    """
    days = [date.fromisoformat(day) for day in state.get(KEY, {}).get(context.name(report), ())]
    for first, last in _runs(days, timedelta(days=context.settings.window_days)):
        since, until = (datetime(day.year, day.month, day.day) for day in (first, last + timedelta(days=1)))
        yield replace(context, since=since, until=until, part=f"{first:%Y%m%d}")


def forget_days(report: Report, context: Context) -> None:
    """Notes that the days of a context of `reread_contexts` were read."""
    if context.part and context.since and context.until:
        noted = dlt.current.source_state().setdefault(KEY, {})
        target = replace(context, part="").name(report)
        first, end = context.since.date(), context.until.date()
        noted[target] = [day for day in noted.get(target, ()) if not str(first) <= day < str(end)]


def _local_day(value: Any, zone: tzinfo) -> date | None:
    return to_local(value, zone).date() if isinstance(value, datetime) else None


def _runs(days: Sequence[date], gap: timedelta) -> Iterator[tuple[date, date]]:
    """First and last day of each run of days, with gaps that one request covers anyway."""
    starts = [days[0]] if days else []
    ends = []
    for one, other in pairwise(days):
        if other - one > gap:
            ends.append(one)
            starts.append(other)
    yield from zip(starts, [*ends, *days[-1:]], strict=True)
