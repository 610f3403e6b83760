"""Compares rows as the loader would write them with the rows that the destination has, column by column.

A row of the API takes the loader's way: it is transformed (`extract.transform`), and dlt's own normalizer makes of it
a row and the rows of its child tables. Values of both sides then become plain ones (`plain`), since destinations
return JSON as text or as objects, and times in whatever zone.

Not compared are columns that were not requested, that dlt adds, the row's hash, and columns that the catalog does not
have where the API's row has no value: the API need not send them any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson
from dlt import Schema
from dlt.common.json import json

from ..catalog import LIST, PARTITION_DATE, Report
from ..extract.context import Context
from ..extract.schema import USER_ID, flatten, without_excluded
from ..extract.transform import VARIANT, Row

DLT_PREFIX = "_dlt"
PLAIN = (int, float, bool)
"""Types of values that are the same on both sides; a whole double equals its integer."""


@dataclass(frozen=True)
class ComparedTable:
    """What is compared of a table.

    Attributes:
        declared: columns of the catalog that were requested; an absent value is null.
        others: columns that the catalog does not have; compared where the API's row has a value.
        types: dlt's types of these columns.
        existing: those of them that the destination has.
    """

    declared: Sequence[str]
    others: frozenset[str]
    types: Mapping[str, str]
    existing: Sequence[str]

    def expected(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The plain values that the loader would write."""
        values = {name: plain(row.get(name), self.types.get(name)) for name in self.declared}
        for name in row.keys() & self.others:
            values[name] = plain(row[name], self.types.get(name))
        return values

    def loaded(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The plain values of a row of the destination."""
        return {name: plain(value, self.types.get(name)) for name, value in row.items()}


@dataclass(frozen=True)
class Comparison:
    """Compares rows of one report.

    Attributes:
        report: the report.
        schema: dlt's schema as the last load stored it in the destination.
        tables: what is compared, by table.
    """

    report: Report
    schema: Schema
    tables: Mapping[str, ComparedTable] = field(default_factory=dict)

    @property
    def columns(self) -> Sequence[str]:
        """Columns of the report's table to read."""
        return self.tables[self.report.name].existing

    @property
    def lists(self) -> dict[str, Sequence[str]]:
        """Child tables to read, with their columns."""
        return {
            name: table.existing for name, table in self.tables.items() if name != self.report.name and table.existing
        }

    def expected(self, row: Row) -> bytes:
        """What the destination should have of a transformed row: its plain values and lists, small to keep."""
        values: dict[str, Any] = {}
        lists: dict[str, list[Any]] = {name: [] for name in self.tables if name != self.report.name}
        for (name, *_), part in self.schema.normalize_data_item(row, "", self.report.name):
            table = self.tables.get(name)
            if table is not None and name == self.report.name:
                values = table.expected(part)
            elif table is not None:
                lists[name].append(table.expected(part))
        return orjson.dumps((values, lists))

    def differences(
        self, expected: bytes, values: Mapping[str, Any], lists: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> list[str]:
        """Names of the columns and lists in which a row of the destination differs from the expected one.

        Args:
            expected: from `expected`.
            values: the row.
            lists: the rows of its child tables, in their order.
        """
        wanted, wanted_lists = orjson.loads(expected)
        root = self.tables[self.report.name]
        found = _differing(wanted, root.loaded(values))
        for name, items in wanted_lists.items():
            table, loaded = self.tables[name], lists.get(name, ())
            if not table.declared and not items:  # not in the catalog, and the API need not send it any more
                continue
            pairs = zip(items, loaded, strict=False)
            if len(items) != len(loaded) or any(_differing(item, table.loaded(row)) for item, row in pairs):
                found.append(name.removeprefix(f"{self.report.name}__"))
        return found


def make_comparison(
    report: Report, context: Context, schema: Schema, existing: Mapping[str, Sequence[str]]
) -> Comparison:
    """Works out what of a report's rows is compared.

    Args:
        report: the report.
        context: what it is read with.
        schema: dlt's schema as the last load stored it in the destination.
        existing: columns of the report's table and child tables there.
    """
    privacy, selected = context.privacy(report), context.selected_fields(report)
    requested = [without_excluded(report.fields[name], privacy) for name in selected]
    catalog = {one.name for one in flatten(report.fields.values())} | {USER_ID.name, *report.computed}
    root = [one.name for one in flatten(requested) if one.type != LIST and one.name != report.primary_key]
    types = {one.name: one.type for one in flatten(requested)}
    make = _TableMaker(schema, existing)
    tables = {report.name: make(report.name, [*root, PARTITION_DATE], catalog, types)}
    for one in requested:
        if one.type == LIST:
            items = {"value": one.items} if one.items else dict(one.children)
            kept = [name for name in items if not privacy.excludes(f"{one.name}.{name}")]
            types = {name: item.type for name, item in items.items() if item is not None}
            table = f"{report.name}__{one.name}"
            tables[table] = make(table, kept, {*one.children, PARTITION_DATE}, types)
    known = {f"{report.name}__{name}" for name in report.fields}
    for table in existing.keys() - tables.keys() - known:
        tables[table] = make(table, [], {PARTITION_DATE}, {})
    return Comparison(report, schema, tables)


@dataclass(frozen=True)
class _TableMaker:
    """Makes `ComparedTable`s.

    Attributes:
        schema: dlt's schema.
        existing: columns in the destination, by table.
    """

    schema: Schema
    existing: Mapping[str, Sequence[str]]

    def __call__(
        self, table: str, declared: Sequence[str], catalog: set[str], types: Mapping[str, str]
    ) -> ComparedTable:
        """What is compared of a table.

        Args:
            table: its name.
            declared: columns of the catalog that were requested.
            catalog: all columns of the catalog.
            types: types of the declared columns.
        """
        there = self.existing.get(table, ())
        variants = [name for name in there if name in {VARIANT.format(name=one) for one in declared}]
        compared = [*declared, *variants]
        unrequested = {*catalog, *(VARIANT.format(name=one) for one in catalog)} - set(compared)
        others = {name for name in there if not name.startswith(DLT_PREFIX)} - set(compared) - unrequested
        stored = self.schema.tables.get(table, {}).get("columns", {})
        known = {name: str(column["data_type"]) for name, column in stored.items() if column.get("data_type")}
        existing = [name for name in there if name in others or name in compared]
        return ComparedTable(compared, frozenset(others), {**types, **known}, existing)


def plain(value: Any, kind: str | None) -> Any:
    """A value in a form that is the same on both sides, whatever the destination's driver makes of it.

    Args:
        value: the value.
        kind: dlt's type of its column; None if it is not known.
    """
    if value is None or type(value) in PLAIN or (kind != "json" and isinstance(value, str)):
        return value
    if kind == "json":
        return _plain_json(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if kind == "double" else str(value)


def _plain_json(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return _plain_numbers(value)


def _plain_numbers(value: Any) -> Any:
    """A JSON value whose whole numbers are integers: some destinations drop `.0`."""
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _differing(expected: Mapping[str, Any], loaded: Mapping[str, Any]) -> list[str]:
    return [name for name, value in expected.items() if loaded.get(name) != value]
