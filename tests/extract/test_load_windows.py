"""The table `load_windows` has a row for each window that was read, so SQL and `status` can prove completeness."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from comagic.catalog import LIST
from comagic.extract.load_windows import FIELDS
from comagic.sandbox import Switches
from tests.support.accounts import TODAY, access_to, days_ago, recent_account, resource_options
from tests.support.pages import README, block_after
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

WINDOWS = (
    "SELECT * EXCLUDE (user_id, site_id, lookback_days, _dlt_id, _dlt_load_id, read_at, run_started_at, read_seconds) "
    "FROM load_windows ORDER BY window_start"
)
INCOMPLETE_WINDOWS = block_after(README, "Is everything there?")
"""The README's query for windows in which rows are missing."""


def test_each_window_has_a_row_that_agrees_with_the_calls(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    first = TODAY - timedelta(days=40)
    warehouse.load(serve(account), start_date=first, window_days=10, until=days_ago(0))
    rows = warehouse.query(WINDOWS)
    assert len(rows) == 4
    moscow = timezone(timedelta(hours=3))
    for number, row in enumerate(rows):
        resource, start, end, announced, received, loaded, *problems = row[:9]
        requests, loaded_up_to, period_end, is_incremental = row[9:]
        expected_start = datetime(first.year, first.month, first.day, tzinfo=moscow) + timedelta(days=10 * number)
        assert (resource, start, end) == ("calls", expected_start, expected_start + timedelta(days=10))
        assert (requests, is_incremental) == (1, True)
        assert problems == [0, 0, None]
        assert loaded_up_to == end
        assert announced == received >= loaded > 0
        assert period_end == rows[-1][2]
        counted = f"SELECT count(*) FROM calls WHERE start_time >= '{start}' AND start_time < '{end}'"
        assert warehouse.query(counted) == [(loaded,)]
    finished = "SELECT count(*) FROM load_windows JOIN _dlt_loads ON load_id = _dlt_load_id WHERE status = 0"
    assert warehouse.query(finished) == [(4,)]


def test_table_and_columns_are_typed_and_described(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account(1)), start_date=TODAY - timedelta(days=3))
    table = warehouse.pipeline.default_schema.tables["load_windows"]
    columns = {name: column for name, column in table["columns"].items() if not name.startswith("_dlt")}
    assert list(columns) == [field.name for field in FIELDS if field.type != LIST]
    assert all(column.get("description") and column.get("data_type") for column in columns.values())
    assert table["description"]
    assert table["write_disposition"] == "append"


def test_missing_rows_are_reported_and_found_by_the_readme_query(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox = serve(recent_account(), Switches(total_extra=3))
    result = command("load", "--since", f"{TODAY - timedelta(days=3)}", **access_to(sandbox))
    assert result.code == 0, result.err
    ((_, start, announced, received, loaded, found),) = warehouse.query(INCOMPLETE_WINDOWS)
    assert f"the API announced {announced} rows and sent {received}." in result.out
    assert announced == received + 3
    assert loaded == found > 0
    assert start.date() == TODAY - timedelta(days=4)


def test_row_deleted_afterwards_is_found_by_the_readme_query(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    assert command(**access_to(serve(recent_account()))).code == 0
    assert warehouse.query(INCOMPLETE_WINDOWS) == []
    with duckdb.connect(str(warehouse.file)) as connection:
        connection.execute("DELETE FROM comagic.calls WHERE id = (SELECT max(id) FROM comagic.calls)")
    assert len(warehouse.query(INCOMPLETE_WINDOWS)) == 1


def test_commands_that_read_before_the_first_load_create_no_database(command: Command, place: Path) -> None:
    result = command("status")
    assert (result.code, "Nothing has been loaded yet" in result.out) == (0, True)
    assert command("status", "--max-age-hours", "24").code == 1
    assert [command(name).code for name in ("views", "describe")] == [1, 1]
    assert list(place.glob("*.duckdb")) == []


def test_status_reads_freshness_from_the_destination_alone(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    assert command(**access_to(serve(account))).code == 0
    rows = Warehouse(place).query("SELECT count(*) FROM calls")[0][0]
    another_machine = {"DLT_DATA_DIR": str(place / "another machine")}
    result = command("status", "--max-age-hours", "1", **another_machine)
    assert result.code == 0, result.out
    for text in ("calls: loaded up to", f"{rows:,} rows", "0.0 hours ago", "reached its end"):
        assert text in result.out
    result = command("status", "--max-age-hours", "0.000001", **another_machine)
    assert (result.code, "older than" in result.out) == (1, True)


def test_status_is_old_after_an_early_stop_until_an_incremental_run_is_complete(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(), Switches(day_limit=3))
    assert command(**access_to(sandbox)).code == 75
    result = command("status", "--max-age-hours", "26")
    assert (result.code, "stopped before its end" in result.out) == (1, True), result.out
    sandbox.switches.day_limit = 100
    assert command("load", "--since", f"{TODAY - timedelta(days=2)}", **access_to(sandbox)).code == 0
    result = command("status", "--max-age-hours", "26")
    assert result.code == 1, "a backfill leaves the gap before it"
    assert command(**access_to(sandbox)).code == 0
    assert command("status", "--max-age-hours", "26").code == 0


def test_status_checks_the_age_of_selected_resources_only(serve: Serve, command: Command) -> None:
    environment = access_to(serve(recent_account(1)))
    assert command(*resource_options("calls", "goals"), **environment).code == 0
    for names, code in ((("calls", "goals"), 0), (("calls",), 0), (("calls", "chats"), 1), ((), 0)):
        result = command("status", "--max-age-hours", "1", *resource_options(*names), **environment)
        assert (result.code, "chats: never loaded" in result.out) == (code, bool(code)), result.out
    assert command("status", *resource_options("chats"), **environment).code == 0, "without a maximum age"


@pytest.mark.parametrize("hours", ["soon", ""])
def test_malformed_max_age_is_a_usage_error(command: Command, hours: str) -> None:
    assert command("status", "--max-age-hours", hours).code == 2
