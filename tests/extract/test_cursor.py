"""The next run reads what is new and the lookback, resumes a sync that stopped, and never moves the cursor back."""

from datetime import datetime, timedelta
from typing import Any

import pendulum
import pytest

from comagic.extract.checkpoint import STATE_KEY
from comagic.extract.progress import Progress
from comagic.sandbox import SyntheticAccount
from tests.support.accounts import CALLS, TODAY, days_ago, differences, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse

YESTERDAY = TODAY - timedelta(days=1)


def calls_state(warehouse: Warehouse) -> dict[str, Any]:
    """dlt's state of the resource `calls`."""
    state: dict[str, Any] = warehouse.pipeline.state["sources"]["comagic"]["resources"]["calls"]
    return state


def cursor_value(warehouse: Warehouse) -> datetime:
    """The instant up to which calls are loaded."""
    value: datetime = calls_state(warehouse)["incremental"]["start_time"]["last_value"]
    return value


def test_changes_inside_the_lookback_are_loaded(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(50).date())
    recent = expected_calls(account, days_ago(13))
    ids = list(recent)
    tagged = [key for key, call in recent.items() if call["tags"]]

    tag = {"tag_id": 99, "tag_name": "Поздний тег", "tag_type": "manual", "tag_change_time": f"{YESTERDAY} 12:00:00"}
    full_tag = {**dict.fromkeys(CALLS.fields["tags"].children), **tag}
    account.change(ids[0], tags=[full_tag])
    account.change(tagged[0], tags=[])
    account.change(tagged[1], tags=None)
    account.change(ids[3], sale_date=f"{YESTERDAY} 10:00:00", sale_cost=1234567.89)
    account.change(ids[4], last_answered_employee_rating=5)
    uploaded = account.upload(days_ago(10) + timedelta(hours=3))
    warehouse.load(sandbox)

    loaded = warehouse.calls()
    assert uploaded in loaded
    assert loaded[ids[3]]["sale_cost"] == 1234567.89
    assert differences(loaded, expected_calls(account, days_ago(50))) == []

    account.change(ids[3], sale_date=None, sale_cost=None)
    warehouse.load(sandbox)
    assert warehouse.calls()[ids[3]]["sale_cost"] is None


def test_lookback_reads_exactly_its_days_again(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(20).date())
    progress = Progress()
    warehouse.load(sandbox, lookback_days=3, progress=progress)
    now = pendulum.now(account.timezone).naive()
    assert progress.syncs["calls"].start == datetime(now.year, now.month, now.day) - timedelta(days=3)

    before, inside = expected_calls(account, days_ago(5), days_ago(4)), expected_calls(account, days_ago(2))
    account.change(next(iter(before)), talk_duration=77_777)
    account.change(next(iter(inside)), talk_duration=77_777)
    warehouse.load(sandbox, lookback_days=3)
    assert warehouse.query("SELECT id FROM calls WHERE talk_duration = 77777") == [(next(iter(inside)),)]


def hour(days: int, hours: int) -> datetime:
    """An instant: so many hours after midnight of a day ago."""
    return pendulum.instance(days_ago(days), tz="Europe/Moscow").add(hours=hours)


def test_hourly_runs_leave_late_changes_to_nightly_runs(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    sandbox = serve(account)
    nightly = {"start_date": days_ago(50).date(), "lookback_days": 14}
    hourly = {**nightly, "lookback_days": 1}
    warehouse.load(sandbox, **nightly, present=hour(8, 4))
    late = list(expected_calls(account, days_ago(19), days_ago(18)))
    account.change(late[0], talk_duration=77_777)
    for days in (8, 6, 4):  # no nightly run in between: it failed
        before = sandbox.requests
        warehouse.load(sandbox, **hourly, present=hour(days, 12))
        assert sandbox.requests - before <= 4
    assert warehouse.query("FROM calls WHERE talk_duration = 77777") == []
    warehouse.load(sandbox, **nightly, present=hour(3, 4))
    assert warehouse.query("SELECT id FROM calls WHERE talk_duration = 77777") == [(late[0],)]
    progress = Progress()
    warehouse.load(sandbox, **nightly, present=hour(2, 4), progress=progress)
    assert progress.syncs["calls"].start == days_ago(17), "a lookback after the last nightly run"


def test_nightly_run_does_not_resume_a_sync_with_a_shorter_lookback(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    settings = {"start_date": days_ago(50).date(), "window_days": 1, "present": hour(1, 12)}
    starts = []
    warehouse.load(sandbox, **settings)
    for lookback_days, package_rows in ((3, 1), (14, 1), (3, 0), (14, 0)):
        progress = Progress()
        settings |= {"lookback_days": lookback_days, "load_package_rows": package_rows}
        warehouse.load(sandbox, **settings, progress=progress)
        sync = progress.syncs["calls"]
        starts.append((f"{sync.start:%m-%d}", sync.is_resumed))
    expected = [(3, False), (14, False), (14, True), (14, False)]
    assert starts == [(f"{days_ago(1 + days):%m-%d}", is_resumed) for days, is_resumed in expected]


@pytest.mark.expensive(25)
def test_a_day_of_hourly_runs_and_a_nightly_one_equals_one_nightly_run(serve: Serve, warehouse: Warehouse) -> None:
    """Requests: docs/operations.md, By the hour."""
    account = recent_account()
    sandbox = serve(account)
    other = Warehouse(warehouse.file.parent, "other")
    settings = {"start_date": days_ago(50).date()}
    for each in (warehouse, other):
        each.load(sandbox, **settings, present=hour(2, 4))
    before, changed = sandbox.requests, set()
    for hours in range(5, 29):
        day = list(expected_calls(account, days_ago(16 - hours % 14), days_ago(15 - hours % 14)))
        changed.add(day[hours % len(day)])
        account.change(day[hours % len(day)], talk_duration=70_000 + hours)
        account.upload(days_ago(3) + timedelta(minutes=hours))
        warehouse.load(sandbox, **settings, lookback_days=1, present=hour(2, hours))
    hourly = sandbox.requests - before
    for each in (warehouse, other):
        each.load(sandbox, **settings, present=hour(1, 4))
    assert warehouse.calls() == other.calls()
    assert {key for (key,) in warehouse.query("SELECT id FROM calls WHERE talk_duration >= 70000")} == changed
    assert hourly == 24 * 2


def test_backfill_loads_its_period_and_leaves_the_cursor(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(20).date())
    state = warehouse.pipeline.state["sources"]
    uploaded = account.upload(days_ago(30) + timedelta(hours=12))
    warehouse.load(sandbox, since=days_ago(31), until=days_ago(29))
    assert warehouse.pipeline.state["sources"] == state
    assert uploaded in warehouse.calls()
    expected = {**expected_calls(account, days_ago(20)), **expected_calls(account, days_ago(31), days_ago(29))}
    assert differences(warehouse.calls(), expected) == []


def test_sync_that_stops_in_the_lookback_does_not_move_the_cursor_back(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    warehouse.load(sandbox, start_date=days_ago(30).date())
    before = cursor_value(warehouse)
    warehouse.load(sandbox, load_package_rows=10)
    assert cursor_value(warehouse) == before
    assert STATE_KEY in calls_state(warehouse)
    warehouse.load(sandbox)
    assert cursor_value(warehouse) >= before  # equal on a quick machine: it is in seconds
    assert STATE_KEY not in calls_state(warehouse)


def test_cursor_in_the_future_loads_nothing(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    warehouse.load(sandbox, start_date=days_ago(20).date())
    with warehouse.pipeline.managed_state() as state:
        incremental = state["sources"]["comagic"]["resources"]["calls"]["incremental"]["start_time"]
        incremental["last_value"] = pendulum.now("UTC").add(years=1)
    before = warehouse.calls()
    warehouse.load(sandbox)
    assert warehouse.calls() == before != {}


def test_end_in_the_future_means_now(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account()), start_date=days_ago(3).date(), until=days_ago(-400))
    assert cursor_value(warehouse) <= pendulum.now("UTC")


def test_cursor_advances_over_windows_without_calls(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(first_day=TODAY - timedelta(days=200), last_day=TODAY - timedelta(days=190))
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(200).date())
    requests_before = sandbox.requests
    warehouse.load(sandbox)
    assert sandbox.requests - requests_before <= 1 + 3  # the account, and three windows of the lookback
