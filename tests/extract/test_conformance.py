"""Every resource is loaded as the manuals have it: each brand, each documented shape, every value."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from comagic import KeyCredentials
from comagic.catalog import LIST, OBJECT, Dictionary, Report, Resource
from comagic.cli.output import MAX_DIFFERENCES
from comagic.extract.context import Context, open_client
from comagic.extract.dictionary import read_whole
from comagic.extract.reader import WindowReader, WindowResult, parameter_sets
from comagic.extract.schema import flatten
from comagic.extract.windows import Window
from comagic.sandbox.switches import KEY
from comagic.settings import resolve_settings
from tests.support.accounts import resource_options
from tests.support.manual import (
    COVERED,
    DATE,
    DISABLED,
    FULL,
    GONE,
    MANUALS,
    OBJECTS,
    REFUSED,
    SHAPES,
    STRAY,
    TOTAL,
    ZONE,
    Manual,
    Row,
)
from tests.support.processes import Command, Outcome, Serve
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery, Warehouse

REPORTS = {name: one for name, one in COVERED.items() if isinstance(one, Report)}
VARIANT = "__v_text"
PASSWORD = "secret of a SIP line"


def rotated(cases: tuple[str, ...], turn: int) -> dict[str, str]:
    """One of the cases for each method; with each turn the next."""
    return {one.method: cases[(nth + turn) % len(cases)] for nth, one in enumerate(COVERED.values())}


def load_all(command: Command, base_url: str, **environment: str) -> Outcome:
    """Loads the day of the manual's rows of all resources, with all fields."""
    return command(
        *("load", *resource_options(*COVERED), "--since", DATE, "--until", DATE),
        SOURCES__COMAGIC__BASE_URL=base_url,
        SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN=KEY,
        SOURCES__COMAGIC__FIELDS="all",
        **environment,
    )


SCALARS = {"sip_lines__ip_addresses": "ip"}
"""Child tables of objects where a scalar is one of their fields, since a brand sends that alone."""


class Comparison:
    """Compares what was sent with what is in the tables.

    Args:
        tables: all tables by name.

    Attributes:
        misfits: values that are in a column of their own.
    """

    def __init__(self, tables: dict[str, list[Row]]) -> None:
        self.misfits = 0
        self._tables = tables
        self._children: dict[tuple[str, str], list[Row]] = {}
        for name, rows in tables.items():
            for row in rows if "__" in name else ():
                parent = row["_dlt_root_id" if "_dlt_root_id" in row else "_dlt_parent_id"]
                self._children.setdefault((name, parent), []).append(row)

    def differences(self, resource: Resource, sent: dict[str, Row]) -> Iterator[str]:
        """What of the rows, by variant, is missing or other than sent; and rows that were not sent."""
        parts = resource.key_of or (resource.primary_key,)
        keys = [name for name in parts if name != resource.cursor and all(name in row for row in sent.values())]
        rows = self._tables.get(resource.name, [])
        loaded = {tuple(str(row[name]) for name in keys): row for row in rows}
        if len(loaded) < len(rows):
            yield f"{resource.name}: rows are doubled"
        for variant, row in sent.items():
            found = loaded.pop(tuple(str(row[name]) for name in keys), None)
            if found is None:
                yield f"{resource.name}: the {variant} row is missing"
                continue
            for name, value in row.items():
                is_table = f"{resource.name}__{name}" in self._tables and name not in found
                is_single = variant == OBJECTS and isinstance(sent[FULL][name], list)
                if (value == STRAY or is_single) and not is_table and found.get(name + VARIANT) == value:
                    self.misfits += 1
                    continue
                expected = [value] if is_single and is_table else value
                differences = self._compare(expected, found, name, resource.name)
                yield from (f"{resource.name}, {variant} row: {one}" for one in differences)
        yield from (f"{resource.name}: {key} was not sent" for key in loaded)

    def _compare(self, sent: Any, row: Row, name: str, table: str) -> Iterator[str]:
        if name in row and is_same(sent, row[name]):
            return
        if isinstance(sent, dict) and name not in row:
            for key, value in sent.items():
                yield from self._compare(value, row, f"{name}__{key}", table)
        elif isinstance(sent, list) and name not in row:
            yield from self._compare_list(sent, row, name, f"{table}__{name}")
        else:
            yield f"{name} is {row.get(name, 'no column')!r} instead of {sent!r}"

    def _compare_list(self, sent: list[Any], row: Row, name: str, table: str) -> Iterator[str]:
        children = sorted(self._children.get((table, row["_dlt_id"]), []), key=lambda child: child["_dlt_list_idx"])
        if len(children) != len(sent):
            yield f"{name} has {len(children)} items instead of {len(sent)}"
        for item, child in zip(sent, children, strict=False):
            for key, value in item.items() if isinstance(item, dict) else [(SCALARS.get(table, "value"), item)]:
                yield from (f"{name}: {one}" for one in self._compare(value, child, key, table))


def is_same(sent: Any, loaded: Any) -> bool:
    """True if a value in a table is the JSON value that was sent, in the column's type."""
    if isinstance(sent, (dict, list)):
        return bool((json.loads(loaded) if isinstance(loaded, str) else loaded) == sent)
    if isinstance(loaded, datetime):
        return isinstance(sent, str) and loaded == datetime.fromisoformat(sent).replace(tzinfo=ZoneInfo(ZONE))
    if isinstance(loaded, (date, str)):
        return str(loaded) == str(sent)
    if isinstance(sent, str) and isinstance(loaded, (int, float)):
        return Decimal(sent) == Decimal(str(loaded))
    return bool(loaded == sent) and isinstance(loaded, bool) == isinstance(sent, bool)


def check_loaded(manual: Manual, warehouse: Warehouse) -> None:
    """Checks that all rows of the manual are in the tables, and nothing else."""
    tables = warehouse.tables()
    comparison = Comparison(tables)
    found = [one for name, rows in manual.rows.items() for one in comparison.differences(COVERED[name], rows)]
    assert not found, "\n".join(found)
    assert sum(row["values_not_converted"] for row in tables["load_windows"]) == comparison.misfits > 0
    assert PASSWORD not in str(tables)


def check_summary(manual: Manual, outcome: Outcome) -> None:
    """Checks that what the brand has is loaded without a complaint, and what it does not have is named."""
    assert outcome.code == 0, outcome.err + outcome.out
    assert "does not accept" not in outcome.out
    for name in COVERED:
        assert (f"Skipped: {name}. {COVERED[name].method}: " in outcome.out) == (name in manual.unavailable), name


def as_tables(resource: Resource, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows for dlt as the tables that it makes of them."""
    lists = {field.name for field in resource.fields.values() if field.type == LIST}
    objects = {field.name for field in resource.fields.values() if field.type == OBJECT}
    declared = [field.name for field in flatten(resource.fields.values()) if field.type != LIST]
    tables: dict[str, list[Row]] = {resource.name: [], **{f"{resource.name}__{name}": [] for name in lists}}
    for key, row in enumerate(rows):
        made: Row = {**dict.fromkeys(declared), "_dlt_id": key}
        for name, value in row.items():
            if name in objects and isinstance(value, dict):
                made |= {f"{name}__{child}": part for child, part in value.items()}
            elif name in lists:
                children = resource.fields[name].children
                for position, item in enumerate(value):
                    child = {**dict.fromkeys(children), **(item if isinstance(item, dict) else {"value": item})}
                    position_of_child = {"_dlt_root_id": key, "_dlt_list_idx": position}
                    tables[f"{resource.name}__{name}"].append({**child, **position_of_child})
            else:
                made[name] = value
        tables[resource.name].append(made)
    return tables


def read(resource: Resource, context: Context) -> list[Row]:
    """The resource's rows of the manual's day, as they are given to dlt."""
    if isinstance(resource, Dictionary):
        return read_whole(resource, context, None).rows
    zone, parameters = context.zone(), parameter_sets(context.client, resource)
    window = Window(datetime.fromisoformat(DATE), datetime.fromisoformat(DATE) + timedelta(days=1))
    reader = WindowReader(context.client, resource, context.selected_fields(resource), zone, parameters=parameters)
    transformer = context.transformer(resource, zone, parameters[0], {})
    pages = [part for part in reader.read([window]) if not isinstance(part, WindowResult)]
    return transformer.transform([row for page in pages for row in page])


CASES = list(product(MANUALS, range(len(SHAPES))))
LOADS = [(MANUALS[turn % len(MANUALS)], turn) for turn in range(len(SHAPES))]
"""Each resource in each shape, each brand at least once: what is given to dlt is the same whatever the shape."""


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(("brand", "turn"), sample(CASES, 2))
def test_every_documented_value_in_every_shape_reaches_dlt(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, brand: str, turn: int, is_known: bool
) -> None:
    """Known: the brand by the endpoint's host. Unknown: what it does not have is refused first."""
    monkeypatch.setattr("comagic.api.client.manual_of", lambda _: brand if is_known else "")
    manual = Manual(brand, rotated(SHAPES, turn), password=PASSWORD)
    settings = resolve_settings(fields=("all",))
    access = KeyCredentials(access_token=KEY)
    client = open_client(settings, credentials=access, base_url=manual.serve(serve(), monkeypatch))
    for name, rows in manual.rows.items():
        resource = COVERED[name]
        made = read(resource, Context(settings, client))
        found = list(Comparison(as_tables(resource, made)).differences(resource, rows))
        assert not found, "\n".join(found)
        assert PASSWORD not in str(made)
        lacking = {field for field, declared in resource.fields.items() if brand in declared.not_in}
        assert set(client.left_out.get(resource.method, ())) == (set() if is_known else lacking)


@pytest.mark.expensive(24)
@pytest.mark.parametrize(("brand", "turn"), sample(LOADS, 1))
def test_every_documented_value_in_every_shape_is_in_duckdb(
    serve: Serve, command: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, brand: str, turn: int
) -> None:
    monkeypatch.setattr("comagic.api.client.manual_of", lambda _: brand)
    manual = Manual(brand, rotated(SHAPES, turn), password=PASSWORD)
    outcome = load_all(command, manual.serve(serve(), monkeypatch))
    check_summary(manual, outcome)
    check_loaded(manual, warehouse)


@pytest.mark.expensive(24)
@pytest.mark.parametrize("brand", sample(MANUALS, 1))
def test_every_documented_value_is_in_bigquery(
    serve: Serve,
    command: Command,
    warehouse_in_bigquery: BigQuery,
    monkeypatch: pytest.MonkeyPatch,
    brand: str,
) -> None:
    monkeypatch.setattr("comagic.api.client.manual_of", lambda _: brand)
    manual = Manual(brand, rotated(SHAPES, MANUALS.index(brand)), password=PASSWORD)
    outcome = load_all(command, manual.serve(serve(), monkeypatch), **warehouse_in_bigquery.environment)
    check_summary(manual, outcome)
    check_loaded(manual, warehouse_in_bigquery)


WARNED, FAILED = (REFUSED, TOTAL, ""), (GONE, DISABLED, "")
"""Troubles that are reported while all is loaded, and those that cost a resource; each with none at all."""


@pytest.mark.expensive(24)
@pytest.mark.parametrize(("troubles", "turn"), sample(product((WARNED, FAILED), range(3)), 1))
def test_resource_with_a_trouble_is_named_and_the_others_are_loaded(
    serve: Serve,
    command: Command,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    troubles: tuple[str, ...],
    turn: int,
) -> None:
    """Without the account nothing can be loaded; costs need the sites."""
    monkeypatch.setattr("comagic.api.client.manual_of", lambda _: "comagic")
    chosen = rotated(troubles, turn) | {COVERED["account"].method: ""}
    manual = Manual("comagic", troubles=chosen)
    outcome = load_all(command, manual.serve(serve(), monkeypatch))
    missing = {name: name for name in manual.unavailable}
    for name, report in REPORTS.items():
        if needed := manual.unavailable.intersection(report.for_each.values()):
            missing[name] = needed.pop()
    assert outcome.code == (1 if troubles == FAILED else 0), outcome.err + outcome.out
    for name, reason in missing.items():
        title = "Skipped" if COVERED[name].component else "Not loaded"
        assert f"{title}: {name}. {COVERED[reason].method}: " in outcome.out
    for name, field in manual.refused.items():
        assert f"{name}: the API does not accept the field {field}; all else is loaded." in outcome.out
    assert outcome.out.count("does not accept") == len(manual.refused)
    tables = warehouse.tables()
    for name, rows in manual.rows.items():
        sent = {
            key: {field: row[field] for field in row if field != manual.refused.get(name)} for key, row in rows.items()
        }
        found = list(Comparison(tables).differences(COVERED[name], {} if name in missing else sent))
        assert not found, "\n".join(found)
        if chosen[COVERED[name].method] == TOTAL and name not in REPORTS:
            assert f"{name}: the API announced 5 entries and sent 4." in outcome.out
    differing = [row["resource"] for row in tables["load_windows"] if row["rows_announced"] != row["rows_received"]]
    assert set(differing) == {name for name in REPORTS if chosen[COVERED[name].method] == TOTAL}
    assert outcome.out.count("Load the period again with --since") == min(len(differing), MAX_DIFFERENCES)
    left = len(differing) - MAX_DIFFERENCES
    assert (f"{left} more windows with a difference." in outcome.out) == (left > 0)
