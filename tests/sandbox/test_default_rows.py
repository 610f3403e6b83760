"""A resource that has nothing but its catalog file gets default rows, so adding a report needs no Python."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from comagic.catalog import BY_FILTER, Dictionary, Field, Report, dictionaries, reports
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.dictionaries import make_entries
from comagic.sandbox.protocol import Protocol
from comagic.sandbox.switches import KEY

ROOT = Path(__file__).parent.parent.parent
DAY: dict[str, Any] = {"date_from": "2026-03-02 00:00:00", "date_till": "2026-03-03 00:00:00"}
PATTERNS = {"timestamp": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "date": r"\d{4}-\d\d-\d\d"}
PYTHON_TYPES: dict[str, Any] = {"bigint": int, "double": float, "bool": bool, "text": str, "json": dict}

TYPED: dict[str, Any] = {
    "number": {"type": "bigint"},
    "share": {"type": "double"},
    "is_new": {"type": "bool"},
    "title": {"type": "text"},
    "state": {"type": "text", "values": ["open", "closed"]},
    "closed_at": {"type": "timestamp"},
    "closed_on": {"type": "date"},
    "details": {"type": "json"},
    "marks": {"type": "list", "values": ["a", "b"], "items": {"type": "text"}},
    "steps": {"type": "list", "children": {"step_id": {"type": "bigint"}, "done": {"type": "bool"}}},
    "owner": {"type": "object", "children": {"owner_id": {"type": "bigint"}, "owner_name": {"type": "text"}}},
}
"""Fields of every type; calls have none of them."""

SHARED: dict[str, Any] = {
    "visitor_id": {"type": "bigint"},
    "site_id": {"type": "bigint"},
    "visitor_city": {"type": "bigint"},
    "communication_type": {"type": "text", "values": ["survey"]},
}
"""Fields that calls have under the same name: two of the same type, one of another type, one with other codes."""


def parse_fields(declared: Mapping[str, Any]) -> dict[str, Field]:
    def described(field: Mapping[str, Any]) -> dict[str, Any]:
        children = {name: described(child) for name, child in field.get("children", {}).items()}
        items = {"items": described(field["items"])} if "items" in field else {}
        return {"description": "A field.", **field, **({"children": children} if children else {}), **items}

    return {name: Field.parse(name, described(field)) for name, field in declared.items()}


def surveys(cursor_type: str = "timestamp", **more: Any) -> Report:
    """A report that the sandbox does not know."""
    fields = {"id": {"type": "bigint"}, "taken": {"type": cursor_type, "sort": True}, **TYPED, **SHARED}
    settings = {"primary_key": "id", "cursor": "taken", "longest_period_days": 90, "computed": {}, **more}
    return Report("surveys", "get.surveys_report", "Surveys.", fields=parse_fields(fields), **settings)


def rooms() -> Dictionary:
    """A dictionary that the sandbox does not know."""
    fields = parse_fields({"id": {"type": "bigint"}, **TYPED})
    return Dictionary("rooms", "get.rooms", "Rooms.", primary_key="id", fields=fields)


def march() -> SyntheticAccount:
    account = SyntheticAccount(first_day=date(2026, 3, 1), last_day=date(2026, 3, 7), calls_per_day=100)
    account.upload(datetime(2026, 3, 7, 12), datetime(2026, 3, 2, 12))
    return account


def calls_of_the_day() -> list[dict[str, Any]]:
    return list(march().calls(datetime(2026, 3, 2), datetime(2026, 3, 3), now=datetime(2100, 1, 1)))


def fetch(resource: Report | Dictionary, **params: Any) -> list[dict[str, Any]]:
    """All rows that the API returns for a resource."""
    account = march()
    if isinstance(resource, Dictionary):
        account.dictionaries[resource.name] = make_entries(resource)
    protocol = Protocol(account, Switches(bounds="[)"), catalog=[resource])
    params = {"access_token": KEY, "limit": 10_000, "fields": list(resource.fields), **params}
    body = {"jsonrpc": "2.0", "id": 1, "method": resource.method, "params": params}
    response = protocol.respond(orjson.dumps(body))
    assert "result" in response, response
    return list(response["result"]["data"])


def check_type(field: Field, value: Any) -> None:
    if field.type == "list":
        assert isinstance(value, list)
        for element in value:
            if field.items:
                check_type(field.items, element)
                assert not field.values or element in field.values
            else:
                check_object(field, element)
    elif field.type == "object":
        check_object(field, value)
    elif field.type in PATTERNS:
        assert re.fullmatch(PATTERNS[field.type], value), field.name
    else:
        assert type(value) is PYTHON_TYPES[field.type], field.name
        assert not field.values or value in field.values


def check_object(field: Field, value: Any) -> None:
    assert set(value) == set(field.children)
    for name, child in field.children.items():
        check_type(child, value[name])


@pytest.mark.parametrize("resource", [surveys(), rooms()], ids=["report", "dictionary"])
def test_every_field_has_a_value_of_its_type(resource: Report | Dictionary) -> None:
    rows = fetch(resource, **(DAY if isinstance(resource, Report) else {}))
    assert len(rows) >= 3
    for row in rows:
        assert set(row) == set(resource.fields)
        for name, field in resource.fields.items():
            check_type(field, row[name])
        assert 1 <= len(row["marks"]) <= 2
    assert {row["state"] for row in rows} == {"open", "closed"}


def test_report_has_one_row_per_call_with_a_unique_key_inside_the_period() -> None:
    calls, rows = calls_of_the_day(), fetch(surveys(), **DAY, sort=[{"field": "taken"}])
    assert [row["taken"] for row in rows] == [call["start_time"] for call in calls]
    assert len({row["id"] for row in rows}) == len(rows) > 50
    assert all(0 < row["id"] < 2**53 for row in rows)


def test_pages_of_a_sorted_report_add_up_to_the_whole_result() -> None:
    query = {**DAY, "sort": [{"field": "taken"}]}
    pages = [fetch(surveys(), **query, limit=20, offset=offset) for offset in range(0, 200, 20)]
    assert [row for page in pages for row in page] == fetch(surveys(), **query)


def test_fields_that_calls_have_with_the_same_type_take_the_values_of_the_call() -> None:
    calls, rows = calls_of_the_day(), fetch(surveys(), **DAY, sort=[{"field": "taken"}])
    assert [row["visitor_id"] for row in rows] == [call["visitor_id"] for call in calls]
    assert {row["communication_type"] for row in rows} == {"survey"}, "calls have another code"
    assert all(isinstance(row["visitor_city"], int) for row in rows), "calls have text"


def test_report_with_a_date_cursor_returns_days_inside_the_period() -> None:
    rows = fetch(surveys("date"), date_from="2026-03-02 00:00:00", date_till="2026-03-04 00:00:00")
    assert {row["taken"] for row in rows} == {"2026-03-02", "2026-03-03"}


def test_report_with_a_computed_key_has_unique_parts_of_the_key() -> None:
    report = surveys(primary_key="row_id", key_of=["taken", "site_id", "number"])
    rows = fetch(report, **DAY)
    assert len({(row["taken"], row["site_id"], row["number"]) for row in rows}) == len(rows) == len(calls_of_the_day())


@pytest.mark.parametrize(("parameter", "dictionary"), [("site_id", "sites"), ("number", "employees")])
def test_report_read_for_each_entry_has_each_row_once(parameter: str, dictionary: str) -> None:
    """Calls have a site; other parameters are assigned by the call's id."""
    report = surveys(for_each={parameter: dictionary})
    ids = [entry["id"] for entry in march().dictionaries[dictionary]]
    rows = {value: fetch(report, **DAY, **{parameter: value}) for value in ids}
    for value, part in rows.items():
        assert part
        assert {row[parameter] for row in part} == {value}
    every_key = [row["id"] for part in rows.values() for row in part]
    assert len(set(every_key)) == len(every_key) == len(calls_of_the_day())
    assert fetch(report, **DAY, **{parameter: 1}) == []


def test_dictionary_has_a_few_entries_with_unique_keys() -> None:
    entries = fetch(rooms())
    assert len({entry["id"] for entry in entries}) == len(entries) == 3


def test_dictionary_with_a_computed_key_has_unique_parts_of_the_key() -> None:
    entries = fetch(replace(rooms(), primary_key="row_id", key_of=["title", "state"]))
    assert "row_id" not in entries[0]
    assert len({entry["title"] for entry in entries}) == len(entries) == 3


def test_every_resource_of_the_catalog_has_rows() -> None:
    for report in (one for one in reports().values() if one.parents is None):
        sites = {"site_id": 11} if report.for_each else {}
        period = {} if report.period == BY_FILTER else DAY
        assert fetch(report, **period, **sites), report.name
    account = march()
    assert set(account.dictionaries) == set(dictionaries()) - {"account"}
    assert all(account.dictionaries.values())


def as_json() -> str:
    rows = fetch(surveys(), **DAY, sort=[{"field": "taken"}])
    return json.dumps([rows, fetch(rooms())], sort_keys=True)


def test_rows_are_the_same_in_another_process() -> None:
    code = "from tests.sandbox.test_default_rows import as_json; print(as_json())"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip() == as_json()
