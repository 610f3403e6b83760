"""Every report is loaded complete and typed, each row once, within the API's longest period of a request."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest

from comagic import KeyCredentials, comagic_source
from comagic.api.client import DataApiClient
from comagic.catalog import DAY, LIST, reports, resources
from comagic.extract.reader import WindowReader, WindowResult
from comagic.extract.schema import flatten
from comagic.extract.windows import plan_windows
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import (
    TODAY,
    access_to,
    days_ago,
    expected_rows,
    recent_account,
    requested,
    resource_options,
)
from tests.support.processes import Command, Serve
from tests.support.sampling import ALL_CASES
from tests.support.warehouses import DUCKDB_TYPES, Warehouse

OTHERS = {name: report for name, report in reports().items() if name != "calls" and not report.is_opt_in}
"""All reports but calls and those that have to be named, which other files are about."""


@pytest.mark.expensive
def test_every_report_is_complete_and_typed_and_a_second_load_changes_no_row(
    serve: Serve, warehouse: Warehouse
) -> None:
    """With the source as user code calls it: all reports in one run. Unsorted rows come in another order each time."""
    account = recent_account(3)
    account.upload(days_ago(9))
    base_url = serve(account, Switches(shuffled=True)).base_url

    def load() -> None:
        source = comagic_source(KeyCredentials(access_token=KEY), base_url, TODAY - timedelta(days=40))
        warehouse.pipeline.run(source.with_resources(*reports()), loader_file_format="parquet").raise_on_failed_jobs()

    load()
    check_columns(warehouse)
    before = {}
    for name, report in OTHERS.items():
        expected = expected_rows(account, report)
        assert expected, name
        found = before[name] = warehouse.rows(name, report.primary_key)
        assert [row[report.primary_key] for row in found] == [row[report.primary_key] for row in expected], name
        for row, sent in zip(found, expected, strict=True):
            moment = datetime.fromisoformat(sent[report.cursor])
            assert row["partition_date"] == moment.date()
            aware = moment.replace(tzinfo=pendulum.timezone(account.timezone))
            assert row[report.cursor] == (moment.date() if report.cursor_field.type == DAY else aware)
    texts = {row["text"] for row in before["chat_messages"]}
    assert texts == {row["text"] for row in expected_rows(account, OTHERS["chat_messages"])}
    load()
    for name, report in OTHERS.items():
        after = warehouse.rows(name, report.primary_key)
        if report.merge_key:  # its days are replaced by equal ones
            assert [without_keys(row) for row in after] == [without_keys(row) for row in before[name]], name
        else:
            assert after == before[name], name
    proven = warehouse.query("SELECT count(DISTINCT resource), sum(rows_announced - rows_received) FROM load_windows")
    assert proven == [(len(reports()), 0)]


def check_columns(warehouse: Warehouse) -> None:
    for name, report in OTHERS.items():
        declared = [field for field in flatten(requested(report)) if field.type != LIST]
        expected = {field.name: DUCKDB_TYPES[field.type] for field in (*declared, *report.computed.values())}
        assert warehouse.columns(name) == expected, name


def without_keys(row: dict[str, Any]) -> dict[str, Any]:
    """A row without dlt's own columns."""
    return {name: value for name, value in row.items() if not name.startswith("_dlt")}


@pytest.mark.expensive
def test_resources_of_the_demo_are_loaded_and_join(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comagic.cli.demo.DAYS", 3)
    joined = ("calls", "call_legs", "financial_call_legs", "visitor_sessions", "chats", "chat_messages", "goals")
    names = resources() if ALL_CASES else (*joined, "communications", "chat_channels", "employees", "campaigns")
    result = command("--demo", *resource_options(*names))
    assert result.code == 0, result.err
    assert "New column" not in result.out, "the sandbox sends only documented fields"
    with duckdb.connect(str(place / "comagic_demo.duckdb"), read_only=True) as connection:
        connection.execute("SET search_path = 'comagic'")
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert set(names) - {"uploaded_calls"} <= tables, "nothing was uploaded into the demo's account"
        for query in (
            "SELECT call_session_id FROM call_legs WHERE call_session_id NOT IN (SELECT id FROM calls)",
            "SELECT leg_id FROM financial_call_legs WHERE leg_id NOT IN (SELECT id FROM call_legs)",
            "SELECT visitor_session_id FROM calls WHERE visitor_session_id NOT IN (SELECT id FROM visitor_sessions)",
            "SELECT chat_id FROM chat_messages WHERE chat_id NOT IN (SELECT id FROM chats)",
            "SELECT communication_id FROM goals WHERE communication_id NOT IN (SELECT id FROM communications)",
            "SELECT chat_channel_id FROM chats WHERE chat_channel_id NOT IN (SELECT id FROM chat_channels)",
            "SELECT employee_id FROM call_legs WHERE employee_id NOT IN (SELECT id FROM employees)",
            "SELECT campaign_id FROM communications WHERE campaign_id NOT IN (SELECT id FROM campaigns)",
        ):
            table = query.split()[3]
            assert connection.execute(f"SELECT count(*) > 0 FROM {table}").fetchone() == (True,), table
            # Calls arrive in the demo's account during the load, so a few may be in only one of two reports.
            assert len(connection.execute(query).fetchall()) <= 3, query


def test_report_that_cannot_be_sorted_is_read_in_windows_of_one_page(serve: Serve) -> None:
    """The API documents no order, so a second page could hold anything: the sandbox shuffles each response."""
    report = reports()["visitor_sessions"]
    assert not report.cursor_field.sort
    first = datetime(2026, 3, 2)
    account = SyntheticAccount(first_day=first.date(), last_day=(first + timedelta(days=6)).date(), calls_per_day=1_900)
    client = DataApiClient(KeyCredentials(access_token=KEY), serve(account, Switches(shuffled=True)).base_url)
    reader = WindowReader(client, report, [report.primary_key, report.cursor], pendulum.timezone(account.timezone))
    parts = list(reader.read(plan_windows(first, first + timedelta(days=7), 7, report.longest_period_days)))
    keys = [row[report.primary_key] for part in parts if not isinstance(part, WindowResult) for row in part]
    results = [part for part in parts if isinstance(part, WindowResult)]
    expected = [row[report.primary_key] for row in expected_rows(account, report)]
    assert len(expected) > 10_000
    assert sorted(keys) == expected
    assert len(results) > 1
    assert all(result.requests == 1 and not result.difference for result in results if result.loaded)


def test_messages_are_requested_by_30_days_and_other_reports_by_90(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    account = recent_account(0.5, first_day=TODAY - timedelta(days=100))
    start = (TODAY - timedelta(days=100)).isoformat()
    environment = access_to(serve(account), SOURCES__COMAGIC__WINDOW_DAYS="90", SOURCES__COMAGIC__START_DATE=start)
    result = command(*resource_options("chat_messages", "chats"), **environment)
    assert result.code == 0, result.err
    days = "SELECT max(window_end - window_start) <= INTERVAL {} DAY FROM load_windows WHERE resource = '{}'"
    assert warehouse.query(days.format(30, "chat_messages")) == [(True,)]
    assert warehouse.query(days.format(31, "chats")) == [(False,)]
    expected = [row["id"] for row in expected_rows(account, OTHERS["chat_messages"])]
    assert [row["id"] for row in warehouse.rows("chat_messages")] == expected


def test_reports_without_rows_are_loaded_and_a_missing_component_is_reported(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox = serve(recent_account(0), Switches(errors={"get.goals_report": "method_component_disabled"}))
    result = command(*resource_options("reports"), **access_to(sandbox))
    assert result.code == 1
    assert "Not loaded: goals. " in result.out
    assert "The account lacks the component" in result.out
    for name in OTHERS.keys() - {"goals"}:
        assert f"{name}: " in result.out
    optional = {"SOURCES__COMAGIC__OPTIONAL_RESOURCES": "goals"}
    result = command(*resource_options("goals", "chats"), **access_to(sandbox), **optional)
    assert (result.code, "Skipped: goals. " in result.out) == (0, True), result.err
