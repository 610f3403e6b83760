"""Columns whose type in the catalog is another than in a dataset, converted with their values.

DuckDB and PostgreSQL change a column in place. BigQuery widens INT64 to FLOAT64 in place, but not to STRING, and not
STRING to INT64: there the table is created again from a copy, whatever the types are.

A value that does not fit the new type goes to the column `field__v_text`, where a load would put it; one that is there
and fits the new type comes back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlt import Schema
from dlt.common.destination.reference import DestinationReference
from dlt.common.schema.typing import TColumnSchema, TTableSchemaColumns

from ..catalog import LIST, resources
from ..exceptions import ConfigurationError
from ..extract.schema import columns
from ..extract.transform import VARIANT
from .destinations import BIGQUERY, DUCKDB, POSTGRES, AnyDestination, open_client
from .reshape import copy_of, recreate_table, update_table

PATTERNS = {"bigint": "^-?[0-9]{1,18}$", "double": "^-?[0-9]{1,15}([.][0-9]+)?$"}
"""Texts that are numbers of a type, exactly; every value fits the type text."""
MATCHES = {
    DUCKDB: "regexp_matches({value}, '{pattern}')",
    POSTGRES: "{value} ~ '{pattern}'",
    BIGQUERY: "REGEXP_CONTAINS({value}, r'{pattern}')",
}
ANY = "{value} IS NOT NULL"
CONVERTIBLE = ("text", *PATTERNS)

COUNT = "SELECT COUNT(*) FROM {table} WHERE {condition}"
SELECT = "SELECT {values} FROM (SELECT *{empty} FROM {table})"
UPDATE = "UPDATE {table} SET {assignments} WHERE {condition}"
ALTER = "ALTER TABLE {table} ALTER COLUMN {column} TYPE {type} USING {value}"


@dataclass(frozen=True)
class Conversion:
    """The SQL that converts one column.

    Attributes:
        column: the column, quoted.
        variant: the column for values that do not fit, quoted; empty without one.
        type: the destination's name of the new type.
        text: the destination's name of the type text.
        match: a condition for a `{value}` that is a text of the new type, by a `{pattern}`.
        pattern: a regular expression.
    """

    column: str
    variant: str
    type: str
    text: str
    match: str
    pattern: str

    @property
    def unfit(self) -> str:
        """A condition for a value that does not fit."""
        return f"{self.column} IS NOT NULL AND NOT ({self._fits(self.column)})"

    def in_place(self, table: str) -> Iterator[str]:
        """The statements that convert a table's column in place; for values that do not fit there is a variant."""
        if self.variant:
            kept = f"{self.variant} = {self._text(self.column)}"
            yield UPDATE.format(table=table, assignments=kept, condition=self.unfit)
        yield ALTER.format(table=table, column=self.column, type=self.type, value=self._cast(self.column))

    def take_back(self, table: str) -> str:
        """The statement that fills a converted column with values of the variant that fit."""
        back = f"{self.column} = {self._cast(self.variant)}, {self.variant} = NULL"
        return UPDATE.format(
            table=table, assignments=back, condition=f"{self.column} IS NULL AND {self._fits(self.variant)}"
        )

    def values(self) -> Mapping[str, str]:
        """The same for a copy: new values, by column."""
        if not self.variant:
            return {self.column: self._cast(self.column)}
        fits = f"{self.column} IS NULL AND {self._fits(self.variant)}"
        unfit = f"WHEN {self.unfit} THEN {self._text(self.column)}"
        return {
            self.column: f"COALESCE({self._cast(self.column)}, {self._cast(self.variant)})",
            self.variant: f"CASE {unfit} WHEN {fits} THEN NULL ELSE {self.variant} END",
        }

    def _text(self, name: str) -> str:
        return f"CAST({name} AS {self.text})"

    def _fits(self, name: str) -> str:
        return self.match.format(value=self._text(name), pattern=self.pattern)

    def _cast(self, name: str) -> str:
        return f"CASE WHEN {self._fits(name)} THEN CAST({name} AS {self.type}) END"


def convert_columns(destination: AnyDestination, dataset_name: str, schema: Schema) -> list[str]:
    """Converts all columns whose type in the catalog is another than in dlt's schema of a dataset.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        schema: dlt's schema as the last load stored it there; it is updated and stored.

    Returns:
        What was done.

    Raises:
        ConfigurationError: there are such columns, and the destination's SQL for it is not known.
    """
    changed = changed_columns(schema)
    if changed and destination.destination_type not in MATCHES:
        names = ", ".join(f"{table}.{name}" for table, hints in changed.items() for name in hints)
        raise ConfigurationError(
            f"The types of {names} have changed, and migrate cannot convert columns in "
            f"{destination.destination_name}. Load into another dataset: dataset_name in .dlt/config.toml."
        )
    done = []
    with open_client(destination, dataset_name, schema) as client:
        stored = dict(client.get_storage_tables([*changed, *map(copy_of, changed)]))
    for table, hints in changed.items():
        # empty for a list that has never had an element
        if destination.destination_type == BIGQUERY:
            _convert_by_copy(destination, dataset_name, schema, table, hints, stored[table], stored[copy_of(table)])
        else:
            _convert_in_place(destination, dataset_name, schema, table, hints, stored[table])
        listed = ", ".join(f"{name} to {column['data_type']}" for name, column in hints.items())
        done.append(f"{table}: converted {listed}.")
    return done


def changed_columns(schema: Schema) -> dict[str, TTableSchemaColumns]:
    """Columns whose type in the catalog is another than in a schema: their hints in the catalog, by table."""
    changed: dict[str, TTableSchemaColumns] = {}
    for table, declared in _declared():
        stored = schema.tables.get(table, {}).get("columns", {})
        for name, hints in declared.items():
            types = (stored.get(name, {}).get("data_type"), hints["data_type"])
            if types[0] != types[1] and all(one in CONVERTIBLE for one in types):
                changed.setdefault(table, {})[name] = hints
    return changed


def _declared() -> Iterator[tuple[str, TTableSchemaColumns]]:
    """Hints of the columns of every table of the catalog."""
    for resource in resources().values():
        yield resource.name, columns([*resource.fields.values(), *resource.computed.values()])
        for field in resource.fields.values():
            if field.type == LIST:
                items = [field.items] if field.items else field.children.values()
                yield f"{resource.name}__{field.name}", columns(items)


def _convert_in_place(
    destination: AnyDestination,
    dataset_name: str,
    schema: Schema,
    table: str,
    hints: TTableSchemaColumns,
    existing: TTableSchemaColumns,
) -> None:
    """Converts columns of a table by changing their types."""
    with open_client(destination, dataset_name, schema) as client:
        name, added = client.sql_client.make_qualified_table_name(table), _needed(client, table, hints, existing)
    if added:
        update_table(destination, dataset_name, schema, {**schema.tables[table], "columns": added})
    with open_client(destination, dataset_name, schema) as client:
        for column in _present(hints, existing):
            conversion = _conversion(client, column, hints, {**existing, **added})
            if _has_old_type(column, hints, existing):
                for statement in conversion.in_place(name):
                    client.sql_client.execute_sql(statement)
            if conversion.variant:
                client.sql_client.execute_sql(conversion.take_back(name))
    schema.update_table({**schema.tables[table], "columns": hints})


def _convert_by_copy(
    destination: AnyDestination,
    dataset_name: str,
    schema: Schema,
    table: str,
    hints: TTableSchemaColumns,
    existing: TTableSchemaColumns,
    copied: TTableSchemaColumns,
) -> None:
    """Converts columns of a table by creating it again; an interrupted run may have left a copy, and no table."""
    with open_client(destination, dataset_name, schema) as client:
        pending = [one for one in _present(hints, existing) if not copied and _has_old_type(one, hints, existing)]
        added = {**_needed(client, table, hints, {} if copied else existing), **_variants(hints.keys(), copied)}
        quoted = client.sql_client.escape_column_name
        values = {quoted(name): quoted(name) for name in [*existing, *added]}
        for column in pending:
            values |= _conversion(client, column, hints, {**existing, **added}).values()
        rows = SELECT.format(
            values=", ".join(f"{value} AS {name}" for name, value in values.items()),
            empty="".join(f", CAST(NULL AS STRING) AS {quoted(name)}" for name in added),
            table=client.sql_client.make_qualified_table_name(table),
        )
    hinted: Any = {**schema.tables[table], "columns": {**hints, **added}}
    if copied or pending:
        recreate_table(destination, dataset_name, schema, hinted, rows)
    schema.update_table(hinted)


def _present(hints: TTableSchemaColumns, existing: TTableSchemaColumns) -> list[str]:
    return [name for name in hints if name in existing]


def _has_old_type(name: str, hints: TTableSchemaColumns, existing: TTableSchemaColumns) -> bool:
    return existing[name]["data_type"] != hints[name]["data_type"]


def _needed(client: Any, table: str, hints: TTableSchemaColumns, existing: TTableSchemaColumns) -> TTableSchemaColumns:
    """Columns that a table lacks for values that do not fit."""
    name = client.sql_client.make_qualified_table_name(table)
    unfit = [
        column
        for column in _present(hints, existing)
        if VARIANT.format(name=column) not in existing
        and _has_old_type(column, hints, existing)
        and client.sql_client.execute_sql(
            COUNT.format(table=name, condition=_conversion(client, column, hints, existing).unfit)
        )[0][0]
    ]
    return {VARIANT.format(name=column): _text_column(VARIANT.format(name=column)) for column in unfit}


def _variants(names: Iterable[str], existing: TTableSchemaColumns) -> TTableSchemaColumns:
    """Those of the columns' variants that exist."""
    variants = [VARIANT.format(name=name) for name in names]
    return {name: _text_column(name) for name in variants if name in existing}


def _conversion(client: Any, name: str, hints: TTableSchemaColumns, existing: TTableSchemaColumns) -> Conversion:
    quoted, variant = client.sql_client.escape_column_name, VARIANT.format(name=name)
    pattern = PATTERNS.get(str(hints[name]["data_type"]), "")
    destination = DestinationReference.normalize_type(client.config.destination_type)
    return Conversion(
        column=quoted(name),
        variant=quoted(variant) if variant in existing else "",
        type=client.type_mapper.to_destination_type(hints[name], None),
        text=client.type_mapper.to_destination_type(_text_column(variant), None),
        match=MATCHES[destination] if pattern else ANY,
        pattern=pattern,
    )


def _text_column(name: str) -> TColumnSchema:
    return {"name": name, "data_type": "text", "nullable": True}
