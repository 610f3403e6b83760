"""The merge into BigQuery: each row once, all of a table or nothing, and only the days that were staged."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import dlt
import pytest
import sqlglot
from dlt.common.schema import Schema
from dlt.destinations.impl.bigquery.bigquery import BigQueryMergeJob
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient
from dlt.destinations.sql_jobs import SqlStagingReplaceFollowupJob
from sqlglot import exp
from tenacity import wait_none

from comagic.extract.manifest import Manifest
from comagic.load.bigquery import Client
from comagic.load.bigquery_merge import merge_script
from comagic.load.bounds import in_days_of, in_scopes, near_days
from comagic.sandbox import Switches, SyntheticAccount
from tests.support.accounts import (
    LONG_AGO,
    TODAY,
    access_to,
    differences,
    expected_calls,
    recent_account,
    resource_options,
)
from tests.support.google_proxy import GoogleProxy, still_running
from tests.support.processes import ROOT, Command, Serve
from tests.support.warehouses import BigQuery, Warehouse

EMULATOR = "BIGQUERY_EMULATOR_HOST"
SCRIPT_STARTS = "BEGIN TRANSACTION"


def scripts(warehouse: BigQuery) -> list[str]:
    """The merge scripts that the emulator has run, oldest first."""
    return [sql for sql in warehouse.statements() if sql.startswith(SCRIPT_STARTS)]


def test_daily_run_touches_only_the_days_that_it_staged(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    """Calls that changed, lost their tags or were uploaded, at the lookback's first and last day, arrive, too."""
    account = recent_account(3)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    assert command(**environment).code == 0
    calls = expected_calls(account, LONG_AGO)
    first_day = TODAY - timedelta(days=14)
    recent = sorted(key for key, call in calls.items() if call["start_time"].date() > first_day)
    for key in (recent[0], recent[-1]):
        account.change(key, tags=[], campaign_name="changed late")
    for moment in (first_day + timedelta(days=1), TODAY - timedelta(days=1)):
        account.upload(datetime.combine(moment, datetime.min.time()))
        account.upload(datetime.combine(moment, datetime.max.time()).replace(microsecond=0))
    known = len(scripts(warehouse_in_bigquery))
    assert command(**environment).code == 0
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    (script,) = scripts(warehouse_in_bigquery)[known:]
    changing = [one for one in sqlglot.parse(script, "bigquery") if isinstance(one, (exp.Merge, exp.Delete))]
    assert len(changing) == 5
    for statement in changing:
        days = [
            date.fromisoformat(literal.name)
            for between in statement.find_all(exp.Between)
            for literal in (between.args["low"].find(exp.Literal), between.args["high"].find(exp.Literal))
            if literal
        ]
        assert days, statement.sql()
        assert first_day - timedelta(days=1) <= min(days), statement.sql()
        assert max(days) <= TODAY + timedelta(days=1), statement.sql()


@pytest.mark.expensive
@pytest.mark.parametrize("timezone", ["Europe/Berlin", "America/New_York", "Asia/Vladivostok", "America/Santiago"])
def test_midnights_and_changes_of_clocks_are_as_in_duckdb(
    serve: Serve, command: Command, warehouse: Warehouse, warehouse_in_bigquery: BigQuery, timezone: str
) -> None:
    """Calls of each hour around the change, and at midnights; then late tags, and none, at those times."""
    changes = (date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5))  # New York, Berlin, Santiago
    edges = [
        datetime.combine(day, datetime.min.time()) + timedelta(hours=hours, seconds=seconds)
        for day in changes
        for hours in range(25)
        for seconds in ((0,) if 0 < hours < 24 else (-1, 0))
    ]
    account = SyntheticAccount(
        timezone=timezone, first_day=changes[0], last_day=changes[-1], calls_per_day=1, bursts=[(at, 2) for at in edges]
    )
    sandbox = serve(account)
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    no_tags: dict[str, Any] = {"tags": []}
    for _ in range(2):
        warehouse.load(sandbox, since=datetime(2026, 3, 7), until=datetime(2026, 4, 7))
        assert command("load", "--since", "2026-03-07", "--until", "2026-04-06", **environment).code == 0
        expected = expected_calls(account, LONG_AGO)
        assert len(expected) > 150
        assert differences(warehouse.calls(), expected) == []
        assert differences(warehouse_in_bigquery.calls(), expected) == []
        for number, key in enumerate(sorted(expected)):
            account.change(key, **(no_tags if number % 3 else {"campaign_name": "late"}))
        for at in edges[::7]:
            account.upload(at)


@pytest.mark.expensive
def test_rows_that_were_staged_twice_are_merged_once(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = recent_account(3)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    merge = Client.merge_staged

    def double(client: Any, manifests: Any, load_id: str) -> None:
        for staged in client.owner.staged.get(load_id, []):
            client.sql_client.execute_sql(f"INSERT INTO `{staged}` SELECT * FROM `{staged}`")
        merge(client, manifests, load_id)

    monkeypatch.setattr(Client, "merge_staged", double)
    for _ in range(2):
        result = command(*resource_options("calls", "tags", "campaign_daily_stat"), **environment)
        assert result.code == 0, result.err
        assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
        for table, key in (("tags", "id"), ("campaign_daily_stat", "row_id"), ("calls__tags", "_dlt_id")):
            assert warehouse_in_bigquery.query(f"SELECT COUNT(*) - COUNT(DISTINCT {key}) FROM {table}") == [(0,)]


@pytest.mark.expensive(5)
def test_load_job_that_could_not_be_polled_is_not_sent_again(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    """dlt would give it another id, and BigQuery would stage its rows a second time."""
    account = recent_account(3)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    environment["DESTINATION__BIGQUERY__RETRY_DEADLINE"] = "1"
    refused: list[str] = []

    def fault(_number: int, method: str, path: str) -> str:
        if method == "GET" and "/jobs/calls_" in path and len(refused) < 4:
            refused.append(path)
            return "refuse"
        return ""

    uploads: list[Any] = []

    def alter(method: str, path: str, response: Any) -> None:
        still_running(method, path, response)
        if "/upload/" in path:
            uploads.append(response["configuration"]["load"]["destinationTable"]["tableId"])

    with GoogleProxy(environment[EMULATOR], fault, alter) as proxy:
        result = command(**{**environment, EMULATOR: proxy.url})
    assert result.code == 0, result.err
    assert refused
    assert len(uploads) == len(set(uploads)), "a load job was sent twice"
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive
@pytest.mark.parametrize(
    ("message", "tries", "code"),
    [
        ("Transaction is aborted due to concurrent update against table calls.", 3, 0),
        ("Equality is not defined for arguments of type JSON", 1, 1),
    ],
)
def test_conflict_is_tried_again_and_a_refused_statement_is_not(
    serve: Serve,
    command: Command,
    warehouse_in_bigquery: BigQuery,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    tries: int,
    code: int,
) -> None:
    monkeypatch.setattr("comagic.load.bigquery.wait_random_exponential", lambda **_: wait_none())
    account = recent_account(1)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    sent: list[str] = []
    execute = BigQuerySqlClient.execute_many

    def refuse(client: Any, statements: list[str], *args: Any, **kwargs: Any) -> Any:
        if statements[0].startswith(SCRIPT_STARTS):
            sent.append(statements[0])
            if len(sent) < 3:
                raise ValueError(message)
        return execute(client, statements, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(BigQuerySqlClient, "execute_many", refuse)
        result = command(**environment)
    assert (result.code, len(sent)) == (code, tries), result.err
    if code:
        assert command("status", "--max-age-hours", "1", **environment).code == 1, "a failed load counts"
        assert command(**environment).code == 0
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive
def test_what_is_no_longer_requested_stays(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    account = recent_account(3)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    few = {**environment, "SOURCES__COMAGIC__FIELDS": "is_lost,site_id"}
    assert command(**environment).code == 0
    before = warehouse_in_bigquery.calls()
    for key in before:
        account.change(key, is_lost=not before[key]["is_lost"], tags=[])
    assert command(**few).code == 0
    after = warehouse_in_bigquery.calls()
    changed = [key for key in before if after[key]["is_lost"] != before[key]["is_lost"]]
    assert changed
    unread = [name for name in before[changed[0]] if name not in ("id", "start_time", "is_lost", "site_id")]
    assert all(after[key][name] == before[key][name] for key in changed for name in unread)


@pytest.mark.expensive
@pytest.mark.parametrize("destination", ["duckdb", "bigquery"])
def test_what_was_read_whole_and_is_gone_is_deleted_for_that_client_alone(
    serve: Serve, command: Command, place: Any, warehouse_in_bigquery: BigQuery, destination: str
) -> None:
    first_day = TODAY - timedelta(days=5)
    account = recent_account(3, first_day=first_day)
    sandbox = serve(account, Switches(agency=True))
    settings = {"SOURCES__COMAGIC__USER_IDS": "all", "SOURCES__COMAGIC__START_DATE": first_day.isoformat()}
    environment = access_to(sandbox, **settings)
    warehouse: Any = warehouse_in_bigquery
    if destination == "duckdb":
        warehouse = Warehouse(place)
    else:
        environment |= warehouse.environment
    options = resource_options("employees", "campaign_daily_stat")
    assert command(*options, **environment).code == 0
    count = "SELECT user_id, COUNT(*) FROM {} GROUP BY 1 ORDER BY 1"
    employees = warehouse.query(count.format("employees"))
    costs = warehouse.query(count.format("campaign_daily_stat"))
    assert [clients for clients, _ in employees] == [clients for clients, _ in costs] == [10_010, 10_020]

    def without_costs(response: dict[str, Any]) -> dict[str, Any]:
        result = response.get("result")
        rows = result.get("data") if isinstance(result, dict) else None
        if result and isinstance(rows, list) and rows and "cost_sum" in rows[0]:
            return {**response, "result": {**result, "data": [], "metadata": {**result["metadata"], "total_items": 0}}}
        return response

    account.dictionaries["employees"].clear()
    sandbox.alter_answer = without_costs
    assert command(*options, **{**environment, "SOURCES__COMAGIC__USER_IDS": "[10010]"}).code == 0
    assert warehouse.query(count.format("employees")) == employees[1:]
    assert warehouse.query(count.format("campaign_daily_stat")) == costs[1:]
    for child in ("employees__groups", "campaign_daily_stat__communications"):
        table = child.partition("__")[0]
        orphans = f"FROM {child} AS c LEFT JOIN {table} AS p ON p._dlt_id = c._dlt_root_id WHERE p._dlt_id IS NULL"
        assert warehouse.query(f"SELECT COUNT(*) {orphans}") == [(0,)], child


@pytest.mark.expensive
def test_unchanged_dictionaries_are_not_written(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(0.01)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    options = resource_options("tags", "employees")
    assert command(*options, **environment).code == 0
    known = len(scripts(warehouse_in_bigquery))
    assert command(*options, **environment).code == 0
    assert scripts(warehouse_in_bigquery)[known:] == []
    assert command("status", "--max-age-hours", "1", *options, **environment).code == 0
    account.dictionaries["tags"].pop()
    assert command(*options, **environment).code == 0
    (script,) = scripts(warehouse_in_bigquery)[known:]
    assert re.findall(r"TRUNCATE TABLE \S+\.`(\w+)`", script) == ["tags"]
    assert warehouse_in_bigquery.query("SELECT COUNT(*) FROM tags") == [(len(account.dictionaries["tags"]),)]


def test_conditions_name_each_unbroken_run_of_days_and_each_scope() -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 3, 31)]
    assert near_days(days, "d.") == (
        "(d.partition_date BETWEEN DATE '2025-12-31' AND DATE '2026-01-03' "
        "OR d.partition_date BETWEEN DATE '2026-03-30' AND DATE '2026-04-01')"
    )
    assert near_days([]) == ""
    rare = [date(2020, 1, 1) + timedelta(days=5 * number) for number in range(400)]
    condition = near_days(rare)
    assert condition.count(" OR ") < 20, "a query in BigQuery has 1 MB at most"
    periods = [(low, high) for low, high in re.findall(r"'([\d-]+)' AND DATE '([\d-]+)'", condition)]
    assert all(any(low <= f"{day}" <= high for low, high in periods) for day in rare)
    manifest = Manifest({})
    for site in (7, 8):
        for first in (date(2026, 1, 1), date(2026, 1, 8)):
            manifest.add_scope({"user_id": 1, "site_id": site}, first, first + timedelta(days=6))
    assert in_scopes(manifest.scopes) == (
        "((user_id = 1 AND partition_date BETWEEN DATE '2026-01-01' AND DATE '2026-01-14' AND site_id IN (7, 8)))"
    )
    assert in_days_of(manifest.scopes) == "(partition_date BETWEEN DATE '2026-01-01' AND DATE '2026-01-14')"
    manifest.add_scope({"user_id": 2})
    assert "(user_id IN (2))" in in_scopes(manifest.scopes)


def sample_chain(disposition: Any, **hints: Any) -> tuple[list[Any], BigQuerySqlClient]:
    """A table with one list, as dlt hands it to its merge, and a client that is not connected."""
    schema = Schema("sample")
    columns: Any = {
        "id": {"data_type": "bigint", "primary_key": True, "merge_key": True, "nullable": False},
        "name": {"data_type": "text"},
        "row_hash": {"data_type": "bigint"},
        "partition_date": {"data_type": "date"},
        "_dlt_load_id": {"data_type": "text", "nullable": False},
        "_dlt_id": {"data_type": "text", "nullable": False, "row_key": True, "unique": True},
    }
    children: Any = {
        "value": {"data_type": "text"},
        "partition_date": {"data_type": "date"},
        "_dlt_root_id": {"data_type": "text", "nullable": False, "root_key": True},
        "_dlt_parent_id": {"data_type": "text", "nullable": False, "parent_key": True},
        "_dlt_list_idx": {"data_type": "bigint", "nullable": False},
        "_dlt_id": {"data_type": "text", "nullable": False, "row_key": True, "unique": True},
    }
    for one in (columns, children):
        for name, column in one.items():
            column["name"] = name
    root: Any = {"name": "sample", "columns": columns, **disposition, **hints}
    schema.update_table(root)
    schema.update_table({"name": "sample__list", "parent": "sample", "columns": children})
    credentials: Any = None
    capabilities = dlt.destinations.bigquery().capabilities()
    client = BigQuerySqlClient("comagic", "comagic_staging", credentials, capabilities, project_id="project")
    return [{**schema.tables[name], **disposition, **hints} for name in ("sample", "sample__list")], client


UPSERT = {"write_disposition": "merge", "x-merge-strategy": "upsert", "x-merge-skip-unchanged-rows": True}
DELETE_INSERT = {"write_disposition": "merge", "x-merge-strategy": "delete-insert"}
REPLACE = {"write_disposition": "replace", "x-replace-strategy": "insert-from-staging"}


def test_dlt_still_generates_the_statements_that_these_replace() -> None:
    """A new dlt that merges in another way fails here: see whether `bigquery_merge` has to follow it."""
    generated = []
    for disposition, job in (
        (UPSERT, BigQueryMergeJob),
        (DELETE_INSERT, BigQueryMergeJob),
        (REPLACE, SqlStagingReplaceFollowupJob),
    ):
        chain, client = sample_chain(disposition)
        generated += [" ".join(sql.split()).rstrip(";") for sql in job.generate_sql(chain, client)]
    text = re.sub(r"sample_(delete|insert)_\w+", r"temporary_\1", ";\n".join(generated) + ";\n")
    assert text == (ROOT / "tests" / "data" / "dlt_merge.sql").read_text("utf-8")


@pytest.mark.parametrize("disposition", [UPSERT, DELETE_INSERT, REPLACE], ids=["upsert", "delete-insert", "replace"])
def test_statements_are_one_transaction_of_valid_sql(disposition: Any) -> None:
    chain, client = sample_chain(disposition)
    manifest = Manifest({})
    manifest.add_days([date(2026, 1, 1)])
    (text,) = merge_script([chain], {"sample": manifest}, client, "1.5")
    script = text.split(";\n")
    assert (script[0], script[-1]) == ("BEGIN TRANSACTION", "COMMIT TRANSACTION")
    for sql in script[1:-1]:
        assert sqlglot.parse_one(sql, "bigquery")
    assert all(
        "ROW_NUMBER()" in sql for sql in script if " SELECT " in sql and "staging" in sql and "DELETE" not in sql
    )


def test_table_with_unknown_hints_is_merged_by_dlts_statements_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    chain, client = sample_chain(UPSERT, **{"x-merge-source-filter": "id > 0"})
    own = BigQueryMergeJob.generate_sql(chain, client)
    (text,) = merge_script([chain], {}, client, "1.5")
    assert text.split(";\n")[1:-1] == [" ".join(sql.split()).rstrip("; ") for sql in own]
