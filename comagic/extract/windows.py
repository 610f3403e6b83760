"""Windows of time, as pure functions: what to request so that each call comes once, whatever the API's bounds mean.

The API takes and returns times of the account's own clock, without a time zone: *local times* here, a `datetime`
without `tzinfo`. A window is the half-open range `[start, end)` of local times, so adjacent windows share no call.
Whether the API's own bounds are inclusive is not documented: a second more is requested on either side, and the rows
outside the window are dropped.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

SECOND = timedelta(seconds=1)
API_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Window:
    """The local times from `start` up to, not including, `end`; both in whole seconds.

    Attributes:
        start: first second of the window, in the account's time zone.
        end: first second after it.
    """

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        return f"{self.start:{API_TIME}} .. {self.end:{API_TIME}}"

    @property
    def seconds(self) -> int:
        """Length in seconds of the local clock."""
        return int((self.end - self.start).total_seconds())


def plan_windows(start: datetime, end: datetime, days: int, max_period_days: int) -> list[Window]:
    """Covers `[start, end)` with adjacent windows; the last one is as short as it needs to be.

    Args:
        start: first local time of the period.
        end: first local time after it; a period that ends before it starts has no windows.
        days: length of a window.
        max_period_days: the longest period of one request; one day less is used, for the seconds (or, at a clock
            change, the hour) that are requested on either side.
    """
    step = timedelta(days=min(days, max_period_days - 1))
    windows = []
    while start < end:
        windows.append(Window(start, min(start + step, end)))
        start += step
    return windows


def share(start: datetime, end: datetime, index: int, count: int) -> Window:
    """Returns one of several nearly equal shares of `[start, end)`, in whole days; the last one ends where it does.

    Args:
        start: first local time of the period.
        end: first local time after it.
        index: which share, from 0.
        count: number of shares; those beyond the period's days are empty.
    """
    days = -((start - end) // timedelta(days=1))
    first, last = (min(start + timedelta(days=days * nth // count), end) for nth in (index, index + 1))
    return Window(first, last)


def split(window: Window, parts: int) -> list[Window]:
    """Cuts a window into at most `parts` windows of nearly equal length, none shorter than a second."""
    parts = min(parts, window.seconds)
    edges = [window.start + timedelta(seconds=window.seconds * part // parts) for part in range(parts + 1)]
    return [Window(*pair) for pair in pairwise(edges)]


def request_start(window: Window, zone: tzinfo) -> datetime:
    """The local time to send as `date_from`: a second before the window, or more at a clock change."""
    before = window.start - SECOND
    return before - _ambiguity(before, zone)


def request_end(window: Window, zone: tzinfo) -> datetime:
    """The local time to send as `date_till`: a second after the window, or more at a clock change."""
    after = window.end + SECOND
    return after + _ambiguity(after, zone)


def _ambiguity(moment: datetime, zone: tzinfo) -> timedelta:
    """By how much a local time is ambiguous: usually an hour at a clock change, else nothing.

    A server may read a local time that exists twice (or not at all) either way; requesting that much more makes both
    readings cover the window.
    """
    earlier = moment.replace(tzinfo=zone, fold=0).utcoffset()
    later = moment.replace(tzinfo=zone, fold=1).utcoffset()
    return abs((earlier or timedelta()) - (later or timedelta()))


def to_utc(moment: datetime, zone: tzinfo) -> datetime:
    """The instant of a local time, in UTC; the earlier one of a local time that exists twice."""
    return moment.replace(tzinfo=zone).astimezone(UTC)


def to_local(instant: datetime, zone: tzinfo) -> datetime:
    """The local time of an instant, in whole seconds."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0, fold=0)


def day_start(moment: datetime) -> datetime:
    """Midnight of a local time's day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
