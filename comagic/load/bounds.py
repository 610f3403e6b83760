"""Conditions and deletes in SQL, made of a load package's manifest: which rows its merge may touch."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from ..catalog import PARTITION_DATE

DELETE = "DELETE FROM {table} WHERE {condition}"
LISTS_OF = "_dlt_root_id IN (SELECT _dlt_id FROM {table} WHERE {condition})"
"""A condition for the rows of lists, by their parent rows."""

DAY = timedelta(days=1)
MAX_PERIODS = 20
"""Periods in a condition, at most; nearer ones become one. A query in BigQuery has 1 MB at most."""


def near_days(days: Iterable[date], alias: str = "") -> str:
    """A condition for some days and one on either side, as literals: BigQuery reads no other partition.

    Args:
        days: the days; no condition if there are none.
        alias: prefix of the column.
    """
    return _in_periods(((day - DAY, day + DAY) for day in sorted(days)), alias)


def in_scopes(scopes: Iterable[Mapping[str, Any]]) -> str:
    """A condition for all rows of what was read whole; the sites of one period become one list."""
    grouped: dict[tuple[str, ...], list[Any]] = {}
    for scope in scopes:
        *others, (last_name, last_value) = scope["parameters"].items() or [("", None)]
        parts = [f"{name} = {int(value)}" for name, value in others]
        if "first" in scope:
            parts.append(f"{PARTITION_DATE} BETWEEN DATE '{scope['first']}' AND DATE '{scope['last']}'")
        grouped.setdefault((*parts, last_name), []).append(last_value)
    conditions = []
    for (*parts, name), values in grouped.items():
        listed = [f"{name} IN ({', '.join(str(int(value)) for value in values)})"] if name else []
        conditions.append(" AND ".join([*parts, *listed]))
    return f"({' OR '.join(f'({condition})' for condition in conditions)})"


def in_days_of(scopes: Iterable[Mapping[str, Any]]) -> str:
    """A condition for the days of what was read whole; none for dictionaries."""
    periods = [
        (date.fromisoformat(scope["first"]), date.fromisoformat(scope["last"])) for scope in scopes if "first" in scope
    ]
    return _in_periods(sorted(periods))


def delete_with_lists(table: str, lists: Iterable[tuple[str, bool]], condition: str, days: str = "") -> list[str]:
    """The statements that delete rows of a table; the rows of their lists go first, which are found by them.

    Args:
        table: qualified name of the table.
        lists: qualified names of its child tables, and whether they have days.
        condition: which rows.
        days: a condition for the days of these rows.
    """
    parents = LISTS_OF.format(table=table, condition=condition)
    conditions = [(name, f"{days} AND {parents}" if days and has_days else parents) for name, has_days in lists]
    return [DELETE.format(table=name, condition=which) for name, which in [*conditions, (table, condition)]]


def _in_periods(periods: Iterable[tuple[date, date]], alias: str = "") -> str:
    merged: list[tuple[date, date]] = []
    for first, last in periods:
        if merged and first <= merged[-1][1] + DAY:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    while len(merged) > MAX_PERIODS:
        nearest = min(range(1, len(merged)), key=lambda nth: merged[nth][0] - merged[nth - 1][1])
        merged[nearest - 1 : nearest + 1] = [(merged[nearest - 1][0], merged[nearest][1])]
    column = f"{alias}{PARTITION_DATE}"
    conditions = [f"{column} BETWEEN DATE '{first}' AND DATE '{last}'" for first, last in merged]
    return f"({' OR '.join(conditions)})" if conditions else ""
