"""`describe` updates the descriptions of existing tables and columns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from comagic.catalog import reports
from comagic.extract.schema import described
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

CALLS = reports()["calls"]


@pytest.mark.parametrize("kind", ["bigquery", "duckdb", "postgres"])
def test_describe_updates_existing_tables_once(
    serve: Serve, command: Command, place: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    warehouse = Warehouse(place) if kind == "duckdb" else request.getfixturevalue(f"warehouse_in_{kind}")
    environment = {} if kind == "duckdb" else warehouse.environment
    result = command("describe", **environment)
    assert (result.code, "Nothing has been loaded yet" in result.err) == (1, True), result.err
    assert command(**access_to(serve(recent_account(3))), **environment).code == 0
    result = command("describe", **environment)
    assert (result.code, "Described accounts, calls" in result.out) == (0, True), result.err
    table, columns = READERS[kind](warehouse)
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


def duckdb_comments(warehouse: Warehouse) -> tuple[str | None, dict[str, str | None]]:
    """The comment on the table of calls, and those on its columns."""
    calls = "schema_name = 'comagic' AND table_name = 'calls'"
    with duckdb.connect(str(warehouse.file), read_only=True) as connection:
        columns = connection.execute(f"SELECT column_name, comment FROM duckdb_columns() WHERE {calls}").fetchall()
        ((table,),) = connection.execute(f"SELECT comment FROM duckdb_tables() WHERE {calls}").fetchall()
    return table, dict(columns)


def postgres_comments(warehouse: PostgreSQL) -> tuple[str | None, dict[str, str | None]]:
    """The comment on the table of calls, and those on its columns."""
    ((table,),) = warehouse.query("SELECT obj_description('comagic.calls'::regclass, 'pg_class')")
    columns = warehouse.query(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = 'comagic.calls'::regclass AND attnum > 0"
    )
    return table, dict(columns)


READERS: dict[str, Callable[[Any], tuple[str | None, dict[str, str | None]]]] = {
    "bigquery": bigquery_comments,
    "duckdb": duckdb_comments,
    "postgres": postgres_comments,
}
