"""`verify` finds what the destination lacks, or has otherwise, and nothing where it has everything."""

import json
from datetime import timedelta
from typing import Any

import pytest

from comagic.catalog import reports
from comagic.load.verified_report import why_not
from comagic.sandbox import SandboxServer
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
from tests.support.warehouses import Warehouse

VERIFIABLE = [name for name, report in reports().items() if not why_not(report)]
WAREHOUSES = [
    "warehouse",
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
        "warehouse",
        pytest.param("warehouse_in_postgres", marks=pytest.mark.expensive(10)),
        pytest.param("warehouse_in_bigquery", marks=pytest.mark.expensive(90)),
    ],
    indirect=True,
)
def test_untouched_destination_agrees_in_all_values_of_all_reports(
    serve: Serve, command: Command, target: Warehouse
) -> None:
    account = recent_account(5, first_day=FIRST_DAY)
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
    result = command(*resource_options(*VERIFIABLE), **environment)
    assert result.code == 0, result.err
    for words in ((), ("--deep",)):
        document = verified(command, environment, *words, code=0)
        assert [one["resource"] for one in document["resources"]] == VERIFIABLE
        assert all(one["api"] == one["destination"] > 0 for one in document["resources"]), document


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
        f"UPDATE calls SET talk_duration = talk_duration + 1, campaign_name = NULL WHERE id = {changed}",
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
        assert found(document, "extra", "keys") == {str(day): [2, dropped]}
        assert len(target.calls()) == before
    document = verified(command, environment, "--delete-extra", code=0)
    assert document["resources"][0]["deleted"] == 2
    assert differences(target.calls(), expected_calls(sandbox.account, LONG_AGO)) == []
    orphans = "SELECT count(*) FROM calls__tags WHERE _dlt_root_id NOT IN (SELECT _dlt_id FROM calls)"
    assert target.query(orphans) == [(0,)]
