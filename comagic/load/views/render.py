"""Makes a view's query for a dataset: in the destination's SQL, of the tables and columns that the dataset has.

A column that a table does not have (excluded, of a later release, never loaded) is null, with its type from the
catalog; a table that may be missing is empty. A figure that cannot be counted without them is null: the SQL files say
which by `IF_LOADED(figure, table.column, ...)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp

from ...catalog import LIST, TIME, Field, resources
from ...extract.accounts import FIELDS as ACCOUNT_FIELDS
from ...extract.accounts import TABLE as ACCOUNTS
from ...extract.load_windows import FIELDS as WINDOW_FIELDS
from ...extract.load_windows import TABLE as LOAD_WINDOWS
from ...extract.schema import PARENT_ID, ROOT_ID, USER_ID, flatten
from .definitions import View
from .dialects import translate, without_null_order

SOURCE = "duckdb"
"""Dialect of the SQL files."""

TYPES = {"bigint": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN", "text": "TEXT", "date": "DATE", TIME: "TIMESTAMPTZ"}
"""SQL types of the catalog's types."""
WAITED = "COALESCE({0}.wait_duration, {0}.total_wait_duration, {0}.total_duration)"
NOTHING = exp.select(exp.Literal.number(1).as_("nothing")).subquery("empty")
TEXT_COLUMNS = ("_dlt_id", ROOT_ID, PARENT_ID, "_dlt_load_id", "load_id")

Columns = Mapping[str, str]
"""Types of a table's columns, by name."""


@dataclass(frozen=True)
class Dataset:
    """What a view's query is made for.

    Attributes:
        dialect: sqlglot's name of the destination's SQL.
        tables: existing tables, each with the types of its columns (of the catalog) in their order.
        qualified: returns the name of a table as it is written in the query.
        settings: values for `SETTING(name)`.
    """

    dialect: str
    tables: Mapping[str, Columns]
    qualified: Callable[[str], str]
    settings: Mapping[str, Any]

    def has(self, table: str, column: str) -> bool:
        """True for a column that exists."""
        return column in self.tables.get(table, ())


def missing_tables(view: View, dataset: Dataset) -> list[str]:
    """Tables that a view needs and a dataset does not have."""
    return [table for table in view.needs if table not in dataset.tables]


def output_columns(view: View, dataset: Dataset) -> dict[str, str]:
    """Columns of a view in a dataset, in their order, with their descriptions."""
    if "COLUMNS_OF(" not in view.sql:
        return dict(view.columns)
    described = {field.name: field.description for field in flatten(resources()["calls"].fields.values())}
    own = {name: described.get(name, "") for name in _star(view, dataset)}
    local = {f"{name}_local": f"{described.get(name, name)} Local time of the account." for name in _twins(dataset)}
    return {**own, **{name: text for name, text in local.items() if name not in view.columns}, **view.columns}


def render(view: View, dataset: Dataset) -> str:
    """Returns a view's query.

    Args:
        view: the view.
        dataset: what it is made for.
    """
    query = sqlglot.parse_one(view.sql, read=SOURCE)
    _replace_calls(query, view, dataset)
    for select in list(query.find_all(exp.Select)):
        for table in _own_tables(select):
            _bind(table, select, dataset)
    query = without_null_order(translate(query, dataset.dialect), dataset.dialect)
    return query.sql(dataset.dialect, pretty=True)


def _replace_calls(query: exp.Expr, view: View, dataset: Dataset) -> None:
    """Replaces the functions that depend on the dataset, the inner ones first."""
    for call in reversed(list(query.find_all(exp.Anonymous, bfs=False))):
        name = call.name.upper()
        if name == "SETTING":
            call.replace(exp.convert(dataset.settings[call.expressions[0].name]))
        elif name == "SECONDS_WAITED":
            call.replace(sqlglot.parse_one(WAITED.format(call.expressions[0].sql()), read=SOURCE))
        elif name == "IF_LOADED":
            figure, *needed = call.expressions
            if not all(dataset.has(column.table, column.name) for column in needed):
                figure = exp.Case().when(exp.false(), figure.copy())
            call.replace(figure)
        elif name == "COLUMNS_OF":
            _expand_star(call, view, dataset)


def _expand_star(call: exp.Anonymous, view: View, dataset: Dataset) -> None:
    """All columns of `calls` but those that the view has of its own, and a local twin of each time."""
    alias, select = call.expressions[0].sql(), call.find_ancestor(exp.Select)
    columns: list[Any] = [exp.column(name, alias) for name in _star(view, dataset)]
    for name in _twins(dataset):
        if f"{name}_local" not in view.columns:
            local = f"LOCAL_TIME_OF({alias}.{name}, a.timezone) AS {name}_local"
            columns.append(sqlglot.parse_one(local, read=SOURCE))
    if select is not None:
        select.set("expressions", [*columns, *(one for one in select.expressions if one is not call)])


def _star(view: View, dataset: Dataset) -> list[str]:
    own = {*view.columns, *(f"{name}_local" for name in _twins(dataset))}
    return [name for name, kind in dataset.tables["calls"].items() if name not in own and kind != "json"]


def _twins(dataset: Dataset) -> list[str]:
    return [name for name, kind in dataset.tables["calls"].items() if kind == TIME]


def _own_tables(select: exp.Select) -> Iterator[exp.Table]:
    """The tables of the catalog in a SELECT itself, not in one inside it."""
    for table in list(select.find_all(exp.Table)):
        if table.parent_select is select and table.name in known_columns():
            yield table


def _bind(table: exp.Table, select: exp.Select, dataset: Dataset) -> None:
    """Gives a table its name in the destination; with columns that it lacks, it becomes a subquery."""
    name, alias = table.name, table.alias
    used = dict.fromkeys(
        column.name
        for column in select.find_all(exp.Column)
        if column.table == alias and column.parent_select is select
    )
    existing = dataset.tables.get(name)
    real = sqlglot.parse_one(dataset.qualified(name), into=exp.Table, read=dataset.dialect) if existing else None
    if real is not None and existing is not None and all(column in existing for column in used):
        table.replace(exp.alias_(real, alias, table=True))
        return
    columns = [
        exp.column(column)
        if existing and column in existing
        else exp.cast(exp.null(), TYPES[known_columns()[name][column]]).as_(column)
        for column in used
    ]
    chosen = exp.select(*columns).from_(real if real is not None else NOTHING.copy())
    table.replace((chosen if real is not None else chosen.where(exp.false())).subquery(alias))


@cache
def known_columns() -> Mapping[str, Columns]:
    """Types of the columns of every table that a view can name."""
    known: dict[str, Columns] = {
        ACCOUNTS: _typed(ACCOUNT_FIELDS),
        LOAD_WINDOWS: _typed(WINDOW_FIELDS),
        "_dlt_loads": {"load_id": "text", "status": "bigint", "inserted_at": TIME},
    }
    for resource in resources().values():
        fields = [*resource.fields.values(), *resource.computed.values()]
        known[resource.name] = _typed([USER_ID, *fields])
        for field in fields:
            if field.type == LIST:
                items = [field.items] if field.items else [*field.children.values()]
                children = _typed(items) | {"_dlt_list_idx": "bigint", "partition_date": "date"}
                known[f"{resource.name}__{field.name}"] = children
    return known


def _typed(fields: Sequence[Field]) -> dict[str, str]:
    typed = {field.name: field.type for field in flatten(fields) if field.type != LIST}
    return {**typed, **dict.fromkeys(TEXT_COLUMNS, "text")}
