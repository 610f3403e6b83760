"""Windows in which a report is verified, cut at midnights: the destination counts by local day. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from ..extract.windows import SECOND, Window, day_start, plan_windows
from .bounds import DAY
from .loaded_rows import NO_ROWS, DayCount


def choose_periods(
    loaded: Sequence[Window], since: datetime | None, until: datetime | None, now: datetime
) -> list[Window]:
    """The periods to verify: what was loaded, or the one that was asked for, whether it was loaded or not.

    A day that was not over when it was loaded is left out, unless it is asked for: the next load brings its other rows.

    Args:
        loaded: the periods that were loaded, in their order.
        since: the first local time; None for all that was loaded.
        until: the first local time after it; None for the last midnight before the end of what was loaded.
        now: the present local time.
    """
    end = min(until or day_start(loaded[-1].end if loaded else now), now)
    asked = loaded if since is None else [Window(since, end)]
    return clip(asked, asked[0].start, end) if asked else []


def clip(periods: Sequence[Window], start: datetime, end: datetime) -> list[Window]:
    """The parts of periods from one local time up to, not including, another."""
    parts = [Window(max(period.start, start), min(period.end, end)) for period in periods]
    return [part for part in parts if part.start < part.end]


def windows_of(period: Window, days: int, max_period_days: int) -> list[Window]:
    """Covers a period with adjacent windows that begin at midnight, but for the first.

    Args:
        period: the period.
        days: length of a window.
        max_period_days: see `plan_windows`.
    """
    first, *others = plan_windows(day_start(period.start), period.end, days, max_period_days)
    return [replace(first, start=period.start), *others]


def halved(window: Window) -> list[Window]:
    """The halves of a window, cut at a midnight; itself if it is of one day."""
    days = [*days_of(window)]
    if len(days) < 2:
        return [window]
    middle = midnight(days[len(days) // 2])
    return [Window(window.start, middle), Window(middle, window.end)]


def days_of(window: Window) -> Iterator[date]:
    """The local days of a window."""
    day, last = window.start.date(), (window.end - SECOND).date()
    while day <= last:
        yield day
        day += DAY


def midnight(day: date) -> datetime:
    """The first local time of a day."""
    return datetime(day.year, day.month, day.day)


def runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """First and last of each run of days; the days are in order."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and day - found[-1][1] <= timedelta(days=1):
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def rows_in(window: Window, counts: Mapping[date, DayCount]) -> int:
    """Rows of a window's days."""
    return sum(counts.get(day, NO_ROWS).rows for day in days_of(window))


def rows_near(window: Window, counts: Mapping[date, DayCount]) -> int:
    """Rows of a window, and those of a second more on either side, as the request for it has."""
    first, last = window.start.date(), (window.end - SECOND).date()
    before, after = counts.get(first - DAY, NO_ROWS).last, counts.get(last + DAY, NO_ROWS).first
    return before + rows_in(window, counts) + after
