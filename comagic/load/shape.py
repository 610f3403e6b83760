"""The shape of a dataset: which tables and columns a load expects there beyond those that dlt adds by itself.

| shape | since | what `migrate` does |
| --- | --- | --- |
| 1 | datasets without a number | |
| 2 | this release | adds columns of `load_windows` and fills them; drops the staging dataset |

The number is a hint of the table `load_windows` in dlt's schema, which each load stores in the destination.
"""

from typing import Any

from dlt import Schema
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.json import json

from ..exceptions import ConfigurationError
from ..extract.load_windows import FIELDS, SHAPE, SHAPE_HINT, TABLE
from ..extract.resources import SOURCE_NAME
from ..extract.schema import columns
from .destinations import AnyDestination, is_missing_file, open_client
from .lease import hold_dataset, patience

FILL = """
UPDATE {load_windows}
SET loaded_up_to = window_end, rows_rejected = 0, values_not_converted = 0
WHERE loaded_up_to IS NULL
"""
"""Before shape 2 nothing was rejected, and a window was the last part of its period that was loaded."""


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
        ConfigurationError: nothing was loaded yet, or a later release loaded the dataset.
    """
    schema = stored_schema(destination, dataset_name)
    if schema is None:
        raise ConfigurationError(f"The dataset {dataset_name} is empty: nothing to migrate.")
    if _shape(schema) >= SHAPE:
        check_shape(schema, dataset_name)
        return []
    with hold_dataset(destination, dataset_name, patience(0)):
        _update(destination, dataset_name, schema, {**schema.tables[TABLE], "columns": columns(FIELDS)})
        with open_client(destination, dataset_name, schema) as client:
            client.sql_client.execute_sql(FILL.format(load_windows=client.sql_client.make_qualified_table_name(TABLE)))
            with client.with_staging_dataset():
                if client.is_storage_initialized():
                    client.sql_client.drop_dataset()
        _update(destination, dataset_name, schema, {**schema.tables[TABLE], SHAPE_HINT: SHAPE})
    return [
        f"{TABLE}: added and filled loaded_up_to, rows_rejected, values_not_converted, problems.",
        "Dropped the staging tables; the next load creates them again.",
    ]


def _shape(schema: Schema | None) -> int:
    """The number in a stored schema; this release's for a dataset without tables."""
    table = schema.tables.get(TABLE) if schema else None
    return int(table.get(SHAPE_HINT, 1)) if table else SHAPE  # type: ignore[call-overload]


def _update(destination: AnyDestination, dataset_name: str, schema: Schema, table: Any) -> None:
    """Updates a table in the destination, and stores the schema there."""
    schema.update_table(table)
    schema._bump_version()
    with open_client(destination, dataset_name, schema) as client:
        client.update_stored_schema(only_tables=[table["name"]])
