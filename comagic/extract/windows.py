"""Windows of time, as pure functions: what to ask the API for so that each call comes once, whatever its bounds mean.

The API takes and gives times of the account's own clock, without a zone: a *wall time* here, a `datetime` without
`tzinfo`. A window is the half-open range `[start, end)` of wall times, so windows that touch share no call. Whether the
API's own bounds are inclusive is not documented: it is asked for a second more on either side and the answer is cut.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import List

SECOND = timedelta(seconds=1)
API_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Window:
    """The wall times from `start` up to, not including, `end`; both in whole seconds.

    Attributes:
        start: first second of the window, in the account's zone.
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
        """Length in seconds of the wall clock."""
        return int((self.end - self.start).total_seconds())


def plan_windows(start: datetime, end: datetime, days: int, longest_period_days: int) -> List[Window]:
    """Covers `[start, end)` with windows that touch and do not overlap, the last one as short as it needs to be.

    Args:
        start: first wall time of the period.
        end: first wall time after it; a period that ends before it starts has no windows.
        days: length of a window.
        longest_period_days: what the API allows one request to span; one day less is used, for the seconds (or, at a
            change of the clocks, the hour) that are asked on either side.
    """
    step = timedelta(days=min(days, longest_period_days - 1))
    windows = []
    while start < end:
        windows.append(Window(start, min(start + step, end)))
        start += step
    return windows


def share(start: datetime, end: datetime, index: int, count: int) -> Window:
    """One of several nearly equal shares of `[start, end)`, in whole days; the last one ends where the period does.

    Args:
        start: first wall time of the period.
        end: first wall time after it.
        index: which share, from 0.
        count: number of shares; those beyond the period's days are empty.
    """
    days = -((start - end) // timedelta(days=1))
    first, last = (min(start + timedelta(days=days * nth // count), end) for nth in (index, index + 1))
    return Window(first, last)


def split(window: Window, parts: int) -> List[Window]:
    """Cuts a window into at most `parts` windows of nearly equal length, none shorter than a second."""
    parts = min(parts, window.seconds)
    edges = [window.start + timedelta(seconds=window.seconds * part // parts) for part in range(parts + 1)]
    return [Window(*pair) for pair in pairwise(edges)]


def asked_start(window: Window, zone: tzinfo) -> datetime:
    """The wall time to send as `date_from`: a second before the window, or more at a change of the clocks."""
    before = window.start - SECOND
    return before - _clock_change(before, zone)


def asked_end(window: Window, zone: tzinfo) -> datetime:
    """The wall time to send as `date_till`: a second after the window, or more at a change of the clocks."""
    after = window.end + SECOND
    return after + _clock_change(after, zone)


def _clock_change(moment: datetime, zone: tzinfo) -> timedelta:
    """By how much a wall time is ambiguous: an hour, mostly, when the clocks are changed just then; else nothing.

    A server may read a wall time that exists twice (or not at all) either way; asking for that much more makes both
    readings cover the window.
    """
    earlier = moment.replace(tzinfo=zone, fold=0).utcoffset()
    later = moment.replace(tzinfo=zone, fold=1).utcoffset()
    return abs((earlier or timedelta()) - (later or timedelta()))


def to_instant(moment: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall time, in UTC; of a wall time that exists twice, the earlier."""
    return moment.replace(tzinfo=zone).astimezone(timezone.utc)


def to_wall(instant: datetime, zone: tzinfo) -> datetime:
    """The wall time, in whole seconds, that the account's clock shows at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0, fold=0)


def day_start(moment: datetime) -> datetime:
    """Midnight of the wall time's day."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
