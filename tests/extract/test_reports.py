"""Every report, by one suite: complete, each row once, a second load without news, types, empty, refused, 30 days."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest

from comagic import KeyCredentials, comagic_source
from comagic.api.client import DataApiClient
from comagic.catalog import DAY, LIST, Report, reports, resources
from comagic.extract.reader import WindowReader, WindowResult, computed_key
from comagic.extract.schema import flatten
from comagic.extract.windows import plan_windows
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.reports import daily_stat, derived
from comagic.sandbox.switches import KEY
from comagic.sandbox.vocabulary import SITES
from tests.support.accounts import LONG_AGO, TODAY, access_to, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import DUCKDB_TYPES, Warehouse

OTHERS = {name: report for name, report in reports().items() if name != "calls"}
FAR = datetime(2100, 1, 1)


def rows_of(account: SyntheticAccount, report: Report) -> list[dict[str, Any]]:
    """What the account has for a report, by its key."""
    rows: Iterator[dict[str, Any]]
    if report.name == "campaign_daily_stat":
        stat = [row for site in SITES for row in daily_stat(report, site[0], account.calls(LONG_AGO, FAR, FAR))]
        rows = ({**row, "row_id": computed_key(row, report.key_of)} for row in stat)
    else:
        rows = (row for call in account.calls(LONG_AGO, FAR, FAR) for row in derived(report, call))
    return sorted(rows, key=lambda row: row[report.primary_key])


def of_resources(*names: str) -> list[str]:
    return [word for name in names for word in ("--resource", name)]


def test_every_report_is_complete_and_typed_and_a_second_load_changes_nothing(
    serve: Serve, warehouse: Warehouse
) -> None:
    """Where a report cannot be sorted, rows come in another order each time. All in one run, as in one's own code."""
    account = recent_account(3)
    base_url = serve(account, Switches(shuffled=True)).base_url

    def load() -> None:
        source = comagic_source(KeyCredentials(access_token=KEY), base_url, TODAY - timedelta(days=40))
        warehouse.pipeline.run(source.with_resources(*reports()), loader_file_format="parquet").raise_on_failed_jobs()

    load()
    check_columns(warehouse)
    before = {}
    for name, report in OTHERS.items():
        expected = rows_of(account, report)
        assert expected, name
        found = before[name] = warehouse._rows(name, report.primary_key)
        assert [row[report.primary_key] for row in found] == [row[report.primary_key] for row in expected], name
        for row, sent in zip(found, expected, strict=True):
            moment = datetime.fromisoformat(sent[report.cursor])
            assert row["partition_date"] == moment.date()
            aware = moment.replace(tzinfo=pendulum.timezone(account.timezone))
            assert row[report.cursor] == (moment.date() if report.fields[report.cursor].type == DAY else aware)
    texts = {row["text"] for row in before["chat_messages"]}
    assert texts == {row["text"] for row in rows_of(account, OTHERS["chat_messages"])}
    load()
    for name, report in OTHERS.items():
        after = warehouse._rows(name, report.primary_key)
        if report.merge_key:  # written anew, the same
            assert [without_keys(row) for row in after] == [without_keys(row) for row in before[name]], name
        else:
            assert after == before[name], name
    proven = warehouse.query(
        "SELECT count(DISTINCT resource), sum(rows_announced - rows_received), min(requests) FROM load_windows"
    )
    assert proven[0][:2] == (len(reports()), 0)


def check_columns(warehouse: Warehouse) -> None:
    for name, report in OTHERS.items():
        types = warehouse.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{name}'"
        )
        found = {column: kind for column, kind in types if not column.startswith("_dlt")}
        declared = [of for of in flatten(report.fields.values()) if of.type != LIST]
        expected = {of.name: DUCKDB_TYPES[of.type] for of in declared}
        computed = {of.name: DUCKDB_TYPES[of.type] for of in report.computed.values()}
        assert found == {**expected, **computed}, name


def test_the_demo_has_it_all_and_its_parts_agree(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comagic.cli.demo.DAYS", 3)
    shown = command("--demo", *of_resources("all"))
    assert shown.code == 0, shown.err
    assert "New column" not in shown.out, "the sandbox sends what the manual lists"
    with duckdb.connect(str(place / "comagic_demo.duckdb"), read_only=True) as connection:
        connection.execute("SET search_path = 'comagic'")
        tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert set(resources()) <= tables
        for question in (
            "SELECT call_session_id FROM call_legs WHERE call_session_id NOT IN (SELECT id FROM calls)",
            "SELECT leg_id FROM financial_call_legs WHERE leg_id NOT IN (SELECT id FROM call_legs)",
            "SELECT visitor_session_id FROM calls WHERE visitor_session_id NOT IN (SELECT id FROM visitor_sessions)",
            "SELECT chat_id FROM chat_messages WHERE chat_id NOT IN (SELECT id FROM chats)",
            "SELECT communication_id FROM goals WHERE communication_id NOT IN (SELECT id FROM communications)",
            "SELECT chat_channel_id FROM chats WHERE chat_channel_id NOT IN (SELECT id FROM chat_channels)",
            "SELECT employee_id FROM call_legs WHERE employee_id NOT IN (SELECT id FROM employees)",
            "SELECT campaign_id FROM communications WHERE campaign_id NOT IN (SELECT id FROM campaigns)",
        ):
            of = question.split()[3]
            assert connection.execute(f"SELECT count(*) > 0 FROM {of}").fetchone() == (True,), of
            # A call may have come between two reports of a load: it goes on while the demo's account is read.
            assert len(connection.execute(question).fetchall()) <= 3, question


def test_what_cannot_be_sorted_comes_in_windows_of_one_page(serve: Serve) -> None:
    """The API names no order, so a second page could hold anything: shuffled differently for each request here."""
    report = reports()["visitor_sessions"]
    assert not report.fields[report.cursor].sort
    first = datetime(2026, 3, 2)
    account = SyntheticAccount(first_day=first.date(), last_day=(first + timedelta(days=6)).date(), calls_per_day=1_900)
    client = DataApiClient(KeyCredentials(access_token=KEY), serve(account, Switches(shuffled=True)).base_url)
    reader = WindowReader(client, report, [report.primary_key, report.cursor], pendulum.timezone(account.timezone))
    parts = list(reader.read(plan_windows(first, first + timedelta(days=7), 7, report.longest_period_days)))
    keys = [row[report.primary_key] for part in parts if not isinstance(part, WindowResult) for row in part]
    results = [part for part in parts if isinstance(part, WindowResult)]
    expected = [row[report.primary_key] for row in rows_of(account, report)]
    assert len(expected) > 10_000
    assert sorted(keys) == expected
    assert len(results) > 1
    assert all(result.requests == 1 and not result.difference for result in results if result.loaded)


def test_costs_of_a_day_are_replaced_whole(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    """What a row is about may change, its banner say: the row from before must not be counted beside the new one."""
    account = recent_account(20)
    environment = access_to(serve(account))
    words = of_resources("campaign_daily_stat")
    assert command(*words, **environment).code == 0
    costs = "SELECT count(*), round(sum(cost_sum), 2), sum(calls_count) FROM campaign_daily_stat"
    before = warehouse.query(costs)
    sent = rows_of(account, OTHERS["campaign_daily_stat"])
    assert before == [(len(sent), round(sum(float(row["cost_sum"]) for row in sent), 2), sum_of(sent, "calls_count"))]
    last = max(sent, key=lambda row: (row["date"], row["calls_count"]))
    for told in last["communications"]:
        account.change(told["communication_id"], search_query="другой запрос")
    assert command(*words, **environment).code == 0
    assert warehouse.query(costs) == before
    found = [row["row_id"] for row in warehouse._rows("campaign_daily_stat", "row_id")]
    assert found == [row["row_id"] for row in rows_of(account, OTHERS["campaign_daily_stat"])]
    assert last["row_id"] not in found
    children = "SELECT count(*) FROM campaign_daily_stat__communications"
    assert warehouse.query(children) == [(sum_of(sent, "calls_count"),)]


def test_a_report_by_sites_stops_and_goes_on_with_every_site(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    """The second site's windows fail: nothing of the first counts as loaded for all, and the next load has both."""
    account = recent_account(20)
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__WINDOW_DAYS="30", SOURCES__COMAGIC__LOAD_PACKAGE_ROWS="120")
    words = of_resources("campaign_daily_stat")
    sandbox.switches.faults = dict.fromkeys(range(4, 40), "null_data")  # account, sites, first site; then none
    shown = command(*words, **environment)
    assert shown.code == 1, shown.out
    assert warehouse.query("SELECT count(*) > 0, count(DISTINCT site_id) FROM campaign_daily_stat") == [(True, 1)]
    sandbox.switches.faults = {}
    assert command(*words, **environment).code == 0
    found = [row["row_id"] for row in warehouse._rows("campaign_daily_stat", "row_id")]
    assert found == [row["row_id"] for row in rows_of(account, OTHERS["campaign_daily_stat"])]
    assert warehouse.query("SELECT count(DISTINCT site_id) FROM load_windows") == [(len(SITES),)]


def test_an_account_without_sites_has_no_daily_costs(serve: Serve, command: Command) -> None:
    account = recent_account(1)
    account.dictionaries["sites"].clear()
    shown = command(*of_resources("campaign_daily_stat"), **access_to(serve(account)))
    assert (shown.code, "(0 windows)" in shown.out) == (0, True), shown.out


def without_keys(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("_dlt")}


def sum_of(rows: list[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)


def test_messages_are_asked_for_by_30_days_and_others_by_90(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    account = recent_account(0.5, first_day=TODAY - timedelta(days=100))
    start = (TODAY - timedelta(days=100)).isoformat()
    environment = access_to(serve(account), SOURCES__COMAGIC__WINDOW_DAYS="90", SOURCES__COMAGIC__START_DATE=start)
    shown = command(*of_resources("chat_messages", "chats"), **environment)
    assert shown.code == 0, shown.err
    days = "SELECT max(window_end - window_start) <= INTERVAL {} DAY FROM load_windows WHERE resource = '{}'"
    assert warehouse.query(days.format(30, "chat_messages")) == [(True,)]
    assert warehouse.query(days.format(31, "chats")) == [(False,)]
    expected = [row["id"] for row in rows_of(account, OTHERS["chat_messages"])]
    assert [row["id"] for row in warehouse._rows("chat_messages")] == expected


def test_an_empty_account_and_a_missing_component(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(0), Switches(errors={"get.goals_report": "method_component_disabled"}))
    shown = command(*of_resources("reports"), **access_to(sandbox))
    assert shown.code == 1
    assert "Not loaded: goals." in shown.out
    for name in OTHERS.keys() - {"goals"}:
        assert f"{name}: " in shown.out
    optional = {"SOURCES__COMAGIC__OPTIONAL_RESOURCES": "goals"}
    assert command(*of_resources("goals", "chats"), **access_to(sandbox), **optional).code == 0


def test_status_judges_what_is_to_be_fresh(serve: Serve, command: Command) -> None:
    environment = access_to(serve(recent_account(1)))
    assert command(*of_resources("calls", "goals"), **environment).code == 0
    for names, code in ((("calls", "goals"), 0), (("calls",), 0), (("calls", "chats"), 1), ((), 0)):
        shown = command("status", "--max-age-hours", "1", *of_resources(*names), **environment)
        assert (shown.code, "chats: never loaded" in shown.out) == (code, bool(code)), shown.out
    assert command("status", *of_resources("chats"), **environment).code == 0, "no age was named"


def test_personal_data_is_left_out_of_every_report_that_has_it(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    shown = command(
        *of_resources("calls", "call_legs", "chats"),
        **access_to(serve(recent_account(1))),
        SOURCES__COMAGIC__EXCLUDE_FIELDS='["contact_phone_number", "call_legs/employee_full_name"]',
    )
    assert shown.code == 0, shown.err
    for name in ("calls", "call_legs"):
        assert "contact_phone_number" not in warehouse._rows(name)[0], name
    assert "employee_full_name" not in warehouse._rows("call_legs")[0]
    assert "last_answered_employee_full_name" in warehouse._rows("calls")[0]
    shown = command(**access_to(serve(recent_account(1))), SOURCES__COMAGIC__EXCLUDE_FIELDS='["leg/id"]')
    assert (shown.code, "exclude_fields" in shown.err, "leg" in shown.err) == (2, True, True), shown.err
