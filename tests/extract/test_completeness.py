"""After a load the tables equal the account: every call once, whatever the API's bounds, time zones and windows."""

from datetime import date, datetime, timedelta

import pendulum
import pytest

from comagic.extract.progress import Progress
from comagic.sandbox import Switches, SyntheticAccount
from tests.support.accounts import days_ago, differences, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

BOUNDS = ["[]", "[)", "(]", "()"]
"""Whether the API's bounds of a period may be part of it."""


@pytest.mark.parametrize("bounds", BOUNDS)
def test_full_load_equals_the_account(serve: Serve, warehouse: Warehouse, bounds: str) -> None:
    account = recent_account(15)
    sandbox = serve(account, Switches(bounds=bounds, undocumented={"hold_duration": 7}))
    warehouse.load(sandbox, start_date=days_ago(50).date())
    expected = expected_calls(account, days_ago(50))
    assert len(expected) > 500
    assert differences(warehouse.calls(), expected) == []


def test_second_run_changes_no_row(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    warehouse.load(sandbox, start_date=days_ago(50).date())
    queries = ["FROM calls ORDER BY id"] + [f"FROM calls__{name} ORDER BY _dlt_id" for name in ("tags", "employees")]
    before = [warehouse.query(sql) for sql in queries]
    warehouse.load(sandbox)
    assert [warehouse.query(sql) for sql in queries] == before


def test_two_full_loads_give_the_same_tables(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    other = Warehouse(warehouse.file.parent, "other")
    for each in (warehouse, other):
        each.load(sandbox, start_date=days_ago(50).date())
    assert warehouse.calls() == other.calls() != {}


def test_load_in_several_packages_equals_the_account(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    sandbox = serve(account)
    progress = Progress()
    runs = 0
    while runs < 20 and not (runs and progress.syncs["calls"].is_complete):
        warehouse.load(sandbox, start_date=days_ago(45).date(), load_package_rows=60, window_days=3, progress=progress)
        runs += 1
    assert 4 < runs < 20, "each run loads a package, and the last one completes the sync"
    assert differences(warehouse.calls(), expected_calls(account, days_ago(50))) == []
    windows = [(result.window.start, result.window.end) for result in progress.windows]
    assert len(windows) == len(set(windows)), "a later run of the same sync does not return to the lookback"


@pytest.mark.parametrize("bounds", BOUNDS)
def test_calls_at_the_edges_of_days_and_windows_are_loaded_once(
    serve: Serve, warehouse: Warehouse, bounds: str
) -> None:
    edges = [
        datetime.combine(date(2026, 3, day), datetime.min.time()) + time
        for day in (1, 2, 8, 9)
        for time in (timedelta(), timedelta(hours=23, minutes=59, seconds=59))
    ]
    account = SyntheticAccount(
        first_day=date(2026, 3, 1), last_day=date(2026, 3, 9), calls_per_day=0, bursts=[(edge, 3) for edge in edges]
    )
    progress = Progress()
    sandbox = serve(account, Switches(bounds=bounds))
    warehouse.load(sandbox, since=datetime(2026, 3, 1), until=datetime(2026, 3, 10), window_days=1, progress=progress)
    assert warehouse.query("SELECT count(*), count(DISTINCT id) FROM calls") == [(24, 24)]
    assert [result.loaded for result in progress.windows] == [6, 6, 0, 0, 0, 0, 0, 6, 6]
    assert progress.differences == []


@pytest.mark.parametrize(
    "timezone", sample(["Europe/Moscow", "Asia/Vladivostok", "Europe/Berlin", "America/New_York"], 2)
)
def test_instants_and_local_days_are_right_in_every_time_zone(
    serve: Serve, warehouse: Warehouse, timezone: str
) -> None:
    first, last = date(2026, 3, 5), date(2026, 4, 2)  # the clocks of Berlin and New York change in between
    account = SyntheticAccount(timezone=timezone, first_day=first, last_day=last, calls_per_day=30)
    warehouse.load(serve(account), since=datetime(2026, 3, 5), until=datetime(2026, 4, 3))
    expected = expected_calls(account, datetime(2026, 3, 5))
    assert len(expected) > 500
    assert differences(warehouse.calls(), expected) == []


def test_time_zone_in_the_settings_overrides_the_accounts(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(calls_per_day=0, bursts=[(datetime(2026, 3, 1, 12), 1)])
    warehouse.load(serve(account), since=datetime(2026, 3, 1), until=datetime(2026, 3, 2), timezone="Asia/Vladivostok")
    assert warehouse.query("SELECT start_time, partition_date FROM calls") == [
        (datetime(2026, 3, 1, 2, tzinfo=pendulum.UTC), date(2026, 3, 1))
    ]


def test_text_is_loaded_unchanged(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(calls_per_day=0, bursts=[(datetime(2026, 3, 1, 12), 1)])
    (key,) = expected_calls(account, datetime(2026, 3, 1), datetime(2026, 3, 2))
    text = "Ёлка «№1» 'quoted' \"double\"\nnew line\ttab \\ 🔥 2026-01-01T00:00:00Z"
    account.change(key, campaign_name=text, attributes=[text])
    warehouse.load(serve(account), since=datetime(2026, 3, 1), until=datetime(2026, 3, 2))
    assert warehouse.query("SELECT campaign_name FROM calls") == [(text,)]
    assert warehouse.query("SELECT value FROM calls__attributes") == [(text,)]


def test_account_without_calls_is_loaded_without_rows(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(SyntheticAccount(calls_per_day=0))
    progress = Progress()
    for _ in range(2):
        warehouse.load(sandbox, start_date=days_ago(30).date(), progress=progress)
    assert progress.syncs["calls"].rows == 0
    assert progress.syncs["calls"].is_complete
