"""Whether the figures of a period can be trusted, by what the loads noted of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from .period import Days

RELIABLE_SHARE = 0.1
"""Share of calls without a source above which the vendor advises against decisions about sources."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verification:
    """The last comparison with the API.

    Attributes:
        verified_at: local time at which it ended.
        since: first day that was compared.
        until: last day.
        agrees: whether the destination has what the API has.
        is_complete: whether it came to its end.
        days_differing: days that do not agree.
    """

    verified_at: datetime
    since: date | None
    until: date | None
    agrees: bool
    is_complete: bool
    days_differing: int


@dataclass(frozen=True)
class Trust:
    """What the loads noted of a period.

    Attributes:
        loaded_up_to: local time up to which the calls of every account are loaded.
        first_loaded: local time from which on they are.
        missing: calls that the API announced for the period, and never sent.
        rejected: rows of the period without a key or time.
        gaps: stretches of the period that no load has read.
        last_run: local time at which the last run ended.
        outcome: how it ended; see the view sync_runs.
        verification: the last comparison with the API; None if there was none.
        without_source: share of the period's calls that have no source, 0 to 1; None if that is not loaded.
        unusual_days: days on which a number had far more or fewer calls than on the same weekdays before.
        silent_numbers: numbers without a call in the period.
    """

    loaded_up_to: datetime | None = None
    first_loaded: datetime | None = None
    missing: int = 0
    rejected: int = 0
    gaps: int = 0
    last_run: datetime | None = None
    outcome: str | None = None
    verification: Verification | None = None
    without_source: float | None = None
    unusual_days: int = 0
    silent_numbers: int = 0

    def is_covered(self, days: Days) -> bool:
        """True if all the days were read, as far as the ends go."""
        midnight = datetime(days.until.year, days.until.month, days.until.day) + timedelta(days=1)
        if self.loaded_up_to is None or self.first_loaded is None:
            return False
        return self.first_loaded.date() <= days.since and self.loaded_up_to >= midnight

    def is_complete(self, days: Days) -> bool:
        """True if every call of the days that the API announced is loaded, as far as the loads know."""
        return self.is_covered(days) and not (self.missing or self.rejected or self.gaps)

    @property
    def has_reliable_sources(self) -> bool:
        """True if so many calls have a source that the vendor's bar is met."""
        return self.without_source is not None and self.without_source <= RELIABLE_SHARE


def still_deficient(deficient: Sequence[Row], whole: Sequence[Row]) -> list[Row]:
    """Windows with missing or rejected rows that later windows have not read again, whole.

    Args:
        deficient: such windows.
        whole: windows without, ordered by their start.
    """
    return [window for window in deficient if not _is_read_again(window, whole)]


def _is_read_again(window: Row, whole: Sequence[Row]) -> bool:
    reached = window["window_start"]
    for later in whole:
        if later["user_id"] == window["user_id"] and later["read_at"] > window["read_at"]:
            if later["window_start"] > reached:
                return False
            reached = max(reached, later["window_end"])
            if reached >= window["window_end"]:
                return True
    return False
