"""Days, weeks or months: as many bars as a chart can show."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

MOST_DAYS, MOST_WEEKS = 100, 110
"""Bars up to which days, and then weeks, are shown."""
FIGURES = ("calls", "incoming", "missed")

Row = Mapping[str, Any]


def spans(by_day: Sequence[Row]) -> tuple[str, list[Row]]:
    """Adds up days to weeks or months if there are too many.

    Args:
        by_day: a row for each day.

    Returns:
        `days`, `weeks` or `months`, and their rows; `partition_date` is the first day of each.
    """
    if len(by_day) <= MOST_DAYS:
        return "days", list(by_day)
    kind = "weeks" if len(by_day) <= 7 * MOST_WEEKS else "months"
    added: dict[date, dict[str, Any]] = {}
    for row in by_day:
        day = row["partition_date"]
        first = day - timedelta(days=day.weekday()) if kind == "weeks" else day.replace(day=1)
        known = added.setdefault(first, {"partition_date": first, **dict.fromkeys(FIGURES)})
        for name in FIGURES:
            if row[name] is not None:
                known[name] = (known[name] or 0) + row[name]
    return kind, list(added.values())
