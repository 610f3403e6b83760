"""The tables equal the account, whatever the API's bounds mean, on the first load and after every change."""

from datetime import date, datetime, timedelta

import pendulum
import pytest

from comagic.extract.progress import Progress
from comagic.sandbox import Switches, SyntheticAccount
from tests.support.accounts import CALLS, TODAY, differences, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse

YESTERDAY = TODAY - timedelta(days=1)


def days_ago(days: int) -> datetime:
    return datetime(TODAY.year, TODAY.month, TODAY.day) - timedelta(days=days)


@pytest.mark.parametrize("bounds", ["[]", "[)", "(]", "()"])
def test_full_load_equals_the_account(serve: Serve, warehouse: Warehouse, bounds: str) -> None:
    account = recent_account(20)
    sandbox = serve(account, Switches(bounds=bounds, undocumented_key="hold_duration"))
    warehouse.load(sandbox, start_date=days_ago(50).date())
    expected = expected_calls(account, days_ago(50))
    assert len(expected) > 500
    assert differences(warehouse.calls(), expected) == []


def test_second_run_changes_nothing(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(20))
    warehouse.load(sandbox, start_date=days_ago(50).date())
    queries = ["FROM calls ORDER BY id"] + [f"FROM calls__{name} ORDER BY _dlt_id" for name in ("tags", "employees")]
    before = [warehouse.query(sql) for sql in queries]
    warehouse.load(sandbox)
    assert [warehouse.query(sql) for sql in queries] == before


def test_two_full_loads_give_the_same_tables(serve: Serve, tmp_path: object, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(20))
    again = Warehouse(warehouse.file.parent, "again")
    for one in (warehouse, again):
        one.load(sandbox, start_date=days_ago(50).date())
    assert warehouse.calls() == again.calls()


def test_late_changes_inside_the_lookback_arrive(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(50).date())
    ids = list(expected_calls(account, days_ago(13)))
    tagged = [key for key, call in expected_calls(account, days_ago(13)).items() if call["tags"]]

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
    account = recent_account(20)
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(50).date())
    progress = Progress()
    warehouse.load(sandbox, lookback_days=3, progress=progress)
    now = pendulum.now(account.timezone).naive()
    assert progress.syncs["calls"].start == datetime(now.year, now.month, now.day) - timedelta(days=3)

    old, young = expected_calls(account, days_ago(5), days_ago(4)), expected_calls(account, days_ago(2))
    account.change(next(iter(old)), talk_duration=77_777)
    account.change(next(iter(young)), talk_duration=77_777)
    warehouse.load(sandbox, lookback_days=3)
    assert warehouse.query("SELECT id FROM calls WHERE talk_duration = 77777") == [(next(iter(young)),)]


def test_a_period_is_loaded_again_and_the_cursor_stays(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(20).date())
    state = warehouse.pipeline.state["sources"]
    old = account.upload(days_ago(30) + timedelta(hours=12))
    warehouse.load(sandbox, since=days_ago(31), until=days_ago(29))
    assert warehouse.pipeline.state["sources"] == state
    assert old in warehouse.calls()
    expected = {**expected_calls(account, days_ago(20)), **expected_calls(account, days_ago(31), days_ago(29))}
    assert differences(warehouse.calls(), expected) == []


@pytest.mark.parametrize("bounds", ["[]", "[)", "(]", "()"])
def test_calls_at_the_edges_of_days_and_windows_arrive_once(serve: Serve, warehouse: Warehouse, bounds: str) -> None:
    edges = [
        datetime.combine(date(2026, 3, day), datetime.min.time()) + shift
        for day in (1, 2, 8, 9)
        for shift in (timedelta(), timedelta(hours=23, minutes=59, seconds=59))
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


@pytest.mark.parametrize("timezone", ["Europe/Moscow", "Asia/Vladivostok", "Europe/Berlin", "America/New_York"])
def test_instants_and_local_days_are_right_in_every_zone(serve: Serve, warehouse: Warehouse, timezone: str) -> None:
    first, last = date(2026, 3, 5), date(2026, 4, 2)  # the clocks of Berlin and New York change in between
    account = SyntheticAccount(timezone=timezone, first_day=first, last_day=last, calls_per_day=60)
    warehouse.load(serve(account), since=datetime(2026, 3, 5), until=datetime(2026, 4, 3))
    assert differences(warehouse.calls(), expected_calls(account, datetime(2026, 3, 5))) == []


def test_a_zone_in_the_settings_overrides_the_accounts(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(calls_per_day=0, bursts=[(datetime(2026, 3, 1, 12), 1)])
    warehouse.load(serve(account), since=datetime(2026, 3, 1), until=datetime(2026, 3, 2), timezone="Asia/Vladivostok")
    assert warehouse.query("SELECT start_time, partition_date FROM calls") == [
        (datetime(2026, 3, 1, 2, tzinfo=pendulum.UTC), date(2026, 3, 1))
    ]


def test_every_column_exists_typed_and_described_even_without_values(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account(20)), start_date=days_ago(3).date(), fields="all")
    table = warehouse.pipeline.default_schema.tables["calls"]["columns"]
    for name, of in {**CALLS.fields, **CALLS.computed}.items():
        if of.type != "list":
            assert (table[name]["data_type"], table[name]["description"]) == (of.type, of.description)
    types = dict(
        warehouse.query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'calls'")
    )
    assert types["ymclid"] == "VARCHAR"  # null in every call
    assert types["id"] == types["visitor_id"] == "BIGINT"
    assert types["sale_date"] == "TIMESTAMP WITH TIME ZONE"
    assert not [name for name in types if "__v_" in name]


def test_chosen_fields_are_loaded_and_the_key_with_them(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account(20)), start_date=days_ago(3).date(), fields="tags, is_lost")
    names = {
        name
        for (name,) in warehouse.query("SELECT column_name FROM information_schema.columns WHERE table_name = 'calls'")
    }
    assert names == {"id", "start_time", "is_lost", "partition_date", "_dlt_id", "_dlt_load_id"}


def test_a_new_key_of_the_api_becomes_a_column(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(20).date())
    sandbox.switches.undocumented_key = "hold_duration"
    warehouse.load(sandbox)
    assert warehouse.query("SELECT count(*) > 0 FROM calls WHERE hold_duration > 0") == [(True,)]


@pytest.mark.parametrize("first_load", [True, False])
def test_a_changed_type_stops_the_load_and_names_the_column(
    serve: Serve, warehouse: Warehouse, first_load: bool
) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    if not first_load:
        warehouse.load(sandbox, start_date=days_ago(20).date())
    account.change(next(iter(expected_calls(account, days_ago(5)))), talk_duration="long")
    with pytest.raises(Exception, match="talk_duration"):
        warehouse.load(sandbox, start_date=days_ago(20).date())


@pytest.mark.parametrize("field", ["tags", "attributes"])
def test_a_list_that_is_none_stops_the_load(serve: Serve, warehouse: Warehouse, field: str) -> None:
    account = recent_account(20)
    account.change(next(iter(expected_calls(account, days_ago(2)))), **{field: "text"})
    with pytest.raises(Exception, match=f"{field} is a str, not a list"):
        warehouse.load(serve(account), start_date=days_ago(3).date())


def test_text_survives_as_it_is(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(calls_per_day=0, bursts=[(datetime(2026, 3, 1, 12), 1)])
    (key,) = expected_calls(account, datetime(2026, 3, 1), datetime(2026, 3, 2))
    text = "Ёлка «№1» 'quoted' \"double\"\nnew line\ttab \\ 🔥 2026-01-01T00:00:00Z"
    account.change(key, campaign_name=text, attributes=[text])
    warehouse.load(serve(account), since=datetime(2026, 3, 1), until=datetime(2026, 3, 2))
    assert warehouse.query("SELECT campaign_name FROM calls") == [(text,)]
    assert warehouse.query("SELECT value FROM calls__attributes") == [(text,)]


def test_an_account_without_calls_loads_nothing_and_does_not_fail(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(SyntheticAccount(calls_per_day=0))
    progress = Progress()
    for _ in range(2):
        warehouse.load(sandbox, start_date=days_ago(30).date(), progress=progress)
    assert progress.syncs["calls"].rows == 0
    assert progress.syncs["calls"].is_complete


def test_a_state_in_the_future_loads_nothing_and_does_not_fail(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(20))
    warehouse.load(sandbox, start_date=days_ago(20).date())
    with warehouse.pipeline.managed_state() as state:
        incremental = state["sources"]["comagic"]["resources"]["calls"]["incremental"]["start_time"]
        incremental["last_value"] = pendulum.now("UTC").add(years=1)
    before = warehouse.calls()
    warehouse.load(sandbox)
    assert warehouse.calls() == before


def test_a_long_load_in_packages_equals_one_in_one(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    progress = Progress()
    runs = 0
    while runs == 0 or not progress.syncs["calls"].is_complete:
        warehouse.load(sandbox, start_date=days_ago(45).date(), load_package_rows=100, window_days=3, progress=progress)
        runs += 1
    assert runs > 4
    assert differences(warehouse.calls(), expected_calls(account, days_ago(50))) == []
    asked_twice = len(progress.windows) - len({(result.window.start, result.window.end) for result in progress.windows})
    assert asked_twice == 0, "a later run of the same pass went back to the lookback"


def cursor_of(warehouse: Warehouse) -> datetime:
    resources = warehouse.pipeline.state["sources"]["comagic"]["resources"]
    cursor: datetime = resources["calls"]["incremental"]["start_time"]["last_value"]
    return cursor


def test_a_pass_that_stops_in_the_lookback_does_not_move_the_cursor_back(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(20))
    warehouse.load(sandbox, start_date=days_ago(30).date())
    before = cursor_of(warehouse)
    warehouse.load(sandbox, load_package_rows=10)
    assert cursor_of(warehouse) == before
    state = warehouse.pipeline.state["sources"]["comagic"]["resources"]["calls"]
    assert "unfinished_passes" in state
    warehouse.load(sandbox)
    assert cursor_of(warehouse) >= before  # in seconds: on a quick machine it is the same one
    assert "unfinished_passes" not in warehouse.pipeline.state["sources"]["comagic"]["resources"]["calls"]


def test_an_end_in_the_future_means_now(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account(20)), start_date=days_ago(3).date(), until=days_ago(-400))
    assert cursor_of(warehouse) <= pendulum.now("UTC")


def test_the_cursor_moves_over_quiet_windows(serve: Serve, warehouse: Warehouse) -> None:
    account = SyntheticAccount(first_day=TODAY - timedelta(days=200), last_day=TODAY - timedelta(days=190))
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=days_ago(200).date())
    requests = sandbox.requests
    warehouse.load(sandbox)
    assert sandbox.requests - requests <= 1 + 3  # the account, and three windows of the lookback
