"""The data dictionary is what the catalog says, and its questions have answers in both databases."""

from datetime import timedelta

import pytest

from comagic.catalog import LIST, resources
from comagic.catalog.__main__ import QUESTIONS, data_dictionary
from tests.conftest import ROOT, TODAY, BigQuery, Command, Serve, Warehouse, access_to, recent_account

PAGE = (ROOT / "comagic" / "catalog" / "README.md").read_text("utf-8")


def test_the_page_is_the_catalog() -> None:
    """`python -m comagic.catalog > comagic/catalog/README.md` writes it anew."""
    assert data_dictionary() == PAGE


def test_every_table_and_column_is_on_the_page() -> None:
    for name, resource in resources().items():
        section = PAGE.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for of in resource.fields.values():
            assert of.type in (LIST, "object") or f"| `{of.name}`" in section, f"{name}.{of.name}"
            assert of.type != LIST or f"\n### {name}__{of.name}\n" in PAGE


def test_all_resources_load_into_both_databases_and_the_questions_have_the_same_answers(
    serve: Serve, command: Command, warehouse: Warehouse, warehouse_in_bigquery: BigQuery
) -> None:
    start = (TODAY - timedelta(days=6)).isoformat()
    environment = access_to(serve(recent_account(2)), SOURCES__COMAGIC__START_DATE=start, LOAD__WORKERS="1")
    for destination in ({}, warehouse_in_bigquery.environment):
        shown = command("--resource", "all", **environment, **destination)
        assert shown.code == 0, shown.err
    for name, resource in resources().items():
        table = f"SELECT {resource.primary_key} FROM {name} ORDER BY 1"
        assert warehouse_in_bigquery.query(table) == warehouse.query(table) != [], name
    for title, sql in QUESTIONS:
        assert sql in PAGE
        answer = warehouse.query(sql)
        assert answer, title
        qualified = sql.replace("comagic.", f"`{warehouse_in_bigquery.project}`.comagic.")
        found = [tuple(row.values()) for row in warehouse_in_bigquery.client.query_and_wait(qualified)]
        assert [pytest.approx(row) if isinstance(row[-1], float) else row for row in answer] == found, title
