"""Changes a table of a dataset as dlt's schema changes; each change can be interrupted anywhere, and started again."""

from datetime import timedelta
from typing import Any

from dlt import Schema

from ..catalog import PARTITION_DATE
from ..extract.manifest import MAX_DAYS
from .destinations import AnyDestination, open_client

COPY = "CREATE TABLE {copy} AS {rows}"
DAYS = "SELECT MIN(partition_date), MAX(partition_date) FROM {table}"
FILL_FROM = "INSERT INTO {table} ({columns}) SELECT {columns} FROM {copy}"
OF_DAYS = " WHERE partition_date BETWEEN DATE '{first}' AND DATE '{last}'"


def update_table(destination: AnyDestination, dataset_name: str, schema: Schema, table: Any) -> None:
    """Updates a table in the destination, and stores the schema there."""
    schema.update_table(table)
    schema._bump_version()
    with open_client(destination, dataset_name, schema) as client:
        client.update_stored_schema(only_tables=[table["name"]])


def copy_of(table: str) -> str:
    """Name of the copy from which a table is filled again."""
    return f"{table}__copy"


def recreate_table(destination: AnyDestination, dataset_name: str, schema: Schema, table: Any, rows: str) -> None:
    """Creates a table again, as dlt's schema has it, and fills it from a copy, in parts of so many days.

    Args:
        destination: the destination, BigQuery.
        dataset_name: the dataset.
        schema: dlt's schema; it is updated here and not stored.
        table: hints of the table.
        rows: a query for its rows; the copy is made of them, unless an interrupted run has left one.
    """
    schema.update_table(table)
    copy_name = copy_of(table["name"])
    with open_client(destination, dataset_name, schema) as client:
        sql, named = client.sql_client, client.sql_client.make_qualified_table_name
        name, copy = named(table["name"]), named(copy_name)
        _, columns = client.get_storage_table(copy_name)
        if not columns:
            sql.execute_sql(COPY.format(copy=copy, rows=rows))
            _, columns = client.get_storage_table(copy_name)
        sql.execute_sql(f"DROP TABLE IF EXISTS {name}")
        sql.execute_many(client._build_schema_update_sql([(table["name"], {})])[0])  # and stores no schema
        own = [column for key, column in columns.items() if key not in schema.tables[table["name"]]["columns"]]
        for column in own:  # of the user, which dlt does not know
            sql.execute_sql(f"ALTER TABLE {name} {client._make_add_column_sql([column])[0]}")
        fill = FILL_FROM.format(table=name, columns=", ".join(map(sql.escape_column_name, columns)), copy=copy)
        if PARTITION_DATE in columns:
            ((first, last),) = sql.execute_sql(DAYS.format(table=copy)) or [(None, None)]
            while first and first <= last:  # BigQuery changes no more than 4,000 partitions at once
                day = min(first + timedelta(days=MAX_DAYS - 1), last)
                sql.execute_sql(fill + OF_DAYS.format(first=first, last=day))
                first = day + timedelta(days=1)
        else:
            sql.execute_sql(fill)
        sql.execute_sql(f"DROP TABLE {copy}")
