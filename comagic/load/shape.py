"""The shape of a dataset: which tables and columns a load expects there beyond those that dlt adds by itself.

| shape | since | what `migrate` does |
| --- | --- | --- |
| 1 | datasets without a number | |
| 2 | `load_windows` says what was rejected | adds columns of `load_windows` and fills them; drops the staging dataset |
| 3 | reports have a hash | adds `row_hash` to reports, `partition_date` to child tables, in BigQuery as partitions |
| 4 | this release | converts columns whose type has changed: phone numbers, ratings, ids; see `column_types` |

The number is a hint of the table `load_windows` in dlt's schema, which each load stores in the destination.
"""

from typing import Any

from dlt import Schema
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.json import json

from ..catalog import PARTITION_DATE, ROW_HASH, Report, reports
from ..exceptions import ConfigurationError
from ..extract.load_windows import FIELDS, SHAPE, SHAPE_HINT, TABLE
from ..extract.resources import SOURCE_NAME
from ..extract.schema import columns, partition_column
from .column_types import convert_columns
from .destinations import BIGQUERY, AnyDestination, is_missing_file, open_client
from .lease import hold_dataset, patience
from .reshape import recreate_table, update_table

FILL = """
UPDATE {load_windows}
SET loaded_up_to = window_end, rows_rejected = 0, values_not_converted = 0
WHERE loaded_up_to IS NULL
"""
"""Before shape 2 nothing was rejected, and a window was the last part of its period that was loaded."""

FILL_DAYS = """
UPDATE {table} SET partition_date = parent.partition_date
FROM {parent} AS parent WHERE parent._dlt_id = {table}._dlt_root_id
"""
DAYS_OF_PARENT = """
SELECT {own}, parent.partition_date FROM {table} AS c JOIN {parent} AS parent ON parent._dlt_id = c._dlt_root_id
"""


def stored_schema(destination: AnyDestination, dataset_name: str) -> Schema | None:
    """Returns dlt's schema as the last load stored it in the destination; None if nothing was loaded."""
    if is_missing_file(destination, dataset_name):
        return None
    with open_client(destination, dataset_name) as client:
        try:
            stored = client.get_stored_schema(SOURCE_NAME)
        except DestinationUndefinedEntity:
            return None
    return Schema.from_stored_schema(json.loads(stored.schema)) if stored else None


def check_shape(schema: Schema | None, dataset_name: str) -> None:
    """Checks that a dataset has this release's shape.

    Raises:
        ConfigurationError: an earlier or a later release loaded it; the text names the command that helps.
    """
    shape = _shape(schema)
    if shape < SHAPE:
        raise ConfigurationError(
            f"The dataset {dataset_name} was loaded by an earlier release (shape {shape}, now {SHAPE}). Bring it up to "
            "date once: comagic_pipeline.py migrate"
        )
    if shape > SHAPE:
        raise ConfigurationError(
            f"The dataset {dataset_name} was loaded by a later release (shape {shape}, here {SHAPE}): use that release."
        )


def migrate(destination: AnyDestination, dataset_name: str) -> list[str]:
    """Brings a dataset to this release's shape. Its number changes last, so an interrupted migration starts again.

    Args:
        destination: the destination.
        dataset_name: the dataset.

    Returns:
        What was done; nothing for a dataset of this shape.

    Raises:
        BusyError: a load into the dataset is active.
        ConfigurationError: nothing was loaded yet, a later release loaded the dataset, or the types of its columns have
            changed and cannot be converted in this destination.
    """
    schema = stored_schema(destination, dataset_name)
    if schema is None:
        raise ConfigurationError(f"The dataset {dataset_name} is empty: nothing to migrate.")
    if _shape(schema) >= SHAPE:
        check_shape(schema, dataset_name)
        return []
    done = []
    with hold_dataset(destination, dataset_name, patience(0)):
        if _shape(schema) < 2:
            update_table(destination, dataset_name, schema, {**schema.tables[TABLE], "columns": columns(FIELDS)})
            with open_client(destination, dataset_name, schema) as client:
                table = client.sql_client.make_qualified_table_name(TABLE)
                client.sql_client.execute_sql(FILL.format(load_windows=table))
            done.append(f"{TABLE}: added and filled loaded_up_to, rows_rejected, values_not_converted, problems.")
        for report in reports().values() if _shape(schema) < 3 else ():
            if report.name in schema.data_table_names(seen_data_only=True):
                done += _give_days_to_lists(destination, dataset_name, schema, report)
        done += convert_columns(destination, dataset_name, schema)
        with open_client(destination, dataset_name, schema) as client, client.with_staging_dataset():
            if client.is_storage_initialized():
                client.sql_client.drop_dataset()
        done.append("Dropped the staging tables; the next load creates its own.")
        update_table(destination, dataset_name, schema, {**schema.tables[TABLE], SHAPE_HINT: SHAPE})
    return done


def _give_days_to_lists(destination: AnyDestination, dataset_name: str, schema: Schema, report: Report) -> list[str]:
    """Adds `row_hash` to a report's table, and `partition_date` to its child tables."""
    done = []
    if ROW_HASH in report.computed:
        added = columns([report.computed[ROW_HASH]])
        update_table(destination, dataset_name, schema, {**schema.tables[report.name], "columns": added})
        done.append(f"{report.name}: added row_hash; the next load of a row fills it.")
    for name in schema.data_table_names(seen_data_only=True):
        if schema.tables[name].get("parent") == report.name:
            added = partition_column(report.computed[PARTITION_DATE])
            if destination.destination_type == BIGQUERY:
                _partition(destination, dataset_name, schema, {**schema.tables[name], "columns": added})
            else:
                update_table(destination, dataset_name, schema, {**schema.tables[name], "columns": added})
                with open_client(destination, dataset_name, schema) as client:
                    named = client.sql_client.make_qualified_table_name
                    client.sql_client.execute_sql(FILL_DAYS.format(table=named(name), parent=named(report.name)))
            done.append(f"{name}: added and filled partition_date.")
    return done


def _partition(destination: AnyDestination, dataset_name: str, schema: Schema, table: Any) -> None:
    """Creates a child table again, partitioned by `partition_date`."""
    with open_client(destination, dataset_name, schema) as client:
        sql, named = client.sql_client, client.sql_client.make_qualified_table_name
        existing = [sql.escape_column_name(column) for column in client.get_storage_table(table["name"])[1]]
        own = ", ".join(f"c.{column}" for column in existing if column != sql.escape_column_name(PARTITION_DATE))
        rows = DAYS_OF_PARENT.format(own=own, table=named(table["name"]), parent=named(table["parent"]))
    recreate_table(destination, dataset_name, schema, table, rows)


def _shape(schema: Schema | None) -> int:
    """The number in a stored schema; this release's for a dataset without tables."""
    table = schema.tables.get(TABLE) if schema else None
    return int(table.get(SHAPE_HINT, 1)) if table else SHAPE  # type: ignore[call-overload]
