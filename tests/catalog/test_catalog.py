"""The catalog and the vendor's specification agree, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest

from comagic.catalog import DAY, LIST, TIME, Dictionary, Field, Report, dictionaries, reports, resources

SPECIFICATION: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "methods.json").read_text("utf-8"))[
    "methods"
]
ARTICLE = [
    "id",
    "visitor_id",
    "person_id",
    "start_time",
    "finish_reason",
    "is_lost",
    "tags",
    "campaign_name",
    "communication_number",
    "contact_phone_number",
    "talk_duration",
    "clean_talk_duration",
    "virtual_phone_number",
    "ua_client_id",
    "ym_client_id",
    "entrance_page",
    "gclid",
    "yclid",
    "visitor_type",
    "visits_count",
    "visitor_first_campaign_name",
    "visitor_device",
    "site_domain_name",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "eq_utm_source",
    "eq_utm_medium",
    "eq_utm_campaign",
    "attributes",
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
    "": {"text"},  # the manual names no type
}

MONEY_AS_TEXT = {"cost_sum": {"double"}}
"""What the API sends as text although it is a number, and is to be added up."""

UNSORTED = {"goals", "offline_messages", "visitor_sessions"}
"""Reports whose time cannot be sorted by; `reading` asks for windows of one page."""

every_report = pytest.mark.parametrize("report", reports().values(), ids=lambda report: report.name)


def documented(report: Report) -> dict[str, dict[str, Any]]:
    return {of["name"]: of for of in SPECIFICATION[report.method]["fields"]}


@every_report
def test_the_same_fields_in_both(report: Report) -> None:
    assert list(report.fields) == list(documented(report))


@every_report
def test_the_same_types_flags_and_codes_in_both(report: Report) -> None:
    for name, of in documented(report).items():
        declared = report.fields[name]
        assert declared.type in TYPES[of["type"]] | MONEY_AS_TEXT.get(name, set()), name
        flags = (of.get("sort", False), of.get("filter", False), of.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if of["type"] != "boolean":
            assert list(declared.values) == of.get("values", []), name


@every_report
def test_the_same_children_in_both(report: Report) -> None:
    for name, of in documented(report).items():
        children = {child["name"]: child for child in of.get("children", [])}
        assert set(report.fields[name].children) == set(children), name
        for child, spec in children.items():
            nested = {"json"} if spec["type"] == "array" else TYPES[spec["type"]]
            assert report.fields[name].children[child].type in nested, f"{name}.{child}"
        assert (report.fields[name].items is not None) == (of["type"] == "array" and not children), name


@every_report
def test_key_and_cursor_are_fields_and_the_cursor_can_be_sorted_by_where_the_manual_says_so(report: Report) -> None:
    columns = {*(report.selected or report.fields), *report.computed}
    assert set(report.needed) <= columns
    assert (report.primary_key in report.computed) == bool(report.key_of)
    assert report.fields[report.cursor].sort == (report.name not in UNSORTED)
    assert report.fields[report.cursor].type in (TIME, DAY)


@every_report
def test_everything_has_a_description_of_one_line(report: Report) -> None:
    def described(of: Field) -> bool:
        inner = [*of.children.values(), *([of.items] if of.items else [])]
        return of.description.endswith(".") and "\n" not in of.description and all(map(described, inner))

    assert report.description
    for of in [*report.fields.values(), *report.computed.values()]:
        assert described(of), of.name


def test_calls_has_all_105_fields_and_by_default_at_least_the_articles() -> None:
    calls = reports()["calls"]
    assert len(calls.fields) == 105
    assert len(ARTICLE) == 31
    assert set(ARTICLE) <= set(calls.selected)


INSIDE = {
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
"""Fields that the manual's table lists beside the object or list that they are inside of, as its samples show."""

every_dictionary = pytest.mark.parametrize("dictionary", dictionaries().values(), ids=lambda of: of.name)


@every_dictionary
def test_a_dictionary_is_as_the_manual_has_it(dictionary: Dictionary) -> None:
    inside, parent = INSIDE.get(dictionary.name, (set(), ""))
    listed = SPECIFICATION[dictionary.method]["fields"]
    specified = {of["name"]: of for of in reversed(listed) if of["name"] not in inside}
    assert set(dictionary.fields) == set(specified)
    for name, of in specified.items():
        declared = dictionary.fields[name]
        expected = TYPES[of["type"]] | {"object": {"object"}, "array": {"json"}}.get(of["type"], set())
        assert declared.type in expected, name
        flags = (of.get("sort", False), of.get("filter", False), of.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if declared.type in ("list", "object"):
            children = {child["name"] for child in of.get("children", [])} | (inside if name == parent else set())
            assert set(declared.children) == children, name
    assert dictionary.primary_key in dictionary.fields


@every_dictionary
def test_a_dictionary_is_described(dictionary: Dictionary) -> None:
    assert dictionary.description.endswith((".", "`.", "row."))
    for of in dictionary.fields.values():
        for one in (of, *of.children.values(), *([of.items] if of.items else [])):
            assert one.description.endswith("."), f"{of.name}.{one.name}"
            assert "\n" not in one.description


def test_what_of_the_manual_is_a_resource() -> None:
    """The other read methods list what could be bought or configured, and no data of the account."""
    left_out = {
        "get.campaign_available_phone_numbers",
        "get.campaign_available_redirection_phone_numbers",
        "get.campaign_parameter_weights",
        "get.available_virtual_numbers",
        "get.employee_stat",
        "get.tariff_plans",
        "get.sip_line_virtual_numbers",
    }
    assert {of.method for of in resources().values()} == set(SPECIFICATION) - left_out


@every_report
def test_what_a_request_has_to_name_is_named(report: Report) -> None:
    params = SPECIFICATION[report.method]["params"]
    required = {of["name"] for of in params if of["required"]} - {"access_token", "date_from", "date_till"}
    assert set(report.for_each) == required
    assert set(report.for_each.values()) <= set(dictionaries())
