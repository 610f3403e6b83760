"""`verify` finds what the destination lacks, or has otherwise, and nothing where it has everything."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.catalog import reports
from comagic.load.lease import hold_file
from comagic.load.verified_report import why_not
from comagic.sandbox import SandboxServer, Switches
from tests.support.accounts import (
    LONG_AGO,
    PSEUDONYM_KEY,
    TODAY,
    access_to,
    days_ago,
    differences,
    expected_calls,
    recent_account,
    resource_options,
)
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery, Warehouse

VERIFIABLE = [name for name, report in reports().items() if not why_not(report)]
WAREHOUSES = [
    pytest.param("warehouse", marks=pytest.mark.expensive(4)),
    pytest.param("warehouse_in_postgres", marks=pytest.mark.expensive(5)),
    pytest.param("warehouse_in_bigquery", marks=pytest.mark.expensive(20)),
]
DAYS = 10
FIRST_DAY = TODAY - timedelta(days=DAYS)


@pytest.fixture(params=WAREHOUSES)
def target(request: pytest.FixtureRequest) -> Warehouse:
    """An empty destination of each kind."""
    warehouse: Warehouse = request.getfixturevalue(request.param)
    return warehouse


def loaded(
    serve: Serve, command: Command, target: Warehouse, calls: float = 60, **more: Any
) -> tuple[SandboxServer, dict[str, str]]:
    """An account whose calls were loaded: its sandbox and the environment of commands."""
    sandbox = serve(recent_account(calls, first_day=FIRST_DAY), more.pop("switches", None))
    environment = access_to(sandbox, **target.environment, **more)
    environment["SOURCES__COMAGIC__START_DATE"] = FIRST_DAY.isoformat()
    result = command(**environment)
    assert result.code == 0, result.err
    return sandbox, environment


def verified(command: Command, environment: dict[str, str], *words: str, code: int) -> dict[str, Any]:
    """Runs `verify`, and returns its JSON document; checks the exit code."""
    result = command("verify", "--json", *words, **environment)
    assert result.code == code, result.out + result.err
    document: dict[str, Any] = json.loads(result.out)
    assert document["agrees"] is (code == 0)
    return document


def found(document: dict[str, Any], *names: str) -> dict[str, list[Any]]:
    """What was found in each differing day of the only resource: some of the counts."""
    (resource,) = document["resources"]
    return {day["day"]: [day[name] for name in names] for day in resource["days"]}


def busiest(target: Warehouse) -> Any:
    """The day with the most calls: at weekends there are few."""
    ((day, _), *_) = target.query("SELECT partition_date, count(*) FROM calls GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1")
    return day


def ids(target: Warehouse, day: Any, most: int = 1_000_000) -> list[int]:
    """Ids of a day's calls in the destination."""
    rows = target.query(f"SELECT id FROM calls WHERE partition_date = DATE '{day}' ORDER BY id")
    return [call_id for (call_id,) in rows][:most]


def delete(target: Warehouse, call_ids: list[int]) -> None:
    """Deletes calls, and what is in their lists, from the destination."""
    listed = ", ".join(map(str, call_ids))
    rows = f"(SELECT _dlt_id FROM calls WHERE id IN ({listed}))"
    target.execute(f"DELETE FROM calls__tags WHERE _dlt_root_id IN {rows}", f"DELETE FROM calls WHERE id IN ({listed})")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("warehouse", marks=pytest.mark.expensive(8)),
        pytest.param("warehouse_in_postgres", marks=pytest.mark.expensive(8)),
        pytest.param("warehouse_in_bigquery", marks=pytest.mark.expensive(35)),
    ],
    indirect=True,
)
def test_untouched_destination_agrees_in_all_values_of_all_reports(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    account = recent_account(10, first_day=FIRST_DAY)
    account.upload(days_ago(6), days_ago(3))
    settings = {
        "SOURCES__COMAGIC__FIELDS": "all",
        "SOURCES__COMAGIC__EXCLUDE_FIELDS": '["tags.tag_user_login", "contact_full_name"]',
        "SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS": '["contact_phone_number", "employees.employee_full_name"]',
        "SOURCES__COMAGIC__PSEUDONYM_KEY": PSEUDONYM_KEY,
        "SOURCES__COMAGIC__START_DATE": FIRST_DAY.isoformat(),
        "SOURCES__COMAGIC__WINDOW_DAYS": "30",
    }
    environment = {**access_to(serve(account)), **settings, **target.environment}
    names = sample(VERIFIABLE, 3) if isinstance(target, BigQuery) else VERIFIABLE
    result = command(*resource_options(*names), **environment)
    assert result.code == 0, result.err
    for words in ((), ("--deep",)):
        document = verified(command, environment, *words, code=0)
        assert {one["resource"] for one in document["resources"]} == set(names)
        assert all(one["api"] == one["destination"] > 0 for one in document["resources"]), document


@pytest.mark.parametrize("target", ["warehouse", *WAREHOUSES[1:]], indirect=True)
def test_deleted_calls_are_found_and_come_back_and_no_other_day_is_read(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, target, 80)
    expected = expected_calls(sandbox.account, LONG_AGO)
    day = busiest(target)
    rows = len(ids(target, day))
    delete(target, ids(target, day, 37))
    document = verified(command, environment, code=1)
    assert found(document, "api", "destination", "missing", "extra") == {str(day): [rows, rows - 37, 37, 0]}
    printed = command("verify", **environment)
    assert printed.code == 1
    assert "37 missing" in printed.out
    assert str(day) in printed.out
    document = verified(command, environment, "--repair", code=0)
    assert [one["repaired"] for one in document["resources"]] == [[str(day)]]
    assert differences(target.calls(), expected) == []
    (backfill,) = target.query("SELECT rows_loaded, requests FROM load_windows WHERE NOT is_incremental")
    assert backfill == (rows, 1)
    assert "counts of" in command("status", **environment).out


def test_changed_values_are_found_by_deep_and_repaired(serve: Serve, command: Command, target: Warehouse) -> None:
    sandbox, environment = loaded(serve, command, target)
    changed, *_ = ids(target, busiest(target))
    tagged = [key for key, call in expected_calls(sandbox.account, LONG_AGO).items() if call["tags"]]
    untagged = next(key for key in tagged if key != changed)
    target.execute(
        f"UPDATE calls SET talk_duration = 12345, campaign_name = 'other' WHERE id = {changed}",
        f"DELETE FROM calls__tags WHERE _dlt_root_id IN (SELECT _dlt_id FROM calls WHERE id = {untagged})",
    )
    verified(command, environment, code=0)
    document = verified(command, environment, "--deep", code=1)
    columns = {name: count for day in document["resources"][0]["days"] for name, count in day["columns"].items()}
    assert columns == {"talk_duration": 1, "campaign_name": 1, "tags": 1}
    assert sum(day["changed"] for day in document["resources"][0]["days"]) == 2
    verified(command, environment, "--deep", "--repair", code=0)
    assert differences(target.calls(), expected_calls(sandbox.account, LONG_AGO)) == []


def test_call_that_the_api_dropped_is_kept_until_it_is_to_be_deleted(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, target)
    before, day = len(target.calls()), busiest(target)
    dropped = ids(target, day, 2)
    for call_id in dropped:
        sandbox.account.remove(call_id)
    for words in ([], ["--repair"], ["--deep", "--repair"]):
        document = verified(command, environment, *words, code=1)
        assert found(document, "extra") == {str(day): [2]}
        assert sorted(document["resources"][0]["days"][0]["keys"]) == dropped
        assert len(target.calls()) == before
    document = verified(command, environment, "--delete-extra", code=0)
    assert document["resources"][0]["deleted"] == 2
    assert differences(target.calls(), expected_calls(sandbox.account, LONG_AGO)) == []
    orphans = "SELECT count(*) FROM calls__tags WHERE _dlt_root_id NOT IN (SELECT _dlt_id FROM calls)"
    assert target.query(orphans) == [(0,)]


@pytest.mark.expensive(4)
def test_days_that_the_api_has_no_rows_of_are_never_deleted(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    """Nor is anything of the day after: the limit of what the vendor keeps may be in it."""
    sandbox, environment = loaded(serve, command, warehouse, 30)
    day = FIRST_DAY + timedelta(days=1)
    gone, after = ids(warehouse, day), ids(warehouse, day + timedelta(days=1), 1)
    assert gone
    assert after
    for call_id in [*gone, *after]:
        sandbox.account.remove(call_id)
    before = len(warehouse.calls())
    document = verified(command, environment, "--repair", "--delete-extra", code=1)
    expected = {str(day): [0, len(gone)], str(day + timedelta(days=1)): [len(ids(warehouse, after_day(day))) - 1, 1]}
    assert found(document, "api", "extra") == expected
    assert document["resources"][0]["deleted"] == 0
    assert len(warehouse.calls()) == before
    since = ("--since", str(after_day(day)), "--delete-extra")
    assert verified(command, environment, *since, code=0)["resources"][0]["deleted"] == 1


def after_day(day: Any) -> Any:
    """The day after a day."""
    return day + timedelta(days=1)


@pytest.mark.expensive(4)
def test_total_that_is_one_too_high_costs_two_requests_and_hides_nothing(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    _, environment = loaded(serve, command, warehouse, 10, switches=Switches(total_extra=1))
    document = verified(command, environment, code=0)
    assert document["resources"][0]["windows"] == 2
    assert document["resources"][0]["requests"] == 6, "each window is counted, then read up to its announced end"
    day = busiest(warehouse)
    delete(warehouse, ids(warehouse, day, 1))
    assert found(verified(command, environment, code=1), "missing") == {str(day): [1]}


@pytest.mark.expensive(10)
@pytest.mark.parametrize("bounds", ["[]", "[)", "(]", "()"])
@pytest.mark.parametrize("timezone", ["Europe/Moscow", "America/New_York"])
def test_calls_at_midnight_are_counted_once_whatever_the_bounds_include(
    serve: Serve, command: Command, warehouse: Warehouse, bounds: str, timezone: str
) -> None:
    account = recent_account(3, first_day=FIRST_DAY, timezone=timezone)
    for moment in (days_ago(3), days_ago(3) + timedelta(seconds=1), days_ago(2) - timedelta(seconds=1)):
        account.upload(moment)
    environment = access_to(serve(account, Switches(bounds=bounds)), SOURCES__COMAGIC__WINDOW_DAYS="1")
    environment["SOURCES__COMAGIC__START_DATE"] = FIRST_DAY.isoformat()
    assert command(**environment).code == 0
    document = verified(command, environment, code=0)
    assert document["resources"][0]["api"] == document["resources"][0]["destination"]
    if bounds == "[]":
        assert document["resources"][0]["requests"] == document["resources"][0]["windows"], "nothing was read"
    delete(warehouse, ids(warehouse, (days_ago(3)).date(), 1)[:1])
    assert found(verified(command, environment, code=1), "missing") == {str(days_ago(3).date()): [1]}


@pytest.mark.expensive(3)
def test_repair_is_not_started_beside_a_load(serve: Serve, command: Command, place: Path) -> None:
    sandbox, environment = loaded(serve, command, Warehouse(place), 3)
    before = sandbox.requests
    with hold_file(place / "comagic_pipeline.duckdb.lock", lambda: False):
        for option in ("--repair", "--delete-extra"):
            result = command("verify", option, **environment)
            assert result.code == 75, result.err
            assert "Another run is active" in result.err
    assert sandbox.requests == before


@pytest.mark.expensive(3)
def test_result_is_printed_although_a_load_keeps_it_from_being_noted(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = loaded(serve, command, Warehouse(place), 3)
    monkeypatch.setattr("comagic.load.verify.NOTE_MINUTES", 0.0)
    with hold_file(place / "comagic_pipeline.duckdb.lock", lambda: False):
        assert verified(command, environment, code=0)["noted"] is False
    assert verified(command, environment, code=0)["noted"] is True
    assert Warehouse(place).query("SELECT count(*) FROM verifications") == [(1,)]


@pytest.mark.expensive(4)
def test_exhausted_quota_ends_with_75_and_what_was_found(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    switches = Switches()
    sandbox, environment = loaded(serve, command, warehouse, 40, switches=switches)
    delete(warehouse, ids(warehouse, FIRST_DAY, 1))
    environment["SOURCES__COMAGIC__WINDOW_DAYS"] = "1"
    switches.day_limit = sandbox.requests + 5
    document = verified(command, environment, code=75)
    assert "quota" in document["error"]
    assert found(document, "missing") == {str(FIRST_DAY): [1]}
    switches.day_limit = 1_000_000
    assert "stopped before its end" in command("status", **environment).out


@pytest.mark.expensive(5)
def test_each_client_of_an_agency_is_verified_and_repaired(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    switches = Switches(agency=True)
    sandbox, environment = loaded(serve, command, warehouse, 10, switches=switches, SOURCES__COMAGIC__USER_IDS="all")
    call_id = ids(warehouse, busiest(warehouse), 1)[0]
    warehouse.execute(f"DELETE FROM calls WHERE id = {call_id} AND user_id = 10020")
    document = verified(command, environment, "--deep", code=1)
    assert [(one["user_id"], one["agrees"]) for one in document["resources"]] == [(10_010, True), (10_020, False)]
    before = sandbox.calls["get.calls_report"]
    document = verified(command, environment, "--repair", code=0)
    assert sandbox.calls["get.calls_report"] == before + 2 * 2 + 1 + 1 + 1, "counts, a page, a load, and again"
    assert "last verified" in command("status", **environment).out


@pytest.mark.expensive(3)
def test_dataset_of_another_account_is_refused(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    _, environment = loaded(serve, command, warehouse, 3)
    other = serve(recent_account(3, seed=2, first_day=FIRST_DAY))
    result = command("verify", **{**environment, "SOURCES__COMAGIC__BASE_URL": other.base_url})
    assert result.code == 2
    assert "the dataset has the data of account" in result.err


@pytest.mark.expensive(4)
def test_what_cannot_be_verified_is_named_with_the_reason(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    assert command("verify", **access_to(serve(recent_account(1)))).code == 1, "nothing was loaded"
    switches = Switches()
    _, environment = loaded(serve, command, warehouse, 3, switches=switches, SOURCES__COMAGIC__RESOURCES="calls,tags")
    document = verified(command, environment, code=0)
    assert [one["resource"] for one in document["not_verified"]] == ["tags"]
    result = command("verify", "--resource", "tags", **environment)
    assert (result.code, "each load reads whole" in result.err) == (2, True), result.err
    result = command("verify", "--resource", "chats", **environment)
    assert (result.code, "never loaded" in result.err) == (2, True), result.err
    switches.shapes["get.calls_report"] = "no_total"
    document = verified(command, environment, code=1)
    assert "--deep" in document["resources"][0]["error"]
    verified(command, environment, "--deep", code=0)


@pytest.mark.expensive(4)
def test_period_that_is_asked_for_is_compared_although_it_was_never_loaded(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, warehouse, 10)
    with_more = {**environment, "SOURCES__COMAGIC__START_DATE": FIRST_DAY.isoformat()}
    uploaded = sandbox.account.upload(days_ago(DAYS + 2))
    verified(command, with_more, code=0)
    words = ("--since", str(days_ago(DAYS + 3).date()))
    document = verified(command, with_more, *words, code=1)
    assert found(document, "missing", "keys") == {str(days_ago(DAYS + 2).date()): [1, [uploaded]]}
    verified(command, with_more, *words, "--repair", code=0)
    assert uploaded in warehouse.calls()


@pytest.mark.expensive(4)
def test_key_that_is_there_twice_is_found(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    _, environment = loaded(serve, command, warehouse, 10)
    call_id = ids(warehouse, busiest(warehouse), 1)[0]
    warehouse.execute(f"INSERT INTO calls SELECT * FROM calls WHERE id = {call_id}")
    document = verified(command, environment, code=1)
    assert list(found(document, "doubled", "extra", "keys").values()) == [[1, 0, [call_id]]]


@pytest.mark.expensive(4)
def test_window_with_many_rows_is_compared_in_parts(
    serve: Serve, command: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = loaded(serve, command, warehouse, 100)
    for name in ("ROWS_IN_MEMORY", "KEYS_IN_MEMORY", "MAX_LIMIT"):
        monkeypatch.setattr(f"comagic.load.verified_report.{name}", 60)
    day = busiest(warehouse)
    delete(warehouse, ids(warehouse, day, 5))
    for words in ((), ("--deep",)):
        assert found(verified(command, environment, *words, code=1), "missing") == {str(day): [5]}


@pytest.mark.expensive(3)
def test_year_takes_a_request_for_each_window(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(1, first_day=TODAY - timedelta(days=364)))
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=str(TODAY - timedelta(days=364)))
    environment["SOURCES__COMAGIC__WINDOW_DAYS"] = "89"
    assert command(**environment).code == 0
    before = sandbox.requests
    yesterday = str(TODAY - timedelta(days=1))
    verified(command, {**environment, "SOURCES__COMAGIC__WINDOW_DAYS": "7"}, "--until", yesterday, code=0)
    assert sandbox.requests - before == 52 + 1, "a request for each window, and one for the account"


UNDOCUMENTED = {
    "newNumber": 1.5,
    "newObject": {"inner": 7, "deep": {"flag": True}},
    "newList": [{"a": 1, "b": "2026-01-01 00:00:00"}, {"a": 2}],
    "newScalars": ["x", "y"],
    "newTime": "2026-01-01T00:00:00",
}
ODD = {
    "talk_duration": "12",
    "total_duration": "long",
    "is_lost": 1,
    "sale_cost": "1e3",
    "tags": {"tag_id": "5", "tag_name": 7},
    "employees": ["stray", {"employee_id": "no number"}],
    "call_records": "single",
    "finish_time": "not a time",
}


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("warehouse", marks=pytest.mark.expensive(5)),
        pytest.param("warehouse_in_postgres", marks=pytest.mark.expensive(5)),
        pytest.param("warehouse_in_bigquery", marks=pytest.mark.expensive(30)),
    ],
    indirect=True,
)
def test_values_that_do_not_fit_and_unknown_keys_are_no_differences(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    switches = Switches(undocumented=UNDOCUMENTED, values={"get.calls_report": ODD})
    _, environment = loaded(serve, command, target, 5, switches=switches)
    verified(command, environment, "--deep", code=0)
    switches.undocumented = {}
    verified(command, environment, "--deep", code=0)
    switches.undocumented = {"newNumber": 2.5}
    document = verified(command, environment, "--deep", code=1)
    assert {name for day in document["resources"][0]["days"] for name in day["columns"]} == {"new_number"}
    switches.values = {"get.calls_report": {**ODD, "total_duration": 3}}
    document = verified(command, environment, "--deep", code=1)
    assert {name for day in document["resources"][0]["days"] for name in day["columns"]} == {
        "new_number",
        "total_duration",
        "total_duration__v_text",
    }


@pytest.mark.expensive(5)
def test_table_and_column_that_were_dropped_come_back_by_repair(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, warehouse, 5)
    warehouse.execute("DROP TABLE calls__tags", "ALTER TABLE calls DROP COLUMN campaign_name")
    verified(command, environment, code=0)
    document = verified(command, environment, "--deep", code=1)
    assert {name for day in document["resources"][0]["days"] for name in day["columns"]} == {"campaign_name", "tags"}
    verified(command, environment, "--deep", "--repair", code=0)
    assert differences(warehouse.calls(), expected_calls(sandbox.account, LONG_AGO)) == []
    warehouse.execute("DROP TABLE verifications")
    assert verified(command, environment, code=0)["noted"] is True


@pytest.mark.expensive(5)
def test_loads_go_on_after_a_verification_and_status_keeps_it(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, warehouse, 5)
    verified(command, environment, code=0)
    sandbox.switches.undocumented = {"new": 1}
    sandbox.account.upload(days_ago(2))
    assert command(**environment).code == 0
    assert len(warehouse.calls()) == len(expected_calls(sandbox.account, LONG_AGO))
    assert "last verified" in command("status", **environment).out
    verified(command, environment, "--deep", "--since", str(days_ago(2).date()), code=0)
    assert warehouse.query("SELECT count(*) FROM verifications") == [(2,)]


@pytest.mark.expensive(4)
def test_row_that_is_missing_in_one_response_only_is_not_deleted(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = loaded(serve, command, warehouse, 10)
    day = busiest(warehouse)
    lost, dropped = ids(warehouse, day, 2)
    sandbox.account.remove(dropped)
    readings = 0

    def lose_once(response: dict[str, Any]) -> dict[str, Any]:
        nonlocal readings
        rows = response["result"]["data"]
        if isinstance(rows, list) and any(row.get("id") == lost for row in rows[:-1]):
            readings += 1
            if readings == 1:
                response["result"]["data"] = [row for row in rows if row["id"] != lost]
                response["result"]["metadata"]["total_items"] -= 1
        return response

    sandbox.alter_answer = lose_once
    document = verified(command, environment, "--delete-extra", code=0)
    assert readings > 1
    assert document["resources"][0]["deleted"] == 1
    assert lost in warehouse.calls()


@pytest.mark.expensive(5)
def test_error_of_one_client_does_not_stop_the_others(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    switches = Switches(agency=True)
    _, environment = loaded(serve, command, warehouse, 3, switches=switches, SOURCES__COMAGIC__USER_IDS="all")
    switches.client_errors = {10_010: "account_inactive"}
    document = verified(command, environment, code=1)
    assert [(one["user_id"], one["agrees"]) for one in document["resources"]] == [(10_010, False), (10_020, True)]


@pytest.mark.expensive(5)
def test_many_days_come_back_in_few_requests(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox, environment = loaded(serve, command, warehouse, 10)
    delete(warehouse, [*warehouse.calls()])
    before = sandbox.calls["get.calls_report"]
    document = verified(command, environment, "--repair", code=0)
    assert len(document["resources"][0]["repaired"]) > 5
    assert differences(warehouse.calls(), expected_calls(sandbox.account, LONG_AGO)) == []
    assert sandbox.calls["get.calls_report"] - before <= 2 * 4, "counts, ids, loads, ids; for each window"
