"""The views show what the account has, in DuckDB, BigQuery and PostgreSQL alike, whatever was loaded."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from comagic.load.views.definitions import views
from comagic.load.views.dialects import DIALECTS, FUNCTIONS
from comagic.load.views.render import TYPES, Dataset, known_columns, output_columns, render
from comagic.sandbox import SyntheticAccount
from comagic.sandbox.switches import Switches
from comagic.sandbox.vocabulary import SITES
from tests.support.accounts import PSEUDONYM_KEY, access_to, recent_account, resource_options
from tests.support.eventful import FIRST, LAST, PERIOD, RESOURCES, eventful_account
from tests.support.expected_views import ExpectedViews, Row, comparable
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

VIEWS = (
    "attribution",
    "calls_daily",
    "calls_hourly",
    "employees_daily",
    "funnel",
    "missed_calls",
    "sources_daily",
    "tags_daily",
    "tracking_quality",
)
OVER_ALL_DAYS = ("funnel", "sync_runs", "tracking_quality")
"""Views that a filter of days does not make cheaper: by week, of runs, with a band from the weeks before."""


def read_view(warehouse: Warehouse, name: str) -> list[Row]:
    """Returns the rows of a view without the account's id."""
    names = [name for (name,) in described(warehouse, name)]
    return [dict(zip(names, row, strict=True)) for row in warehouse.query(f"SELECT {', '.join(names)} FROM {name}")]


def described(warehouse: Warehouse, name: str) -> list[tuple[Any, ...]]:
    return [(column,) for column in warehouse.view_columns(name) if column not in ("app_id", "user_id")]


def check(rows: list[Row], expected: list[Row]) -> None:
    """Compares rows in any order, fractions to nine digits."""
    found, wanted = sorted(comparable(rows)), sorted(comparable(expected))
    exact, others = Counter(row for row, _ in found), Counter(row for row, _ in wanted)
    assert [*(exact - others)][:2] == [*(others - exact)][:2]  # a few: pytest takes minutes to compare long lists
    for (_, fractions), (_, right) in zip(found, wanted, strict=True):
        assert fractions == pytest.approx(right, rel=1e-9)


def load(command: Command, account: SyntheticAccount, serve: Serve, **environment: str) -> None:
    result = command("load", *PERIOD, *resource_options(*RESOURCES), **access_to(serve(account)), **environment)
    assert result.code == 0, result.err
    result = command("views", **environment)
    assert (result.code, "Left out" in result.out) == (0, False), result.out + result.err


def check_all(warehouse: Warehouse, account: SyntheticAccount) -> None:
    expected = ExpectedViews(account, FIRST, LAST)
    numbers = [number for _, _, number in SITES] + [
        entry["virtual_phone_number"] for entry in account.dictionaries["virtual_numbers"]
    ]
    for name in VIEWS:
        rows = read_view(warehouse, name)
        assert rows, name
        wanted = expected.tracking_quality(numbers) if name == "tracking_quality" else getattr(expected, name)()
        check(rows, wanted)
    flat = expected.calls_flat()
    loaded = read_view(warehouse, "calls_flat")
    check([{name: str(row[name]) if name == "tags" else row[name] for name in flat[0]} for row in loaded], flat)
    ((runs, rows, outcome),) = warehouse.query("SELECT COUNT(*), SUM(rows_loaded), MAX(outcome) FROM sync_runs")
    ((noted,),) = warehouse.query("SELECT SUM(rows_loaded) FROM load_windows")
    assert (runs, rows, outcome) == (1, noted, "complete")


@pytest.mark.expensive(6)
def test_views_in_duckdb_show_what_the_account_has(serve: Serve, command: Command, place: Path) -> None:
    account = eventful_account()
    load(command, account, serve)
    check_all(Warehouse(place), account)


@pytest.mark.expensive(12)
def test_views_in_bigquery_show_what_the_account_has(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = eventful_account()
    load(command, account, serve, **warehouse_in_bigquery.environment)
    check_all(warehouse_in_bigquery, account)
    table = warehouse_in_bigquery.client.get_table(f"{warehouse_in_bigquery.project}.comagic.calls_daily")
    types = {field.name: field.field_type for field in table.schema}
    assert (types["partition_date"], types["calls"]) == ("DATE", "INTEGER")


def test_views_in_postgres_show_what_the_account_has(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    account = eventful_account()
    load(command, account, serve, **warehouse_in_postgres.environment)
    check_all(warehouse_in_postgres, account)
    comment = "SELECT obj_description('comagic.calls_daily'::regclass)"
    assert warehouse_in_postgres.query(comment) == [(views()["calls_daily"].description,)]


def test_views_whose_tables_are_missing_are_left_out_with_a_reason(serve: Serve, command: Command, place: Path) -> None:
    result = command("views")
    assert (result.code, "load first" in result.err) == (1, True), result.err
    assert command(**access_to(serve(recent_account(2)))).code == 0
    result = command("views")
    assert result.code == 0, result.err
    assert "Left out attribution: not loaded: visitor_sessions\n" in result.out
    assert "Left out funnel: not loaded: deals_history, visitor_sessions\n" in result.out
    assert result.out.count("Created ") == len(views()) - 2
    ((cost, calls),) = Warehouse(place).query("SELECT sum(cost), sum(calls) FROM sources_daily")
    assert cost is None
    assert calls > 0
    comments = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'calls_daily'"
    assert dict(Warehouse(place).query(comments)) == views()["calls_daily"].columns


def test_command_view_names_the_new_one(command: Command) -> None:
    result = command("view", "--destination", "duckdb")
    assert (result.code, "The command view is called views now." in result.err) == (2, True), result.err
    assert " view " not in command("--help").out


@pytest.mark.expensive(8)
def test_figures_without_their_columns_are_null(serve: Serve, command: Command, place: Path) -> None:
    """An account that loads neither numbers, lists nor reasons: no view fails, and none counts zero instead."""
    left_out = ["contact_phone_number", "attributes", "call_records", "finish_reason", "wait_duration", "channel"]
    environment = access_to(serve(recent_account(4)), SOURCES__COMAGIC__EXCLUDE_FIELDS=json.dumps(left_out))
    assert command("load", "--resource", "reports", "--resource", "sales_funnels", **environment).code == 0
    result = command("views")
    assert (result.code, "Left out" in result.out) == (0, False), result.out + result.err
    warehouse = Warehouse(place)
    for name in views():
        assert warehouse.query(f"SELECT * FROM {name}"), name
    empty = ["abandoned", "first", "target", "unique_callers"]
    figures = ", ".join(f"count({name})" for name in empty)
    assert warehouse.query(f"SELECT {figures}, count(missed) > 0 FROM calls_daily") == [(0, 0, 0, 0, True)]
    sql = "SELECT count(phone), count(is_working_hours), count(recovered_at), count(is_abandoned) FROM missed_calls"
    assert warehouse.query(sql) == [(0, 0, 0, 0)]


@pytest.mark.expensive(3)
def test_pseudonyms_of_numbers_still_find_the_call_that_followed(serve: Serve, command: Command, place: Path) -> None:
    environment = access_to(
        serve(eventful_account()),
        SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS='["contact_phone_number"]',
        SOURCES__COMAGIC__PSEUDONYM_KEY=PSEUDONYM_KEY,
    )
    assert command("load", *PERIOD, **environment).code == 0
    assert command("views").code == 0
    found = Warehouse(place).query("SELECT id, recovered_by FROM missed_calls ORDER BY id")
    expected = ExpectedViews(eventful_account(), FIRST, LAST).missed_calls()
    assert found == sorted((row["id"], row["recovered_by"]) for row in expected)
    ((longest, shortest),) = Warehouse(place).query("SELECT max(length(phone)), min(length(phone)) FROM missed_calls")
    assert longest == shortest == 32


@pytest.mark.expensive(4)
def test_each_client_of_an_agency_has_its_own_rows_and_zone(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(eventful_account(), Switches(agency=True))
    environment = access_to(sandbox, SOURCES__COMAGIC__USER_IDS="[10010, 10020]")
    names = resource_options("calls", "visitor_sessions", "employees")
    assert command("load", *PERIOD, *names, **environment).code == 0
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("UPDATE comagic.accounts SET timezone = 'Asia/Vladivostok', app_id = 7 WHERE id = '10020'")
    assert command("views").code == 0
    warehouse = Warehouse(place)
    own, other = (
        warehouse.query(f"SELECT * EXCLUDE (app_id, user_id) FROM calls_daily WHERE user_id = {user_id} ORDER BY ALL")
        for user_id in (10_010, 10_020)
    )
    assert own == other != []
    assert warehouse.query("SELECT DISTINCT user_id, app_id FROM attribution ORDER BY 1") == [
        (10_010, sandbox.account.app_id),
        (10_020, 7),
    ]
    local = "SELECT count(*), min(there.start_time_local - here.start_time_local) FROM missed_calls AS here "
    local += "JOIN missed_calls AS there ON there.id = here.id AND there.user_id = 10020 WHERE here.user_id = 10010"
    rows = len(ExpectedViews(eventful_account(), FIRST, LAST).missed_calls())
    assert warehouse.query(local) == [(rows, timedelta(hours=8))]


@pytest.mark.expensive(4)
def test_setting_creates_the_views_again_with_new_columns(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    """PostgreSQL does not put a column into the middle of a view, so it is dropped first."""
    sandbox = serve(recent_account(1))
    environment = access_to(sandbox, SOURCES__COMAGIC__VIEWS="true", **warehouse_in_postgres.environment)
    result = command("load", **environment, SOURCES__COMAGIC__FIELDS='["id", "start_time", "is_lost", "direction"]')
    assert (result.code, "Views: calls_daily" in result.out) == (0, True), result.out + result.err
    before = warehouse_in_postgres.view_columns("calls_flat")
    result = command("load", **environment, SOURCES__COMAGIC__FIELDS='["id", "start_time", "ext_id"]')
    assert result.code == 0, result.err
    assert set(warehouse_in_postgres.view_columns("calls_flat")) - set(before) == {"ext_id"}


@pytest.mark.expensive(4)
def test_table_of_a_views_name_is_left_alone_and_reported(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(recent_account(1))
    assert command(**access_to(sandbox)).code == 0
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("CREATE TABLE comagic.calls_daily AS SELECT 1 AS mine")
    result = command("views")
    assert (result.code, "calls_daily" in result.err, "Created" in result.out) == (1, True, True), result.err
    result = command("load", **access_to(sandbox, SOURCES__COMAGIC__VIEWS="true"))
    assert (result.code, "calls_daily was not created" in result.out) == (0, True), result.out
    assert Warehouse(place).query("SELECT mine FROM calls_daily") == [(1,)]


@pytest.mark.expensive(4)
def test_dropped_table_of_accounts_is_filled_again(serve: Serve, command: Command, place: Path) -> None:
    environment = access_to(serve(recent_account(1)))
    for _ in range(2):
        assert command(**environment).code == 0
        assert len(Warehouse(place).query("SELECT * FROM accounts")) == 1
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("DROP TABLE comagic.accounts")
    result = command("views")
    assert (result.code, "load once with this release" in result.out) == (0, True), result.out + result.err
    assert command(**environment).code == 0
    assert Warehouse(place).query("SELECT id, timezone FROM accounts") == [("account", "Europe/Moscow")]


def test_views_have_the_columns_that_their_files_declare() -> None:
    """All functions that the files use are known, too: sqlglot would leave an unknown one as it is."""
    for dialect in DIALECTS:
        for view in views().values():
            query = sqlglot.parse_one(render(view, whole_dataset(dialect)), read=dialect)
            assert isinstance(query, exp.Query)
            assert query.named_selects == list(output_columns(view, whole_dataset(dialect))), view.name
            assert not {"SETTING", "IF_LOADED", "COLUMNS_OF", "SECONDS_WAITED", *FUNCTIONS["duckdb"]}.intersection(
                call.name for call in query.find_all(exp.Anonymous)
            )


def test_queries_in_bigquerys_sql_match_the_reviewed_file() -> None:
    """`UPDATE_GOLDEN=1 pytest tests/load/test_views.py -k reviewed` rewrites the file; review the difference."""
    text = "".join(
        f"-- {name}\n{render(view, whole_dataset('bigquery'))};\n\n"
        for name, view in views().items()
        if name != "calls_flat"
    )
    file = ROOT / "tests" / "data" / "bigquery_views.sql"
    if "UPDATE_GOLDEN" in os.environ:
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


@pytest.mark.parametrize("name", [name for name in views() if name not in OVER_ALL_DAYS])
def test_a_views_day_filters_the_days_of_calls(name: str, place: Path) -> None:
    """In BigQuery it decides which partitions are read. The plan is DuckDB's, which pushes a filter as far down."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA comagic")
        connection.execute("SET disabled_optimizers = 'statistics_propagation,empty_result_pullup'")  # no rows, no scan
        for table, columns in known_columns().items():
            listed = ", ".join(f'"{column}" {TYPES.get(kind, "JSON")}' for column, kind in columns.items())
            connection.execute(f'CREATE TABLE comagic."{table}" ({listed})')
        query = f"SELECT * FROM ({render(views()[name], whole_dataset('duckdb'))}) WHERE partition_date = '2026-01-05'"
        ((_, plan),) = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()
    scans = [scan for scan in scans_of(json.loads(plan)) if scan["Table"].endswith(".calls")]
    assert any("partition_date" in str(scan.get("Filters", "")) for scan in scans), scans


def scans_of(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if "Table" in node["extra_info"]:
            yield node["extra_info"]
        yield from scans_of(node["children"])


def whole_dataset(dialect: str) -> Dataset:
    """A dataset that has every table and column."""
    settings = {"abandoned_after_seconds": 15, "attribution_days": 180, "brand_host": "comagic.ru"}
    return Dataset(dialect, known_columns(), lambda table: f"comagic.{table}", settings)


@pytest.mark.expensive(4)
def test_runs_have_their_outcome(serve: Serve, command: Command, place: Path) -> None:
    sandbox = serve(recent_account(2))
    assert command("load", *resource_options("calls", "tags"), **access_to(sandbox)).code == 0
    assert command("views").code == 0
    calls, tags = (Warehouse(place).query(f"SELECT count(*) FROM {table}")[0][0] for table in ("calls", "tags"))
    sandbox.switches.total_extra = 1
    assert command(**access_to(sandbox)).code == 0
    sandbox.switches.total_extra = 0
    sandbox.switches.errors = {"get.calls_report": "internal_error"}
    assert command(**access_to(sandbox)).code == 1
    runs = Warehouse(place).query(
        "SELECT outcome, resources, rows_announced - rows_received, requests > 0, seconds >= 0, user_id FROM sync_runs "
        "ORDER BY started_at"
    )
    assert runs[0] == ("complete", 2, 0, True, True, None)
    assert (runs[1][0], runs[1][2] > 0) == ("rows_missing", True)
    assert len(runs) == 2, "a run that has read nothing has no row"
    assert Warehouse(place).query("SELECT min_by(rows_loaded, started_at) FROM sync_runs") == [(calls + tags,)]
