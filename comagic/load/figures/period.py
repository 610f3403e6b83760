"""The days that a report is about, and those before them that it is compared with."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ...exceptions import ConfigurationError

USUAL_DAYS = 30
"""Days of a report whose period is not given."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """A range of whole days in the account's time zone.

    Attributes:
        since: its first day.
        until: its last day.
    """

    since: date
    until: date

    def __len__(self) -> int:
        return (self.until - self.since).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.since + DAY * number for number in range(len(self)))

    @property
    def monday(self) -> date:
        """Monday of the first day's week."""
        return self.since - DAY * self.since.weekday()

    @property
    def before(self) -> "Days":
        """As many days directly before."""
        return Days(self.since - DAY * len(self), self.since - DAY)


def choose_days(since: date | None, until: date | None, loaded_up_to: datetime | None, last_day: date | None) -> Days:
    """Chooses the days of a report: up to the last whole loaded day, 30 of them, unless they are given.

    Args:
        since: the first day, if it is given.
        until: the last day, if it is given.
        loaded_up_to: local time up to which calls are loaded.
        last_day: day of the last call.

    Raises:
        ConfigurationError: the days given are in the wrong order.
    """
    last_whole = (loaded_up_to - DAY).date() if loaded_up_to else last_day
    end = until or max(last_whole or datetime.now(UTC).date(), since or date.min)
    start = since or end - DAY * (USUAL_DAYS - 1)
    if start > end:
        raise ConfigurationError(f"--since {start} is after --until {end}.")
    return Days(start, end)
