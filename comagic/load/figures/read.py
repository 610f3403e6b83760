"""Reads the figures of a period from a destination."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pendulum

from ...exceptions import ComagicError
from ...settings import Settings
from ..destinations import AnyDestination, open_client
from ..views import open_views
from ..views.definitions import View, views
from ..views.render import Dataset, missing_tables, render
from . import queries
from .period import Days, choose_days
from .trust import Trust, Verification, still_deficient

VERIFICATIONS = "verifications"
"""The table that the command verify writes."""

Row = dict[str, Any]
Select = Callable[[str], list[Row]]

SOURCE_COLUMNS = ("campaign_id", "eq_utm_source", "utm_source", "source_name", "channel")
"""Columns of calls any of which says where a call came from."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "hours": ("calls.is_lost", "calls.direction"),
    "recovery": ("calls.is_lost", "calls.direction", "calls.contact_phone_number"),
    "employees": ("calls.direction", "calls__employees.is_answered"),
    "durations": ("calls.talk_duration", "calls.is_lost"),
}
"""Columns without which a part of the report is left out."""


@dataclass(frozen=True)
class LeftOut:
    """Why a part of the report is left out.

    Attributes:
        reason: `columns` or `tables` are not loaded; there are no `calls`, no `costs`, or no `rows` of
            this kind, in the period.
        names: which columns or tables.
    """

    reason: str
    names: Sequence[str] = ()


@dataclass
class Figures:
    """Everything that a report shows, as rows; a figure that cannot be counted is None.

    Attributes:
        days: the days that it is about.
        accounts: ids and time zones of the accounts.
        totals: sums over the days.
        before: the same of the days before; empty if they are not all loaded.
        by_day: a row for each day.
        hours: calls and missed ones by weekday and hour.
        recovery: missed calls by how soon they were recovered, and by whom.
        sources: the sources with the most calls.
        campaigns: the campaigns with the most calls.
        employees: the employees with the most calls.
        tags: the tags with the most calls.
        durations: calls by talk time and direction.
        funnel: visits, calls, deals and revenue of the weeks of the days.
        trust: what the loads noted of the days.
        left_out: parts that cannot be shown, by their name.
    """

    days: Days
    accounts: list[Row] = field(default_factory=list)
    totals: Row = field(default_factory=dict)
    before: Row = field(default_factory=dict)
    by_day: list[Row] = field(default_factory=list)
    hours: list[Row] = field(default_factory=list)
    recovery: list[Row] = field(default_factory=list)
    sources: list[Row] = field(default_factory=list)
    campaigns: list[Row] = field(default_factory=list)
    employees: list[Row] = field(default_factory=list)
    tags: list[Row] = field(default_factory=list)
    durations: list[Row] = field(default_factory=list)
    funnel: Row = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    left_out: dict[str, LeftOut] = field(default_factory=dict)


def read_figures(
    destination: AnyDestination,
    dataset_name: str,
    settings: Settings,
    since: date | None = None,
    until: date | None = None,
    parts: Collection[str] | None = None,
) -> Figures:
    """Reads the figures of a period; permission to read the dataset is enough.

    Args:
        destination: the destination: BigQuery, DuckDB or PostgreSQL.
        dataset_name: the dataset.
        settings: thresholds of figures.
        since: first day, in the account's time zone; default: 30 days with `until`.
        until: last day; default: the last whole day that is loaded.
        parts: lists to read besides the sums; default: all of them, and whether the figures can be trusted.

    Raises:
        ComagicError: nothing is loaded yet, calls are not, or the destination's SQL is not known.
        ConfigurationError: the days are in the wrong order.
    """
    dataset = open_views(destination, dataset_name, settings)
    if missing := missing_tables(views()["calls_daily"], dataset):
        raise ComagicError(f"The report needs the tables {', '.join(missing)}: load calls with this release first.")
    with open_client(destination, dataset_name) as client:

        def select(sql: str) -> list[Row]:
            with client.sql_client.execute_query(sql) as cursor:
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]

        figures = _Reader(dataset, select).read(since, until, parts)
        if parts is not None:
            return figures
        figures.trust = replace(figures.trust, verification=_last_verification(client, select, figures.accounts))
        return figures


class _Reader:
    """Runs the queries for a dataset.

    Args:
        dataset: its tables and columns.
        select: runs a query.
    """

    def __init__(self, dataset: Dataset, select: Select) -> None:
        self._dataset, self._select = dataset, select

    def read(self, since: date | None, until: date | None, parts: Collection[str] | None) -> Figures:
        (bounds,) = self._own("bounds")
        reached = self._own("reached") if "load_windows" in self._dataset.tables else []
        trust = Trust(
            min((row["loaded_up_to"] for row in reached if row["loaded_up_to"]), default=None),
            max((row["first_start"] for row in reached if row["first_start"]), default=None),
        )
        figures = Figures(choose_days(since, until, trust.loaded_up_to, bounds["last_day"]), trust=trust)
        self._literals = _literals(figures.days)
        period = {"before": figures.days.before.since, "since": figures.days.since, "until": figures.days.until}
        settings = {**self._dataset.settings, **period}
        self._dataset = replace(self._dataset, settings=settings)
        figures.accounts = self._own("accounts")
        self._count_days(figures)
        for part in _PARTS if parts is None else parts:
            self._read_part(figures, part)
        if parts is None:
            self._complete(figures)
        return figures

    def _complete(self, figures: Figures) -> None:
        """Adds the talk time of a call, what else cannot be shown, and whether the figures can be trusted."""
        talks = {row["is_current"]: row["talk_seconds"] / row["calls"] for row in self._own("talk")}
        figures.totals["seconds_a_talk"] = talks.get(1)
        if figures.before:
            figures.before["seconds_a_talk"] = talks.get(0)
        if not any(row["cost"] and row["calls"] for row in figures.campaigns):
            figures.left_out["costs"] = LeftOut("costs")
        if not figures.totals["calls"]:
            figures.left_out["days"] = LeftOut("calls")
        if figures.totals["missed"] is None:
            columns = [name for name in NEEDED["hours"] if not self._dataset.has(*name.split("."))]
            figures.left_out["missed"] = LeftOut("columns", columns)
        figures.trust = self._trust(figures)

    def _count_days(self, figures: Figures) -> None:
        """Counts the days, and sums them up for the period and for the one before."""
        found = {row["partition_date"]: row for row in self._view(queries.DAILY)}
        names = ("calls", "incoming", "missed", "abandoned", "first_calls", "target", "talk_seconds")
        countable = {name: not found or any(row[name] is not None for row in found.values()) for name in names}
        nothing = {name: 0 if countable[name] else None for name in names}
        figures.by_day = [{**nothing, **found.get(day, {}), "partition_date": day} for day in figures.days]
        figures.totals = {name: _total(figures.by_day, name) for name in names}
        costs = {row["is_current"]: row["cost"] for row in self._view(queries.COSTS)}
        figures.totals["cost"] = costs.get(1)
        before = figures.days.before
        first = figures.trust.first_loaded
        if first is None or first.date() <= before.since:
            rows = [found.get(day, nothing) for day in before]
            figures.before = {**{name: _total(rows, name) for name in names}, "cost": costs.get(0)}

    def _read_part(self, figures: Figures, part: str) -> None:
        """Reads a part of the report, or notes why it cannot be shown."""
        sql, view = _PARTS[part]
        missing = missing_tables(views()[view], self._dataset) if view else []
        columns = [name for name in NEEDED.get(part, ()) if not self._dataset.has(*name.split("."))]
        if missing or columns:
            figures.left_out[part] = LeftOut("tables" if missing else "columns", missing or columns)
        elif not figures.totals["calls"] and part != "funnel":
            figures.left_out[part] = LeftOut("calls")
        else:
            rows = self._view(sql) if view else self._own(part)
            self._keep(figures, part, rows)

    def _keep(self, figures: Figures, part: str, rows: list[Row]) -> None:
        if part == "recovery":
            figures.recovery = [row for row in rows if row["is_current"]]
            _sum_recovery(figures.totals, figures.recovery)
            if figures.before:
                _sum_recovery(figures.before, [row for row in rows if not row["is_current"]])
            is_empty = not figures.recovery
        elif part == "funnel":
            figures.funnel = rows[0] if rows else {}
            is_empty = not figures.funnel.get("sessions")
        else:
            setattr(figures, part, rows)
            is_empty = not rows or (part == "hours" and not figures.totals["missed"])
        if is_empty:
            figures.left_out[part] = LeftOut("rows")

    def _trust(self, figures: Figures) -> Trust:
        trust = figures.trust
        if "load_windows" in self._dataset.tables:
            deficient = self._own("deficient")
            lasting = still_deficient(deficient, self._own("whole")) if deficient else []
            runs = self._view(queries.LAST_RUN)
            trust = replace(
                trust,
                missing=sum(max(window["missing"] or 0, 0) for window in lasting),
                rejected=sum(window["rejected"] for window in lasting),
                gaps=self._own("gaps")[0]["gaps"],
                last_run=runs[0]["finished_at_local"] if runs else None,
                outcome=runs[0]["outcome"] if runs else None,
            )
        numbers = self._view(queries.NUMBERS)
        calls = sum(row["calls"] for row in numbers)
        if calls and any(self._dataset.has("calls", name) for name in SOURCE_COLUMNS):
            trust = replace(trust, without_source=sum(row["without_source"] for row in numbers) / calls)
        return replace(
            trust,
            unusual_days=sum(row["unusual_days"] for row in numbers),
            silent_numbers=sum(row["virtual_phone_number"] is not None and not row["calls"] for row in numbers),
        )

    def _view(self, sql: str) -> list[Row]:
        """Runs a query of one view."""
        (name,) = [name for name in views() if f"{{{name}}}" in sql]
        query = render(views()[name], self._dataset)
        return self._select(sql.format(**{name: f"({query})"}, **self._literals))

    def _own(self, name: str) -> list[Row]:
        return self._select(render(View(name, "", (), {}, queries.OWN[name]), self._dataset))


_PARTS: Mapping[str, tuple[str, str]] = {
    "hours": (queries.HOURLY, "calls_hourly"),
    "recovery": (queries.RECOVERY, "missed_calls"),
    "sources": (queries.SOURCES, "sources_daily"),
    "campaigns": (queries.CAMPAIGNS, "sources_daily"),
    "employees": (queries.EMPLOYEES, "employees_daily"),
    "tags": (queries.TAGS, "tags_daily"),
    "durations": ("", ""),
    "funnel": (queries.FUNNEL, "funnel"),
}
"""The query of each part, and its view; durations have a query of their own."""


def _last_verification(client: Any, select: Select, accounts: Sequence[Row]) -> Verification | None:
    """The last comparison with the API, if there was one."""
    (_, columns), *_ = client.get_storage_tables([VERIFICATIONS])
    if not columns:
        return None
    table = client.sql_client.make_qualified_table_name(VERIFICATIONS)
    rows = select(queries.VERIFICATION.format(verifications=table))
    if not rows:
        return None
    zone = pendulum.timezone(str(accounts[0]["timezone"]) if accounts else "UTC")
    (row,) = rows
    return Verification(
        row["verified_at"].astimezone(zone).replace(tzinfo=None),
        row["period_start"],
        row["period_end"],
        bool(row["agrees"]),
        bool(row["is_complete"]),
        int(row["days_differing"] or 0),
    )


def _literals(days: Days) -> dict[str, str]:
    named = {"since": days.since, "until": days.until, "before": days.before.since, "monday": days.monday}
    return {"top": str(queries.TOP), **{name: f"DATE '{day}'" for name, day in named.items()}}


def _total(rows: Sequence[Row], name: str) -> Any:
    values = [row[name] for row in rows if row[name] is not None]
    return sum(values) if values else None


def _sum_recovery(totals: Row, rows: Sequence[Row]) -> None:
    """Adds how many missed calls were recovered, and who made the call."""
    totals["recovered"] = sum(row["missed"] for row in rows if row["recovered_by"])
    totals["never_recovered"] = sum(row["missed"] for row in rows if not row["recovered_by"])
    totals["called_back"] = sum(row["missed"] for row in rows if row["recovered_by"] == "callback")
    soon = ("5_minutes", "20_minutes")
    totals["recovered_soon"] = sum(row["missed"] for row in rows if row["recovered_within"] in soon)


def _plain(value: Any) -> Any:
    """A value as Python's own type: PostgreSQL sums up to decimals."""
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return value
