"""`status` is fresh only if everything was loaded: every site, client and dictionary, by load packages that ended."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest

from comagic.extract.progress import Progress
from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.pages import README, block_after
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

METHOD = "get.campaign_daily_stat"
FORBIDDEN = {"code": -32003, "message": "Permission denied", "data": {"mnemonic": "forbidden"}}


def change(place: Path, *statements: str) -> None:
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("SET search_path = 'comagic'")
        for statement in statements:
            connection.execute(statement)


def test_windows_of_a_package_that_did_not_end_do_not_count(serve: Serve, command: Command, place: Path) -> None:
    """`load_windows` is committed before the merge: with the package's entry in `_dlt_loads` the windows count."""
    assert command(**access_to(serve(recent_account()))).code == 0
    status = ("status", "--max-age-hours", "26")
    change(place, "UPDATE load_windows SET loaded_up_to = loaded_up_to - INTERVAL 3 DAY")
    assert command(*status).code == 1
    change(
        place,
        "INSERT INTO load_windows SELECT * REPLACE ('not ended' AS _dlt_load_id, 999999 AS rows_loaded, "
        "loaded_up_to + INTERVAL 3 DAY AS loaded_up_to, 'x' AS _dlt_id) FROM load_windows",
    )
    outcome = command(*status)
    assert outcome.code == 1
    assert "72." in outcome.out
    query = block_after(README, "Is everything there?")
    assert Warehouse(place).query(query) == [], "windows of a package that did not end prove nothing"
    change(place, "INSERT INTO _dlt_loads SELECT * REPLACE ('not ended' AS load_id) FROM _dlt_loads LIMIT 1")
    assert command(*status).code == 0
    assert Warehouse(place).query(query) != []


def test_report_stopped_between_two_sites_is_not_fresh(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(3))
    environment = access_to(sandbox, SOURCES__COMAGIC__RESOURCES="campaign_daily_stat")
    assert command(**environment).code == 0
    assert command("status", "--max-age-hours", "1", **environment).code == 0

    def stop_at_second_site(response: dict[str, Any]) -> dict[str, Any]:
        rows = response.get("result", {}).get("data")
        is_report = (
            isinstance(rows, list) and "metadata" in response["result"] and sandbox.calls.get(METHOD, 0) > before + 1
        )
        return {**response, "result": None, "error": FORBIDDEN} if is_report else response

    method = METHOD
    before = sandbox.calls[method]
    sandbox.alter_answer = stop_at_second_site
    outcome = command(**environment)
    assert outcome.code == 1
    shown = command("status", "--max-age-hours", "1", **environment)
    assert "stopped before its end" in shown.out


def test_dictionaries_are_judged_too(serve: Serve, command: Command, place: Path) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__RESOURCES='["tags", "sites"]')
    assert command(**environment).code == 0
    fresh = command("status", "--max-age-hours", "1", **environment)
    assert fresh.code == 0
    assert "tags" in fresh.out
    assert "sites" in fresh.out
    change(place, "UPDATE load_windows SET loaded_up_to = loaded_up_to - INTERVAL 2 HOUR WHERE resource = 'tags'")
    assert command("status", "--max-age-hours", "1", **environment).code == 1
    assert command("status", "--max-age-hours", "1", "--resource", "sites", **environment).code == 0
    assert command("status", "--resource", "statuses", "--max-age-hours", "1", **environment).code == 1, "never loaded"


def test_report_without_rows_is_shown_with_none(serve: Serve, command: Command) -> None:
    account = recent_account(0.0001)
    assert expected_calls(account, LONG_AGO) == {}
    environment = access_to(serve(account))
    assert command(**environment).code == 0
    shown = command("status", "--max-age-hours", "1", **environment)
    assert (shown.code, "0 rows" in shown.out) == (0, True), shown.out


def test_run_with_a_clock_ahead_leaves_later_runs_complete(
    serve: Serve, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = recent_account(20)
    sandbox = serve(account)
    warehouse.load(sandbox, start_date=TODAY - timedelta(days=40))
    with warehouse.pipeline.managed_state() as state:
        incremental = state["sources"]["comagic"]["resources"]["calls"]["incremental"]["start_time"]
        incremental["last_value"] = pendulum.now("UTC").add(days=40)
    late = max(expected_calls(account, LONG_AGO))
    account.change(late, campaign_name="changed later")
    progress = Progress()
    start = TODAY - timedelta(days=40)
    warehouse.load(sandbox, start_date=start, progress=progress)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert ["clock" in warning for warning in progress.warnings] == [True]
    again = Progress()
    warehouse.load(sandbox, start_date=start, progress=again)
    assert again.warnings == [], "the cursor is right again"


def test_data_from_the_future_is_not_fresh(serve: Serve, command: Command, place: Path) -> None:
    assert command(**access_to(serve(recent_account(1)))).code == 0
    change(place, "UPDATE load_windows SET loaded_up_to = loaded_up_to + INTERVAL 40 DAY")
    outcome = command("status", "--max-age-hours", "26")
    assert (outcome.code, "in the future" in outcome.out) == (1, True)


def test_windows_read_in_the_future_do_not_hide_the_present(serve: Serve, command: Command, place: Path) -> None:
    assert command(**access_to(serve(recent_account(1)))).code == 0
    change(
        place,
        "INSERT INTO load_windows SELECT * REPLACE (loaded_up_to + INTERVAL 40 DAY AS loaded_up_to, "
        "read_at + INTERVAL 40 DAY AS read_at, 'x' AS _dlt_id) FROM load_windows",
    )
    assert command("status", "--max-age-hours", "26").code == 0


@pytest.mark.parametrize(("seconds", "reported"), [(0, False), (50, False), (-3600, True), (7200, True)])
def test_clock_that_differs_from_the_servers_is_reported(
    serve: Serve, command: Command, seconds: float, reported: bool
) -> None:
    outcome = command(**access_to(serve(recent_account(0.1), Switches(clock_seconds=seconds))))
    assert outcome.code == 0
    assert ("The API's clock differs" in outcome.out) == reported


def test_runs_with_a_long_and_a_short_lookback_are_judged_on_their_own(
    serve: Serve, command: Command, place: Path
) -> None:
    environment = access_to(serve(recent_account(3)))
    assert command(**environment).code == 0
    change(place, "UPDATE load_windows SET loaded_up_to = loaded_up_to - INTERVAL 3 DAY, period_end = loaded_up_to")
    change(place, "UPDATE load_windows SET period_end = loaded_up_to")
    assert command("--lookback-days", "1", **environment).code == 0
    assert command("status", "--max-age-minutes", "90").code == 0
    shown = command("status", "--max-age-hours", "26", "--lookback-days", "14")
    assert shown.code == 1
    assert "lookback of finished runs: 14 days 72." in shown.out
    assert "older than 26 hours with a lookback of 14 days" in shown.out
    assert command("status", "--max-age-hours", "26", "--lookback-days", "15").code == 1
    assert command("status", "--lookback-days", "14").code == 2
    assert command("status", "--max-age-hours", "1", "--max-age-minutes", "60").code == 2
