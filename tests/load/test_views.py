"""The views show what the account has, in DuckDB, BigQuery and PostgreSQL alike, whatever was loaded."""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.sandbox import SyntheticAccount
from comagic.sandbox.vocabulary import SITES
from tests.support.accounts import access_to, resource_options
from tests.support.expected_views import ExpectedViews, Row, comparable
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

FIRST, LAST = datetime(2025, 10, 20), datetime(2025, 11, 30)
"""Clocks in Berlin go back on 26 October."""
PERIOD = ["--since", f"{FIRST:%Y-%m-%d}", "--until", f"{LAST - timedelta(days=1):%Y-%m-%d}"]
RESOURCES = (
    "calls",
    "visitor_sessions",
    "deals_history",
    "sales_funnels",
    "campaign_daily_stat",
    "source_costs",
    "virtual_numbers",
    "employees",
    "campaigns",
    "sites",
)
VIEWS = (
    "attribution",
    "calls_daily",
    "calls_hourly",
    "employees_daily",
    "funnel",
    "missed_calls",
    "sources_daily",
    "tags_daily",
    "tracking_quality",
)
RINGER, PATIENT, OTHER = "79161112233", "79162223344", "79163334455"


def eventful_account() -> SyntheticAccount:
    """An account with all that is easily counted wrong."""
    account = SyntheticAccount(
        timezone="Europe/Berlin",
        first_day=FIRST.date(),
        last_day=date(2025, 11, 29),
        calls_per_day=3,
        bursts=[(datetime(2025, 11, 3, 12), 100)],
    )

    def add(at: datetime, number: str | None, lost: bool, direction: str = "in", **more: Any) -> None:
        times = {"finish_time": (at + timedelta(minutes=2)).isoformat(" "), "wait_duration": 20, "talk_duration": 100}
        if lost:
            times["talk_duration"] = 0
        fields = {"contact_phone_number": number, "is_lost": lost, "direction": direction, **times, **more}
        account.upload(at, **{"attributes": ["lost"] if lost else [], "tags": [], **fields})

    midnight = datetime(2025, 10, 28)
    add(midnight - timedelta(seconds=1), RINGER, True, wait_duration=14)  # rings five times, over midnight
    add(midnight, RINGER, True, wait_duration=15)
    add(midnight + timedelta(minutes=1), RINGER, True)
    add(midnight + timedelta(minutes=2), RINGER, True)
    add(midnight + timedelta(minutes=9), RINGER, False)
    add(datetime(2025, 11, 4, 9), PATIENT, False, "out")  # a call-back before, and one after
    add(datetime(2025, 11, 4, 10), PATIENT, True)
    add(datetime(2025, 11, 4, 10, 5), PATIENT, True, "out")  # not reached
    add(datetime(2025, 11, 4, 11), PATIENT, False, "out")
    add(datetime(2025, 11, 4, 12), PATIENT, False)
    add(datetime(2025, 11, 5, 12), OTHER, True)  # the other line picks up in the same second
    add(datetime(2025, 11, 5, 12), OTHER, False)
    add(datetime(2025, 11, 6, 12), None, True, finish_reason="group_inactive_by_schedule")  # a hidden number
    add(datetime(2025, 11, 6, 13), None, False)
    unknown: Row = dict.fromkeys(("channel", "utm_source", "utm_medium", "eq_utm_source", "eq_utm_medium"))
    add(datetime(2025, 10, 26, 1, 59, 59), OTHER, True, campaign_id=-1, **unknown)
    add(datetime(2025, 10, 26, 2, 30), OTHER, True, finish_reason="numa_in_spam_list")  # a time that was there twice
    add(datetime(2025, 10, 26, 3, 30), OTHER, False, "out")
    return account


def read_view(warehouse: Warehouse, name: str) -> list[Row]:
    """Returns the rows of a view without the account's id."""
    names = [name for (name,) in described(warehouse, name)]
    return [dict(zip(names, row, strict=True)) for row in warehouse.query(f"SELECT {', '.join(names)} FROM {name}")]


def described(warehouse: Warehouse, name: str) -> list[tuple[Any, ...]]:
    return [(column,) for column in warehouse.view_columns(name) if column not in ("app_id", "user_id")]


def check(rows: list[Row], expected: list[Row]) -> None:
    """Compares rows in any order, fractions to nine digits."""
    found, wanted = sorted(comparable(rows)), sorted(comparable(expected))
    exact, others = Counter(row for row, _ in found), Counter(row for row, _ in wanted)
    assert [*(exact - others)][:2] == [*(others - exact)][:2]  # a few: pytest takes minutes to compare long lists
    for (_, fractions), (_, right) in zip(found, wanted, strict=True):
        assert fractions == pytest.approx(right, rel=1e-9)


def load(command: Command, account: SyntheticAccount, serve: Serve, **environment: str) -> None:
    result = command("load", *PERIOD, *resource_options(*RESOURCES), **access_to(serve(account)), **environment)
    assert result.code == 0, result.err
    result = command("views", **environment)
    assert (result.code, "Left out" in result.out) == (0, False), result.out + result.err


def check_all(warehouse: Warehouse, account: SyntheticAccount) -> None:
    expected = ExpectedViews(account, FIRST, LAST)
    numbers = [number for _, _, number in SITES] + [
        entry["virtual_phone_number"] for entry in account.dictionaries["virtual_numbers"]
    ]
    for name in VIEWS:
        rows = read_view(warehouse, name)
        assert rows, name
        wanted = expected.tracking_quality(numbers) if name == "tracking_quality" else getattr(expected, name)()
        check(rows, wanted)


def test_views_in_duckdb_show_what_the_account_has(serve: Serve, command: Command, place: Path) -> None:
    account = eventful_account()
    load(command, account, serve)
    check_all(Warehouse(place), account)


@pytest.mark.expensive(12)
def test_views_in_bigquery_show_what_the_account_has(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = eventful_account()
    load(command, account, serve, **warehouse_in_bigquery.environment)
    check_all(warehouse_in_bigquery, account)


@pytest.mark.expensive(8)
def test_views_in_postgres_show_what_the_account_has(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    account = eventful_account()
    load(command, account, serve, **warehouse_in_postgres.environment)
    check_all(warehouse_in_postgres, account)
