"""Brings descriptions to tables and columns that are there already; dlt writes them only when it makes one.

What is brought is what the last load wrote into dlt's schema in the destination: load first, with the new catalog.
"""

from typing import Any, Dict, List, Tuple

import dlt
from dlt.common.destination import Destination
from dlt.common.schema import Schema
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from ..exceptions import ComagicError
from .destinations import is_file_to_be

Descriptions = Dict[str, Tuple[str, Dict[str, str]]]
"""By table: its own description, and those of its columns."""


def bring_descriptions(destination: Destination[Any, Any], dataset_name: str) -> List[str]:
    """Describes the tables of a dataset and their columns, in BigQuery and in DuckDB.

    Args:
        destination: the destination.
        dataset_name: the dataset.

    Returns:
        The names of the tables whose descriptions changed.

    Raises:
        ComagicError: nothing was loaded yet, or the destination has no descriptions.
    """
    nothing = ComagicError("Nothing has been loaded yet, so there is nothing to describe.")
    if is_file_to_be(destination, dataset_name):
        raise nothing
    dataset = dlt.dataset(destination, dataset_name)
    with dataset.sql_client as client:
        if not client.has_dataset():
            raise nothing
        known = described_tables(dataset.schema)
        if destination.destination_type == "dlt.destinations.bigquery":
            return [name for name, of in known.items() if _describe_in_bigquery(client, name, *of)]
        if isinstance(client, DuckDbSqlClient):
            return [name for name, of in known.items() if _describe_in_duckdb(client, name, *of)]
    raise ComagicError(f"describe works for bigquery and duckdb, not for {destination.destination_name}.")


def described_tables(schema: Schema) -> Descriptions:
    """The descriptions that a dlt schema has."""
    return {
        str(table["name"]): (
            table.get("description") or "",
            {column: str(of["description"]) for column, of in table["columns"].items() if of.get("description")},
        )
        for table in schema.data_tables()
    }


def _describe_in_bigquery(client: Any, name: str, of_table: str, of_columns: Dict[str, str]) -> bool:
    """One request for the table and all columns: BigQuery allows five changes of a table in ten seconds."""
    from google.api_core.exceptions import NotFound
    from google.cloud.bigquery import SchemaField

    google = client.native_connection
    try:
        table = google.get_table(f"{client.fully_qualified_dataset_name(quote=False)}.{name}")
    except NotFound:  # a list that never had an element
        return False
    before = (table.description, list(table.schema))
    table.description = of_table
    table.schema = [
        SchemaField.from_api_repr({**field.to_api_repr(), "description": of_columns[field.name]})
        if field.name in of_columns
        else field
        for field in table.schema
    ]
    if (table.description, list(table.schema)) == before:
        return False
    google.update_table(table, ["description", "schema"])
    return True


def _describe_in_duckdb(client: Any, name: str, of_table: str, of_columns: Dict[str, str]) -> bool:
    dataset = client.dataset_name
    found = client.execute_sql(
        "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = %s AND table_name = %s", dataset, name
    )
    comments = dict(found or [])
    table = client.make_qualified_table_name(name)
    own = client.execute_sql(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = %s AND table_name = %s", dataset, name
    )
    if not own:
        return False
    changes = [] if own[0][0] == of_table else [f"COMMENT ON TABLE {table} IS {_literal(of_table)}"]
    for column, text in of_columns.items():
        if column in comments and comments[column] != text:
            changes.append(f"COMMENT ON COLUMN {table}.{client.escape_column_name(column)} IS {_literal(text)}")
    client.execute_many(changes)
    return bool(changes)


def _literal(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
