"""What a verification has found, by report and local day."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..exceptions import ComagicError
from ..extract.windows import SECOND, Window

MAX_KEYS = 5
"""Keys of a day's differing rows that are kept for the user."""


@dataclass
class DayResult:
    """What was found when the rows of a local day were compared.

    Attributes:
        day: the day.
        api: rows in the API.
        destination: rows in the destination.
        missing: rows that the destination lacks.
        extra: rows of the destination that the API does not have.
        doubled: rows with a key that another row has, too.
        changed: rows with other values, where values are compared.
        columns: how many rows differ in a column or list.
        keys: keys of the first rows that differ.
        extra_keys: keys of the rows that the API does not have, where they are to be deleted.
        is_whole: whether the API sent all rows that it announced, or all but one.
    """

    day: date
    api: int = 0
    destination: int = 0
    missing: int = 0
    extra: int = 0
    doubled: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    keys: list[Any] = field(default_factory=list)
    extra_keys: set[Any] = field(default_factory=set)
    is_whole: bool = True

    @property
    def agrees(self) -> bool:
        """True if the destination has what the API has, and nothing else."""
        return not (self.missing or self.extra or self.doubled or self.changed)

    @property
    def is_repairable(self) -> bool:
        """True if loading the day again changes something."""
        return bool(self.missing or self.changed)

    def note(self, key: Any) -> None:
        """Notes the key of a row that differs."""
        if len(self.keys) < MAX_KEYS:
            self.keys.append(key)


@dataclass
class ReportResult:
    """What was found about a report, or about one client's rows of it.

    Attributes:
        resource: name of the report.
        user_id: the client of an agency, where several are loaded.
        is_deep: whether values were compared, not only counts and keys.
        periods: the periods that were compared, in local time.
        windows: windows that were counted, or read whole.
        requests: API calls that it took, those of repairs included.
        days: what was found in the days that were read.
        counted_rows: rows of the windows whose counts agree.
        repaired: days that were loaded again.
        deleted: rows that were deleted.
        error: what stopped it before its end.
    """

    resource: str
    user_id: int | None
    is_deep: bool
    periods: Sequence[Window] = ()
    windows: int = 0
    requests: int = 0
    days: dict[date, DayResult] = field(default_factory=dict)
    counted_rows: int = 0
    repaired: list[date] = field(default_factory=list)
    deleted: int = 0
    error: ComagicError | None = None

    @property
    def name(self) -> str:
        """The report, and the client."""
        return self.resource if self.user_id is None else f"{self.resource} of client {self.user_id}"

    @property
    def days_compared(self) -> tuple[date | None, date | None]:
        """The first and the last local day that were compared; None if there was nothing to compare."""
        if not self.periods:
            return None, None
        return self.periods[0].start.date(), (self.periods[-1].end - SECOND).date()

    @property
    def differing(self) -> list[DayResult]:
        """Days that do not agree, in their order."""
        return [self.days[day] for day in sorted(self.days) if not self.days[day].agrees]

    @property
    def agrees(self) -> bool:
        """True if all of it was compared and agrees."""
        return self.error is None and not self.differing

    @property
    def api_rows(self) -> int:
        """Rows in the API."""
        return self.counted_rows + sum(day.api for day in self.days.values())

    @property
    def destination_rows(self) -> int:
        """Rows in the destination."""
        return self.counted_rows + sum(day.destination for day in self.days.values())

    def day(self, day: date) -> DayResult:
        """What was found in a day, to be completed."""
        return self.days.setdefault(day, DayResult(day))

    def is_expired(self, day: date) -> bool:
        """True if the API has none of a day's rows that the destination has."""
        found = self.days.get(day)
        return found is not None and not found.api and bool(found.destination)
