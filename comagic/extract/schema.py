"""dlt's hints: columns of declared fields, columns that dlt itself adds, child tables, descriptions."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dlt
from dlt import Schema
from dlt.common.normalizers.json.relational import DataItemNormalizer
from dlt.common.schema.typing import TColumnSchema
from dlt.destinations.impl.bigquery.bigquery_adapter import PARTITION_EXPIRATION_DAYS_HINT, PARTITION_HINT

from ..catalog import LIST, OBJECT, PARTITION_DATE, Field, Resource
from .privacy import Privacy

ROOT_COLUMNS = {
    "_dlt_id": "Key of the row for its child tables, where it is their _dlt_root_id.",
    "_dlt_load_id": "Load package that last changed the row; its time and status are in _dlt_loads.",
}
"""Descriptions of dlt's own columns of a table."""

ROOT_ID, PARENT_ID = "_dlt_root_id", "_dlt_parent_id"
REPLACED_CHILD_COLUMNS = {
    "_dlt_id": "Key of the row.",
    PARENT_ID: "_dlt_id of the row that the list belongs to.",
    "_dlt_list_idx": "Position in the list, from 0.",
}
"""Descriptions of dlt's own columns of a child table; of a table that is replaced."""
CHILD_COLUMNS = {**REPLACED_CHILD_COLUMNS, ROOT_ID: REPLACED_CHILD_COLUMNS[PARENT_ID]}
"""Descriptions of dlt's own columns of a child table; of a table that is merged."""

MAX_DESCRIPTION = 1024
"""Characters of a column's description in BigQuery, at most."""
MORE_CODES = " and others, see docs/tables.md."

USER_ID = Field("user_id", "bigint", "Client of the agency; references `customer_users.id`.")
"""The additional column of tables into which several clients of an agency are loaded."""


def describe_columns(descriptions: Mapping[str, str]) -> dict[str, TColumnSchema]:
    """Hints that describe columns which dlt adds and types itself."""
    return {name: {"name": name, "description": text} for name, text in descriptions.items()}


def described(field: Field) -> str:
    """A column's description with the codes of an enumeration, as many as BigQuery's limit allows."""
    if len(field.meaning) <= MAX_DESCRIPTION:
        return field.meaning
    text = field.meaning[: MAX_DESCRIPTION - len(MORE_CODES)]
    return text.rpartition(", ")[0] + MORE_CODES


def columns(fields: Iterable[Field], key: Collection[str] = ()) -> dict[str, TColumnSchema]:
    """Hints of the fields that are not lists: typed and described, so that an all-null column exists, too."""
    return {
        field.name: {
            "name": field.name,
            "data_type": field.type,  # type: ignore[typeddict-item]
            "description": described(field),
            "nullable": field.name not in key,
        }
        for field in flatten(fields)
        if field.type != LIST
    }


def flatten(fields: Iterable[Field]) -> Iterator[Field]:
    """Fields as columns: those of an object come one by one, named `object__field` as dlt names them."""
    for field in fields:
        if field.type == OBJECT:
            yield from (replace(child, name=f"{field.name}__{child.name}") for child in field.children.values())
        else:
            yield field


def table_description(text: str) -> dict[str, Any]:
    """Hints that describe a table, for dlt's own schema and for BigQuery."""
    return {"description": text, "x-bigquery-table-description": text}


def without_excluded(field: Field, privacy: Privacy) -> Field:
    """A field without those of its objects' fields that are not loaded."""
    kept = {name: child for name, child in field.children.items() if not privacy.excludes(f"{field.name}.{name}")}
    return replace(field, children=kept)


def partition_column(field: Field) -> dict[str, TColumnSchema]:
    """Hints of a child table's partitioning column."""
    hints = columns([field])
    hints[field.name][PARTITION_HINT] = True  # type: ignore[typeddict-unknown-key]
    return hints


def child_table(field: Field, is_merged: bool, partition: Field | None, expiration_days: int | None) -> Any:
    """Hints of a list's child table; its rows are found by their parent row, so it is clustered by that.

    Args:
        field: the list.
        is_merged: whether the parent table is merged, not replaced; only then dlt adds `_dlt_root_id`.
        partition: the parent table's partitioning column, which its child rows carry, too; see `carry_to_lists`.
        expiration_days: days after which BigQuery drops a partition.
    """
    fields = [field.items] if field.items else [*field.children.values()]
    own = CHILD_COLUMNS if is_merged else REPLACED_CHILD_COLUMNS
    partitioned = partition_column(partition) if partition else {}
    return dlt.mark.make_nested_hints(
        columns={**columns(fields), **partitioned, **describe_columns(own)},
        additional_table_hints={  # type: ignore[call-arg]  # dlt takes it, its type does not say so
            **table_description(field.description),
            "x-bigquery-cluster-columns": [ROOT_ID if is_merged else PARENT_ID],
            PARTITION_EXPIRATION_DAYS_HINT: expiration_days,
        },
    )


def carry_to_lists(schema: Schema, table: str) -> None:
    """Makes dlt copy `partition_date` of a report's row to the rows of its child tables.

    Args:
        schema: the source's schema.
        table: the report's table.
    """
    propagated = {"propagation": {"tables": {table: {PARTITION_DATE: PARTITION_DATE}}}}
    DataItemNormalizer.update_normalizer_config(schema, propagated)  # type: ignore[arg-type]


def table_columns(schema: Schema | None, resource: Resource) -> dict[str, str | None]:
    """Columns that a resource's table has in dlt's schema, with their types."""
    found = schema.tables.get(resource.name, {}).get("columns", {}) if schema else {}
    return {name: column.get("data_type") for name, column in found.items()}
