"""BigQuery, by dlt's destination against an emulator: the same tables as in DuckDB, and only reviewed statements."""

import os
import re
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import BigQuery, Warehouse


def test_tables_match_duckdb_through_all_changes(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account)
    ids = list(expected_calls(account, datetime.combine(TODAY - timedelta(days=10), datetime.min.time())))
    tag = {"tag_id": 2**40, "tag_name": "Перезвонить 🔥 \"сегодня\"\nутром, 'лид'; --", "tag_type": "manual"}

    def load_into_both() -> None:
        for environment in ({}, warehouse_in_bigquery.environment):
            folder = {"DLT_DATA_DIR": str(place / ("bigquery" if environment else "duckdb"))}
            result = command(**access_to(sandbox), **environment, **folder)
            assert result.code == 0, result.err
        expected = expected_calls(account, LONG_AGO)
        in_bigquery, in_duckdb = warehouse_in_bigquery.calls(), Warehouse(place).calls()
        assert differences(in_bigquery, expected) == []
        assert differences(in_bigquery, in_duckdb) == []

    load_into_both()
    account.change(ids[0], tags=[{**dict.fromkeys(("tag_user_id", "tag_user_login")), **tag}])
    account.change(ids[1], tags=[], sale_cost=0.1, sale_date="2026-03-29 02:30:00")
    account.change(ids[2], tags=None, search_query="квартира «у метро» \\ \t {json: [1]}")
    load_into_both()
    uploaded = account.upload(datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))
    shutil.rmtree(place / "bigquery")  # dlt restores its state from the destination
    requests_before = sandbox.requests
    load_into_both()
    assert uploaded in warehouse_in_bigquery.calls()
    assert sandbox.requests - requests_before <= 10, "the load on a new disk started at the beginning"


@pytest.mark.expensive
def test_new_api_field_becomes_a_column(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    sandbox = serve(recent_account(2))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0
    sandbox.switches.undocumented = {"hold_duration": 7}
    result = command(**environment)
    assert (result.code, "New column: calls.hold_duration" in result.out) == (0, True), result.err
    assert warehouse_in_bigquery.query("SELECT count(hold_duration) FROM calls") > [(0,)]


@pytest.mark.expensive
def test_second_run_without_changes_leaves_rows_unchanged_and_status_shows_their_age(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    environment = {**access_to(serve(recent_account())), **warehouse_in_bigquery.environment}
    assert "Nothing has been loaded yet" in command("status", **environment).out
    assert command(**environment).code == 0
    rows = warehouse_in_bigquery.query("SELECT * FROM calls ORDER BY id")
    assert command(**environment).code == 0
    assert rows
    assert warehouse_in_bigquery.query("SELECT * FROM calls ORDER BY id") == rows
    result = command("status", "--max-age-hours", "1", **environment)
    assert (result.code, "0.0 hours ago" in result.out) == (0, True), result.out


@pytest.mark.expensive
def test_two_datasets_of_one_project_keep_their_own_cursors(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    """Two accounts, each in its own dataset: first on one disk, then on a new one."""
    accounts = {"comagic_north": recent_account(2), "comagic_south": recent_account(3, seed=7)}
    sandboxes = {name: serve(account) for name, account in accounts.items()}
    for is_first in (True, False):
        for name, sandbox in sandboxes.items():
            requests_before = sandbox.requests
            result = command(**access_to(sandbox), **warehouse_in_bigquery.environment, DATASET_NAME=name)
            assert result.code == 0, result.err
            assert (sandbox.requests - requests_before > 6) == is_first, "the other dataset's cursor was used"
        shutil.rmtree(place / "dlt")
    for name, account in accounts.items():
        rows = warehouse_in_bigquery.client.query_and_wait(
            f"SELECT id FROM `{warehouse_in_bigquery.project}`.{name}.calls ORDER BY id"
        )
        assert [row.id for row in rows] == sorted(expected_calls(account, LONG_AGO))


def test_partitions_expire_after_the_configured_days(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    result = command(**environment, SOURCES__COMAGIC__PARTITION_EXPIRATION_DAYS="0")
    assert (result.code, "sources.comagic.partition_expiration_days" in result.err) == (2, True), result.err
    assert command(**environment, SOURCES__COMAGIC__PARTITION_EXPIRATION_DAYS="400").code == 0
    created = [sql for sql in warehouse_in_bigquery.statements() if "CREATE TABLE" in sql and ".`calls`" in sql]
    assert any("partition_expiration_days=400" in sql.replace(" ", "") for sql in created), created


def test_statements_match_the_reviewed_files(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/load/test_bigquery.py -k reviewed` rewrites the files; review the difference."""
    environment = {**access_to(serve(recent_account())), **warehouse_in_bigquery.environment}
    assert command(**environment, SOURCES__COMAGIC__RESOURCES="calls,employees").code == 0
    scripts = [sql.replace(warehouse_in_bigquery.project, "project") for sql in warehouse_in_bigquery.statements()]
    statements = split_scripts(scripts)
    tables = sorted(sql for sql in statements if re.match(r"CREATE TABLE `project`.`comagic`.`(?!_dlt)", sql))
    merges = split_scripts(without_times(sql) for sql in scripts if sql.startswith("BEGIN"))
    check_golden("bigquery_tables.sql", tables, line_end=r", (?=`\w+` [A-Z])")
    check_golden("bigquery_merge.sql", merges, line_end=r", (?=`|s\.`)| (?=WHEN )")
    assert all("description=" in sql for sql in tables)
    clustered = [(re.search(r"CLUSTER BY (`\w+`)", sql), sql) for sql in tables]
    assert all(sql.count(column[1]) > 1 for column, sql in clustered if column), "clustered by a column that is missing"
    by_table = {table_of(sql): sql for sql in tables}
    assert "PARTITION BY `partition_date`" in by_table["calls"]
    assert "CLUSTER BY `id`" in by_table["calls"]
    children = [sql for name, sql in by_table.items() if name.startswith("calls__")]
    assert len(children) == 4
    assert all("CLUSTER BY `_dlt_root_id`" in sql for sql in children)
    assert all("PARTITION BY `partition_date`" in sql for sql in children)


@pytest.mark.expensive(7)
@pytest.mark.expensive
def test_failed_load_job_is_reported_and_loses_nothing(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0

    account.change(next(iter(expected_calls(account, LONG_AGO))), sale_cost=17.5)
    cursor = "SELECT max(window_end) FROM load_windows JOIN _dlt_loads ON load_id = _dlt_load_id WHERE is_incremental"
    cursor_before = warehouse_in_bigquery.query(cursor)
    failure = {"reason": "invalid", "message": "Could not convert value to DATE"}

    def fail(_method: str, _path: str, response: Any) -> None:
        loaded = response.get("configuration", {}).get("load", {}).get("destinationTable", {}).get("tableId", "")
        if re.match(r"calls__\d", loaded):
            response["status"] = {"state": "DONE", "errorResult": failure, "errors": [failure]}

    with GoogleProxy(warehouse_in_bigquery.environment["BIGQUERY_EMULATOR_HOST"], alter=fail) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy.url})
    assert result.code == 1, result.err
    assert "The destination rejected the load: the rows of calls: " in result.err
    assert "to DATE" in result.err, "the job's own message is missing"
    assert warehouse_in_bigquery.query(cursor) == cursor_before
    result = command(**environment, SOURCES__COMAGIC__LOOKBACK_DAYS="60")
    assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def split_scripts(scripts: Iterable[str]) -> list[str]:
    """The single statements of scripts, each on one line."""
    statement = r";\s+(?=(?:CREATE|INSERT|MERGE|DELETE|TRUNCATE|DROP|ALTER|DECLARE|BEGIN|COMMIT) )"
    return [" ".join(sql.split()).rstrip("; ") for script in scripts for sql in re.split(statement, script)]


def without_times(sql: str) -> str:
    """A script without what differs in each run: days, and the number of the load package."""
    return re.sub(r"\d{10}(?=[._]\d)[._]\d+", "LOAD_ID", re.sub(r"'\d{4}-\d\d-\d\d'", "'DAY'", sql))


def table_of(sql: str) -> str:
    """The table that a statement creates or changes."""
    return sql.split("`")[5]


def check_golden(name: str, statements: list[str], line_end: str) -> None:
    """Compares statements with a reviewed file, or writes the file if UPDATE_GOLDEN is set."""
    text = "".join(re.sub(line_end, lambda end: end.group().rstrip() + "\n    ", sql) + ";\n\n" for sql in statements)
    file = ROOT / "tests" / "data" / name
    if "UPDATE_GOLDEN" in os.environ:
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")
