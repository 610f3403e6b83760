"""The report's figures are those of the account, in every destination, and of a reader who may change nothing."""

from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from comagic.exceptions import ComagicError, ConfigurationError
from comagic.load.destinations import choose_destination
from comagic.load.figures import Days, Figures, Trust, read_figures
from comagic.load.figures.period import choose_days
from comagic.load.figures.trust import still_deficient
from comagic.sandbox import SyntheticAccount
from comagic.settings import resolve_settings
from tests.support.accounts import access_to, recent_account, resource_options
from tests.support.eventful import PERIOD, RESOURCES, eventful_account
from tests.support.expected_views import ExpectedViews
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL

SINCE, UNTIL = date(2025, 10, 24), date(2025, 11, 29)
"""A period with all that is easily counted wrong; as many days before it are not loaded."""


def load(command: Command, serve: Serve, account: SyntheticAccount, **environment: str) -> None:
    result = command("load", *PERIOD, *resource_options(*RESOURCES), **access_to(serve(account)), **environment)
    assert result.code == 0, result.err


def read(**period: Any) -> Figures:
    return read_figures(choose_destination(), "comagic", resolve_settings(), **period)


def check(figures: Figures, account: SyntheticAccount) -> None:
    """Compares figures with a count in Python over the account's calls."""
    start, end = datetime(2025, 10, 20), datetime(2025, 11, 30)
    views = ExpectedViews(account, start, end)
    days = figures.days
    daily = {row["partition_date"]: row for row in views.calls_daily() if row["partition_date"] in set(days)}
    for name in ("calls", "incoming", "missed", "abandoned", "target", "talk_seconds"):
        assert figures.totals[name] == sum(row[name] for row in daily.values()), name
        found = {row["partition_date"]: row[name] for row in figures.by_day}
        assert found == {day: daily[day][name] if day in daily else 0 for day in days}, name
    missed = [row for row in views.missed_calls() if row["partition_date"] in daily]
    assert figures.totals["never_recovered"] == sum(row["recovered_by"] is None for row in missed)
    assert figures.totals["called_back"] == sum(row["recovered_by"] == "callback" for row in missed)
    soon = [row for row in missed if row["minutes_to_recovery"] is not None and row["minutes_to_recovery"] <= 20]
    assert figures.totals["recovered_soon"] == len(soon)
    hours = Counter((row["weekday"], row["hour"]) for row in missed)
    assert {(row["weekday"], row["hour"]): row["missed"] for row in figures.hours if row["missed"]} == hours
    sources = [row for row in views.sources_daily() if SINCE <= row["partition_date"] <= UNTIL]
    assert figures.totals["cost"] == pytest.approx(sum(row["cost"] or 0 for row in sources))
    for row in figures.campaigns:
        own = [one for one in sources if one["campaign_id"] == row["campaign_id"]]
        assert row["calls"] == sum(one["calls"] for one in own)
        assert (row["cost"] or 0) == pytest.approx(sum(one["cost"] or 0 for one in own))
    offered = Counter[int]()
    for row in views.employees_daily():
        offered[row["employee_id"]] += row["offered"] if row["partition_date"] in set(days) else 0
    assert {row["employee_id"]: row["offered"] for row in figures.employees} == +offered
    answered = [
        call["talk_duration"]
        for call in views.calls
        if not call["is_lost"] and date.fromisoformat(call["start_time"][:10]) in set(days)
    ]
    assert sum(row["calls"] for row in figures.durations) == len(answered)
    assert figures.totals["seconds_a_talk"] == pytest.approx(sum(answered) / len(answered))
    assert figures.funnel["sessions"] > figures.funnel["deals"] > 0
    assert figures.left_out == {}
    assert figures.trust.is_complete(days)


def test_figures_in_duckdb_are_those_of_the_account(serve: Serve, command: Command) -> None:
    account = eventful_account()
    load(command, serve, account)
    figures = read(since=SINCE, until=UNTIL)
    check(figures, account)
    assert figures.before == {}  # they began before the first loaded day
    assert read(since=date(2025, 11, 20), until=UNTIL).before["calls"] > 0
    one_day = read(since=UNTIL, until=UNTIL)
    assert [row["calls"] for row in one_day.by_day] == [one_day.totals["calls"]]
    years = read(since=date(2023, 1, 1), until=date(2025, 12, 31))
    assert (len(years.by_day), years.trust.is_covered(years.days)) == (1096, False)
    empty = read(since=date(2020, 1, 1), until=date(2020, 1, 31))
    assert empty.totals["calls"] == 0
    assert {name for name, one in empty.left_out.items() if one.reason == "calls"} >= {"days", "hours", "campaigns"}


@pytest.mark.expensive(20)
def test_figures_in_bigquery_are_those_of_the_account(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = eventful_account()
    load(command, serve, account, **warehouse_in_bigquery.environment)
    for name, value in warehouse_in_bigquery.environment.items():
        monkeypatch.setenv(name, value)
    check(read(since=SINCE, until=UNTIL), account)


@pytest.mark.expensive(4)
def test_figures_in_postgres_are_read_by_a_role_that_may_only_read(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = eventful_account()
    load(command, serve, account, **warehouse_in_postgres.environment)
    reader = f"reader_{warehouse_in_postgres.address.rpartition('test_')[2].partition('?')[0]}"
    with closing(psycopg2.connect(warehouse_in_postgres.address)) as connection:
        cursor = connection.cursor()
        for statement in (
            f"CREATE ROLE {reader} LOGIN",
            f"GRANT USAGE ON SCHEMA comagic TO {reader}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA comagic TO {reader}",
        ):
            cursor.execute(statement)
        connection.commit()
    address = warehouse_in_postgres.address.replace("postgres:none@", f"{reader}:none@")
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", address)
    with closing(psycopg2.connect(address)) as connection, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        connection.cursor().execute("CREATE TABLE comagic.mine (id int)")
    check(read(since=SINCE, until=UNTIL), account)


def test_figures_of_nothing_loaded_are_an_error(place: Path) -> None:
    with pytest.raises(ComagicError, match="Nothing has been loaded yet"):
        read()
    assert list(place.glob("*.duckdb")) == []


def test_default_period_ends_with_the_last_whole_day(serve: Serve, command: Command) -> None:
    assert command(**access_to(serve(recent_account(2)))).code == 0
    figures = read()
    assert figures.trust.loaded_up_to is not None
    assert figures.days.until == figures.trust.loaded_up_to.date() - timedelta(days=1)
    assert len(figures.days) == 30


@pytest.mark.parametrize(
    ("since", "until", "loaded_up_to", "expected"),
    [
        (None, None, datetime(2026, 5, 31, 4), ("2026-05-01", "2026-05-30")),
        (None, None, datetime(2026, 5, 31), ("2026-05-01", "2026-05-30")),
        (date(2026, 5, 30), None, datetime(2026, 5, 31, 4), ("2026-05-30", "2026-05-30")),
        (date(2026, 5, 31), None, datetime(2026, 5, 31, 4), ("2026-05-31", "2026-05-31")),
        (None, date(2026, 1, 30), datetime(2026, 5, 31, 4), ("2026-01-01", "2026-01-30")),
        (None, None, None, ("2026-04-03", "2026-05-02")),
    ],
)
def test_days_are_chosen(
    since: date | None, until: date | None, loaded_up_to: datetime | None, expected: tuple[str, str]
) -> None:
    days = choose_days(since, until, loaded_up_to, date(2026, 5, 2))
    assert (str(days.since), str(days.until)) == expected
    assert days.before.until == days.since - timedelta(days=1)
    assert len(days.before) == len(days)


def test_days_in_the_wrong_order_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="--since 2026-05-02 is after --until 2026-05-01"):
        choose_days(date(2026, 5, 2), date(2026, 5, 1), None, None)


def window(first: int, last: int, read_at: int, user_id: int | None = None) -> dict[str, Any]:
    day = datetime(2026, 5, 1)
    return {
        "user_id": user_id,
        "window_start": day + timedelta(days=first),
        "window_end": day + timedelta(days=last),
        "read_at": day + timedelta(days=read_at),
    }


@pytest.mark.parametrize(
    ("later", "is_deficient"),
    [
        ([], True),
        ([window(0, 7, 31)], False),
        ([window(0, 7, 29)], True),
        ([window(0, 4, 31), window(4, 9, 31)], False),
        ([window(0, 4, 31), window(5, 9, 31)], True),
        ([window(1, 7, 31)], True),
        ([window(0, 7, 31, 5)], True),
    ],
)
def test_window_with_missing_rows_counts_until_all_of_it_was_read_again(
    later: list[dict[str, Any]], is_deficient: bool
) -> None:
    assert (still_deficient([window(0, 7, 30)], later) != []) is is_deficient


def test_trust_needs_the_whole_period_loaded() -> None:
    days = Days(date(2026, 5, 1), date(2026, 5, 2))
    whole: dict[str, Any] = {"first_loaded": datetime(2026, 5, 1), "loaded_up_to": datetime(2026, 5, 3)}
    assert Trust(**whole).is_complete(days)
    assert not Trust(**{**whole, "loaded_up_to": datetime(2026, 5, 2, 23, 59)}).is_complete(days)
    assert not Trust(**{**whole, "first_loaded": datetime(2026, 5, 2)}).is_complete(days)
    for problem in ("missing", "rejected", "gaps"):
        assert not Trust(**{**whole, problem: 1}).is_complete(days)
    assert not Trust().is_complete(days)
