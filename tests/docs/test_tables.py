"""docs/tables.md has every table and column of the catalog; its queries return the same in DuckDB and BigQuery."""

from datetime import timedelta
from typing import Any

import dlt
import pytest

from comagic import KeyCredentials, comagic_source
from comagic.catalog import LIST, resources
from comagic.load.destinations import choose_destination
from comagic.load.views import create_views
from comagic.load.views.definitions import views
from comagic.sandbox.switches import KEY
from comagic.settings import resolve_settings
from tests.support.accounts import TODAY, days_ago, recent_account
from tests.support.pages import code_blocks, read_page
from tests.support.processes import Serve
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery, Warehouse

PAGE = read_page("docs/tables.md")
QUERIED = (
    "calls",
    "campaign_daily_stat",
    "deals_history",
    "employees",
    "sales_funnels",
    "virtual_numbers",
    "visitor_sessions",
)


def test_page_has_every_table_and_column() -> None:
    for name, resource in resources().items():
        section = PAGE.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for field in resource.fields.values():
            if field.type not in (LIST, "object"):
                (line,) = [line for line in section.splitlines() if line.startswith(f"| `{field.name}`")]
                assert line.endswith(f"| {field.meaning} |")
                assert all(code in line for code in field.values), f"{name}.{field.name}"
            assert field.type != LIST or f"\n### {name}__{field.name}\n" in PAGE


@pytest.mark.expensive
def test_resources_load_and_queries_return_the_same_in_duckdb_and_bigquery(
    serve: Serve, warehouse: Warehouse, warehouse_in_bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one run of dlt for each: those in the queries and a sample of the others, all of them in `.ci/proofs`."""
    names = {*QUERIED, *sample(resources(), 10)}
    for name, value in {**warehouse_in_bigquery.environment, "LOAD__WORKERS": "1"}.items():
        monkeypatch.setenv(name, value)
    account = recent_account(8)  # enough for a row of each report in six days
    account.upload(days_ago(2))
    base_url = serve(account).base_url
    for destination in ("duckdb", "bigquery"):
        pipeline = dlt.pipeline(
            f"comagic_{destination}",
            destination=choose_destination(destination, warehouse.file.name),
            dataset_name="comagic",
        )
        source = comagic_source(KeyCredentials(access_token=KEY), base_url, TODAY - timedelta(days=6))
        pipeline.run(source.with_resources(*names)).raise_on_failed_jobs()
    for name in names:
        resource = resources()[name]
        table = f"SELECT {resource.primary_key} FROM {name} ORDER BY 1"
        assert warehouse_in_bigquery.query(table) == warehouse.query(table) != [], name
    for destination in ("duckdb", "bigquery"):
        made = create_views(choose_destination(destination, warehouse.file.name), "comagic", resolve_settings())
        assert (made.left_out, made.failed) == ({}, {})
    queries = code_blocks(PAGE, "sql")
    assert len(queries) == 12
    for sql in queries:
        rows = warehouse.query(sql)
        assert rows, sql
        if "sync_runs" in sql:  # two runs: one into each destination
            continue
        qualified = sql.replace("comagic.", f"`{warehouse_in_bigquery.project}`.comagic.")
        rows_in_bigquery = [tuple(row.values()) for row in warehouse_in_bigquery.client.query_and_wait(qualified)]
        assert [approximate(row) for row in rows] == rows_in_bigquery, sql


def approximate(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(pytest.approx(value) if isinstance(value, float) else value for value in row)


def test_page_has_every_view_and_column() -> None:
    for view in views().values():
        section = PAGE.split(f"\n### {view.name}\n")[1].split("\n### ")[0]
        assert view.description in section
        assert all(f"| `{name}` | {text} |" in section for name, text in view.columns.items())
