"""`describe` updates the descriptions of existing tables and columns."""

from pathlib import Path

import duckdb
import pytest

from comagic.catalog import reports
from comagic.extract.schema import described
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, Warehouse

CALLS = reports()["calls"]


@pytest.mark.parametrize("kind", ["bigquery", "duckdb"])
def test_describe_updates_existing_tables_once(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery, kind: str
) -> None:
    environment = warehouse_in_bigquery.environment if kind == "bigquery" else {}
    result = command("describe", **environment)
    assert (result.code, "Nothing has been loaded yet" in result.err) == (1, True), result.err
    assert command(**access_to(serve(recent_account(3))), **environment).code == 0
    result = command("describe", **environment)
    assert (result.code, "Described accounts, calls" in result.out) == (0, True), result.err
    table, columns = bigquery_comments(warehouse_in_bigquery) if kind == "bigquery" else duckdb_comments(place)
    assert table == CALLS.description
    assert all(columns.values()), "a column has no description"
    selected = [name for name in CALLS.selected if name in columns]
    assert selected
    assert {name: columns[name] for name in selected} == {name: described(CALLS.fields[name]) for name in selected}
    assert "All descriptions are up to date." in command("describe", **environment).out


def bigquery_comments(warehouse: BigQuery) -> tuple[str | None, dict[str, str | None]]:
    """The description of the table of calls, and those of its columns."""
    table = warehouse.client.get_table(f"{warehouse.project}.comagic.calls")
    return table.description, {column.name: column.description for column in table.schema}


def duckdb_comments(place: Path) -> tuple[str | None, dict[str, str | None]]:
    """The comment on the table of calls, and those on its columns."""
    calls = "schema_name = 'comagic' AND table_name = 'calls'"
    with duckdb.connect(str(Warehouse(place).file), read_only=True) as connection:
        columns = connection.execute(f"SELECT column_name, comment FROM duckdb_columns() WHERE {calls}").fetchall()
        ((table,),) = connection.execute(f"SELECT comment FROM duckdb_tables() WHERE {calls}").fetchall()
    return table, dict(columns)
