"""What was loaded is written down window by window, so that completeness is proved in SQL; `status` reads it."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from comagic.catalog import LIST
from comagic.extract.load_windows import FIELDS
from comagic.sandbox import Switches
from tests.support.accounts import TODAY, access_to, recent_account
from tests.support.pages import README, block_after
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

WINDOWS = (
    "SELECT * EXCLUDE (user_id, site_id, _dlt_id, _dlt_load_id, read_at, read_seconds) FROM load_windows "
    "ORDER BY window_start"
)


def test_each_window_is_written_down_with_the_rows(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account()
    first = TODAY - timedelta(days=40)
    warehouse.load(serve(account), start_date=first, window_days=10, until=datetime(*TODAY.timetuple()[:3]))
    rows = warehouse.query(WINDOWS)
    assert len(rows) == 4
    moscow = timezone(timedelta(hours=3))
    for number, row in enumerate(rows):
        resource, start, end, announced, received, loaded, requests, period_end, incremental = row
        begins = datetime(first.year, first.month, first.day, tzinfo=moscow) + timedelta(days=10 * number)
        assert (resource, start, end) == ("calls", begins, begins + timedelta(days=10))
        assert (requests, incremental) == (1, True)
        assert announced == received >= loaded
        assert period_end == rows[-1][2]
        counted = f"SELECT count(*) FROM calls WHERE start_time >= '{start}' AND start_time < '{end}'"
        assert warehouse.query(counted) == [(loaded,)]
    ended = "SELECT count(*) FROM load_windows JOIN _dlt_loads ON load_id = _dlt_load_id WHERE status = 0"
    assert warehouse.query(ended) == [(4,)]


def test_the_table_has_a_description_for_each_column(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account(1)), start_date=TODAY - timedelta(days=3))
    table = warehouse.pipeline.default_schema.tables["load_windows"]
    told = {name: of for name, of in table["columns"].items() if not name.startswith("_dlt")}
    assert list(told) == [of.name for of in FIELDS if of.type != LIST]
    assert all(of.get("description") and of.get("data_type") for of in told.values())
    assert table["write_disposition"] == "append"


def test_a_difference_stays_in_the_table_and_the_readme_question_finds_it(
    serve: Serve, command: Command, place: Path
) -> None:
    sandbox = serve(recent_account(), Switches(total_extra=3))
    shown = command("load", "--since", f"{TODAY - timedelta(days=3)}", **access_to(sandbox))
    assert shown.code == 0, shown.err
    assert "announced" in shown.out
    question = block_after(README, "Is everything there?")
    ((_, start, announced, received, loaded, found),) = Warehouse(place).query(question)
    assert announced == received + 3
    assert loaded == found > 0
    assert start.date() == TODAY - timedelta(days=4)


def test_the_readme_question_finds_a_row_that_went_afterwards(serve: Serve, command: Command, place: Path) -> None:
    import duckdb

    assert command(**access_to(serve(recent_account()))).code == 0
    question = block_after(README, "Is everything there?")
    assert Warehouse(place).query(question) == []
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("DELETE FROM comagic.calls WHERE id = (SELECT max(id) FROM comagic.calls)")
    assert len(Warehouse(place).query(question)) == 1


def test_status_of_nothing(command: Command, place: Path) -> None:
    shown = command("status")
    assert (shown.code, "Nothing has been loaded yet" in shown.out) == (0, True)
    assert command("status", "--max-age-hours", "24").code == 1
    assert [command(name).code for name in ("view", "describe")] == [1, 1]
    assert list(place.glob("*.duckdb")) == [], "a question must not make a file"


def test_status_tells_freshness_from_the_destination_alone(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    assert command(**access_to(serve(account))).code == 0
    rows = Warehouse(place).query("SELECT count(*) FROM calls")[0][0]
    elsewhere = {"DLT_DATA_DIR": str(place / "another machine")}
    shown = command("status", "--max-age-hours", "1", **elsewhere)
    assert shown.code == 0, shown.out
    for word in ("calls", f"{rows:,} rows", "0.0 hours ago", "came to its end"):
        assert word in shown.out
    shown = command("status", "--max-age-hours", "0.000001", **elsewhere)
    assert (shown.code, "older than" in shown.out) == (1, True)


def test_status_after_an_early_stop_and_after_a_period_by_hand(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(), Switches(day_limit=3))
    assert command(**access_to(sandbox)).code == 75
    shown = command("status", "--max-age-hours", "26")
    assert (shown.code, "stopped on the way" in shown.out) == (1, True), shown.out
    sandbox.switches.day_limit = 100
    assert command("load", "--since", f"{TODAY - timedelta(days=2)}", **access_to(sandbox)).code == 0
    shown = command("status", "--max-age-hours", "26")
    assert shown.code == 1, "a period by hand leaves the hole before it"
    assert command(**access_to(sandbox)).code == 0
    assert command("status", "--max-age-hours", "26").code == 0


@pytest.mark.parametrize("hours", ["soon", ""])
def test_a_wrong_age_is_a_usage_error(command: Command, hours: str) -> None:
    assert command("status", "--max-age-hours", hours).code == 2
