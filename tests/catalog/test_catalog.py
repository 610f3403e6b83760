"""The catalog matches the vendor's specification in both directions."""

import json
from pathlib import Path
from typing import Any

import pytest

from comagic.catalog import DAY, LIST, TIME, Dictionary, Field, Report, dictionaries, reports, resources
from tests.support.article import ARTICLE_FIELDS

SPECIFICATION: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "methods.json").read_text("utf-8"))[
    "methods"
]
TYPES = {
    "number": {"bigint", "double"},
    "string": {"text"},
    "enum": {"text"},
    "boolean": {"bool"},
    "iso8601": {TIME, DAY},
    "array": {LIST},
    "object": {"json"},
    "id": {"bigint"},
    "": {"text"},  # no type in the manual
}

MONEY_AS_TEXT = {"cost_sum": {"double"}}
"""Numeric fields that the API sends as text, declared as numbers so that they can be summed."""

UNSORTED = {"goals", "offline_messages", "visitor_sessions"}
"""Reports that cannot be sorted by their cursor; they are read in windows of one page."""

every_report = pytest.mark.parametrize("report", reports().values(), ids=lambda report: report.name)


def documented_fields(report: Report) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in SPECIFICATION[report.method]["fields"]}


@every_report
def test_report_has_exactly_the_documented_fields(report: Report) -> None:
    assert list(report.fields) == list(documented_fields(report))


@every_report
def test_report_fields_have_the_documented_types_flags_and_codes(report: Report) -> None:
    for name, spec in documented_fields(report).items():
        declared = report.fields[name]
        assert declared.type in TYPES[spec["type"]] | MONEY_AS_TEXT.get(name, set()), name
        flags = (spec.get("sort", False), spec.get("filter", False), spec.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if spec["type"] != "boolean":
            assert list(declared.values) == spec.get("values", []), name


@every_report
def test_report_fields_have_the_documented_nested_fields(report: Report) -> None:
    for name, spec in documented_fields(report).items():
        children = {child["name"]: child for child in spec.get("children", [])}
        assert set(report.fields[name].children) == set(children), name
        for child, child_spec in children.items():
            allowed = {"json"} if child_spec["type"] == "array" else TYPES[child_spec["type"]]
            assert report.fields[name].children[child].type in allowed, f"{name}.{child}"
        assert (report.fields[name].items is not None) == (spec["type"] == "array" and not children), name


@every_report
def test_report_key_and_cursor_are_columns_and_cursor_is_sortable_as_documented(report: Report) -> None:
    columns = {*(report.selected or report.fields), *report.computed}
    assert set(report.needed) <= columns
    assert (report.primary_key in report.computed) == bool(report.key_of)
    assert report.fields[report.cursor].sort == (report.name not in UNSORTED)
    assert report.fields[report.cursor].type in (TIME, DAY)


@every_report
def test_report_and_all_its_fields_have_one_line_descriptions(report: Report) -> None:
    def is_described(field: Field) -> bool:
        nested = [*field.children.values(), *([field.items] if field.items else [])]
        return field.description.endswith(".") and "\n" not in field.description and all(map(is_described, nested))

    assert report.description
    for field in [*report.fields.values(), *report.computed.values()]:
        assert is_described(field), field.name


def test_calls_has_105_fields_and_selects_at_least_the_article_fields_by_default() -> None:
    calls = reports()["calls"]
    assert len(calls.fields) == 105
    assert len(ARTICLE_FIELDS) == 31
    assert set(ARTICLE_FIELDS) <= set(calls.selected)


NESTED_FIELDS = {
    "campaigns": ({"group_conditions", "conditions", "campaign_parameter", "value", "operator"}, "campaign_conditions"),
    "segments": (
        {"group_conditions", "conditions", "type", "segment_parameter", "value", "operator"},
        "segments_conditions",
    ),
    "group_employees": (
        {"employee_phone_number", "employee_phone_number_id", "employee_full_name", "employee_id", "available"},
        "phone_numbers",
    ),
    "group_contacts": ({"contact_id", "contact_full_name"}, "members"),
}
"""Fields that the manual lists at the top level although its samples show them inside this object or list."""

every_dictionary = pytest.mark.parametrize(
    "dictionary", dictionaries().values(), ids=lambda dictionary: dictionary.name
)


@every_dictionary
def test_dictionary_has_exactly_the_documented_fields_types_and_flags(dictionary: Dictionary) -> None:
    nested, parent = NESTED_FIELDS.get(dictionary.name, (set(), ""))
    listed = SPECIFICATION[dictionary.method]["fields"]
    specified = {field["name"]: field for field in reversed(listed) if field["name"] not in nested}
    assert set(dictionary.fields) == set(specified)
    for name, spec in specified.items():
        declared = dictionary.fields[name]
        expected = TYPES[spec["type"]] | {"object": {"object"}, "array": {"json"}}.get(spec["type"], set())
        assert declared.type in expected, name
        flags = (spec.get("sort", False), spec.get("filter", False), spec.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if declared.type in ("list", "object"):
            children = {child["name"] for child in spec.get("children", [])} | (nested if name == parent else set())
            assert set(declared.children) == children, name
    assert dictionary.primary_key in dictionary.fields


@every_dictionary
def test_dictionary_and_all_its_fields_have_one_line_descriptions(dictionary: Dictionary) -> None:
    assert dictionary.description.endswith((".", "`.", "row."))
    for field in dictionary.fields.values():
        for described in (field, *field.children.values(), *([field.items] if field.items else [])):
            assert described.description.endswith("."), f"{field.name}.{described.name}"
            assert "\n" not in described.description


def test_catalog_has_every_documented_method_that_returns_account_data() -> None:
    """The excluded read methods list what can be bought or configured, not data of the account."""
    excluded = {
        "get.campaign_available_phone_numbers",
        "get.campaign_available_redirection_phone_numbers",
        "get.campaign_parameter_weights",
        "get.available_virtual_numbers",
        "get.employee_stat",
        "get.tariff_plans",
        "get.sip_line_virtual_numbers",
    }
    assert {resource.method for resource in resources().values()} == set(SPECIFICATION) - excluded


@every_report
def test_report_declares_every_required_request_parameter(report: Report) -> None:
    params = SPECIFICATION[report.method]["params"]
    required = {param["name"] for param in params if param["required"]} - {"access_token", "date_from", "date_till"}
    assert set(report.for_each) == required
    assert set(report.for_each.values()) <= set(dictionaries())
