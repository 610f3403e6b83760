"""Updates the descriptions of existing tables and columns; dlt writes them only when it creates one.

They come from dlt's schema in the destination, as the last load left it: load first, with the new catalog.
"""

from typing import Any

import dlt
from dlt.common.schema import Schema

from ..exceptions import ComagicError
from .destinations import BIGQUERY, AnyDestination, is_missing_file

Descriptions = dict[str, tuple[str, dict[str, str]]]
"""By table: its own description, and those of its columns."""

COMMENTS = {
    "duckdb": (
        "SELECT comment FROM duckdb_tables() WHERE schema_name = %s AND table_name = %s",
        "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = %s AND table_name = %s",
    ),
    "postgres": (
        """
SELECT obj_description(c.oid, 'pg_class')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p')
""",
        """
SELECT a.attname, col_description(c.oid, a.attnum)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
""",
    ),
}
"""Queries for the comment on a table, and for those on its columns, by sqlglot's name of the SQL."""


def update_descriptions(destination: AnyDestination, dataset_name: str) -> list[str]:
    """Updates the descriptions of a dataset's tables and their columns, in BigQuery, DuckDB and PostgreSQL.

    Args:
        destination: the destination.
        dataset_name: the dataset.

    Returns:
        The names of the tables whose descriptions changed.

    Raises:
        ComagicError: nothing is loaded yet, or the destination has no descriptions.
    """
    missing = ComagicError("Nothing has been loaded yet, so there is nothing to describe.")
    if is_missing_file(destination, dataset_name):
        raise missing
    dataset = dlt.dataset(destination, dataset_name)
    with dataset.sql_client as client:
        if not client.has_dataset():
            raise missing
        known = described_tables(dataset.schema)
        if destination.destination_type == BIGQUERY:
            return [name for name, texts in known.items() if _describe_in_bigquery(client, name, *texts)]
        dialect = str(client.capabilities.sqlglot_dialect)
        if dialect in COMMENTS:
            return [name for name, texts in known.items() if _comment(client, dialect, name, *texts)]
    raise ComagicError(f"describe works for bigquery, duckdb and postgres, not for {destination.destination_name}.")


def described_tables(schema: Schema) -> Descriptions:
    """The descriptions in a dlt schema."""
    return {
        str(table["name"]): (
            table.get("description") or "",
            {
                name: str(column["description"])
                for name, column in table["columns"].items()
                if column.get("description")
            },
        )
        for table in schema.data_tables()
    }


def _describe_in_bigquery(client: Any, name: str, table_text: str, column_texts: dict[str, str]) -> bool:
    """One request for the table and all columns: BigQuery allows five changes of a table in ten seconds."""
    from google.api_core.exceptions import NotFound
    from google.cloud.bigquery import SchemaField

    google = client.native_connection
    try:
        table = google.get_table(f"{client.fully_qualified_dataset_name(quote=False)}.{name}")
    except NotFound:  # a list that has never had an element
        return False
    before = (table.description, list(table.schema))
    table.description = table_text
    table.schema = [
        SchemaField.from_api_repr({**field.to_api_repr(), "description": column_texts[field.name]})
        if field.name in column_texts
        else field
        for field in table.schema
    ]
    if (table.description, list(table.schema)) == before:
        return False
    google.update_table(table, ["description", "schema"])
    return True


def _comment(client: Any, dialect: str, name: str, table_text: str, column_texts: dict[str, str]) -> bool:
    """Writes the comments that have changed, where tables have comments."""
    table_query, columns_query = COMMENTS[dialect]
    own = client.execute_sql(table_query, client.dataset_name, name)
    if not own:  # a list that has never had an element
        return False
    comments = dict(client.execute_sql(columns_query, client.dataset_name, name) or [])
    table = client.make_qualified_table_name(name)
    changes = [] if own[0][0] == table_text else [f"COMMENT ON TABLE {table} IS {literal(table_text)}"]
    for column, text in column_texts.items():
        if column in comments and comments[column] != text:
            changes.append(f"COMMENT ON COLUMN {table}.{client.escape_column_name(column)} IS {literal(text)}")
    client.execute_many(changes)
    return bool(changes)


def literal(text: str) -> str:
    """A text as standard SQL writes it."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
