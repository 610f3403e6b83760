"""The catalog matches the vendor's specification in both directions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from comagic import catalog
from comagic.catalog import (
    BY_DAY,
    BY_FILTER,
    BY_PARENT,
    DAY,
    LIST,
    TIME,
    Dictionary,
    Field,
    Report,
    Resource,
    dictionaries,
    reports,
    resources,
)
from tests.support.article import ARTICLE_FIELDS

DATA = Path(__file__).parent.parent / "data"


def read_methods(name: str) -> dict[str, dict[str, Any]]:
    """The methods of a file of the specification."""
    methods: dict[str, dict[str, Any]] = json.loads((DATA / name).read_text("utf-8"))["methods"]
    return methods


WITH_BRANDS = read_methods("methods_more.json")
"""Methods whose brands and component are known, too."""
SPECIFICATION = {**read_methods("methods.json"), **WITH_BRANDS}
BRANDS = ("comagic", "callgear", "novofon")
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

UNSORTED = {"goals", "offline_messages", "visitor_sessions", "uploaded_calls"}
"""Reports that cannot be sorted by their cursor; they are read in windows of one page."""

LATER_CODES = {("chats", "chat_channel_type"): ["max", "max_bot"]}
"""Codes of newer manuals, which the copy of the tables does not have."""

OTHER_TYPES = {
    "chats": {"visitor_phone_number": "text", "employee_raiting": "double"},
    "offline_messages": {"visitor_phone_number": "text"},
    "call_legs": {"employee_rating": "double"},
    "campaign_daily_stat": {"current_banner_id": "text"},
    "call_tracking_rules": {"sources": "list", "redirection_numbers": "text"},
    "goal_names": {"id": "text", "group_id": "text"},
    "goal_groups": {"id": "text", "parent_group_id": "text"},
    "call_phrases": {"start_time": "text"},
}
"""Fields of another type than the manual says.

A phone number can begin with a plus or a zero, and is text. A rating may be a decimal; it is a double since that is the
type to which BigQuery widens whole numbers and in which averages are, and halves are exact. The id of a banner is a
number, in CallGear a string. The sample of `sources` has a list of objects. Ids of goals and of their groups are
numbers in one place and texts in another; the time of a phrase is a time of day in the sample.
"""

every_report = pytest.mark.parametrize("report", reports().values(), ids=lambda report: report.name)


def documented(resource: Resource) -> list[dict[str, Any]]:
    """The documented fields of a resource's rows, which may be in a list of the object that the method returns."""
    fields = SPECIFICATION[resource.method]["fields"]
    if not resource.rows_in:
        return list(fields)
    rows = next(field for field in fields if field["name"] == resource.rows_in)
    return [{"default": rows.get("default", False), **child} for child in rows["children"]]


def documented_fields(report: Report) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in documented(report)}


@every_report
def test_report_has_exactly_the_documented_fields(report: Report) -> None:
    assert [name for name, field in report.fields.items() if "comagic" not in field.not_in] == list(
        documented_fields(report)
    )


@every_report
def test_report_fields_have_the_documented_types_flags_and_codes(report: Report) -> None:
    for name, spec in documented_fields(report).items():
        declared = report.fields[name]
        objects = {"object"} if spec["type"] == "object" else set()
        expected = OTHER_TYPES.get(report.name, {}).get(name)
        allowed = {expected} if expected else TYPES[spec["type"]] | MONEY_AS_TEXT.get(name, set()) | objects
        assert declared.type in allowed, name
        flags = (spec.get("sort", False), spec.get("filter", False), spec.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if spec["type"] != "boolean":
            codes = [*spec.get("values", []), *LATER_CODES.get((report.name, name), [])]
            assert list(declared.values) == codes, name


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
    assert report.cursor_field.sort == (report.name not in UNSORTED and report.period not in (BY_DAY, BY_PARENT))
    assert report.cursor_field.type in (TIME, DAY)
    assert (report.period in (BY_DAY, BY_PARENT)) == (report.cursor in report.computed)


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
    "call_tracking_rules": (
        {"call_processing_rule_group", "custom_redirection_phone", "redirection_phone", "child_customer_id"},
        "static_replacement_phones_settings",
    ),
}
"""Fields that the manual lists at the top level although its samples show them inside this object or list."""

UNSORTED_DICTIONARIES = {"lead_funnel_stages"}
"""Dictionaries that the API is not asked to sort, since the manual has two names of the parameter for it."""


def with_fields_moved_up(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The manual's fields; a campaign's parameters, which it lists in the site blocks, are the campaign's own."""

    def is_of_campaign(field: dict[str, Any]) -> bool:
        return str(field["name"]).startswith("static_utm_")

    children = [child for field in listed for child in field.get("children", [])]
    kept = [
        {**field, "children": [child for child in field["children"] if not is_of_campaign(child)]}
        if "children" in field
        else field
        for field in listed
    ]
    return [*kept, *filter(is_of_campaign, children)]


every_dictionary = pytest.mark.parametrize(
    "dictionary", dictionaries().values(), ids=lambda dictionary: dictionary.name
)


@every_dictionary
def test_dictionary_has_exactly_the_documented_fields_types_and_flags(dictionary: Dictionary) -> None:
    nested, parent = NESTED_FIELDS.get(dictionary.name, (set(), ""))
    listed = documented(dictionary)
    specified = {
        field["name"]: field
        for field in reversed(with_fields_moved_up(listed))
        if field["name"] not in nested and not field.get("sample_only")
    }
    assert {name for name, field in dictionary.fields.items() if "comagic" not in field.not_in} == set(specified)
    other_types = OTHER_TYPES.get(dictionary.name, {})
    is_sorted = dictionary.name not in UNSORTED_DICTIONARIES
    for name, spec in specified.items():
        declared = dictionary.fields[name]
        expected = TYPES[spec["type"]] | {"object": {"object"}, "array": {"json"}}.get(spec["type"], set())
        assert declared.type in ({other_types[name]} if name in other_types else expected), name
        flags = (spec.get("sort", False) and is_sorted, spec.get("filter", False), spec.get("default", False))
        assert (declared.sort, declared.filter, declared.sent) == flags, name
        if declared.type in ("list", "object"):
            children = {child["name"] for child in spec.get("children", [])} | (nested if name == parent else set())
            assert set(declared.children) == children, name


@every_dictionary
def test_dictionary_key_is_a_field_or_is_computed_from_fields(dictionary: Dictionary) -> None:
    assert (dictionary.primary_key in dictionary.computed) == bool(dictionary.key_of)
    assert dictionary.primary_key in {**dictionary.fields, **dictionary.computed}
    assert set(dictionary.key_of) <= set(dictionary.fields)


@every_dictionary
def test_dictionary_declares_every_required_request_parameter(dictionary: Dictionary) -> None:
    """It is requested with the common ones alone; a method without `user_id` concerns the agency, or no client."""
    params = {param["name"]: param["required"] for param in SPECIFICATION[dictionary.method]["params"]}
    assert [name for name, required in params.items() if required] == ["access_token"]
    assert not (dictionary.is_agency_level and "user_id" in params)


@pytest.mark.parametrize("name", [name for name, one in resources().items() if one.method in WITH_BRANDS])
def test_resource_has_the_documented_component_brands_codes_and_types_of_nested_fields(name: str) -> None:
    resource, spec = resources()[name], WITH_BRANDS[resources()[name].method]
    assert resource.component == spec.get("component", "")
    assert list(resource.not_in) == [brand for brand in BRANDS if brand not in spec["brands"]]
    for field_spec in spec["fields"]:
        field = resource.fields.get(field_spec["name"])
        if field is None:
            continue  # reported by the test of the fields
        assert list(field.values) == field_spec.get("values", []), field.name
        for child_spec in field_spec.get("children", []) if field.children else []:
            child = field.children[child_spec["name"]]
            allowed = TYPES[child_spec["type"]] | ({"bigint"} if child.name.endswith("_id") else set())
            allowed |= {"json"} if child_spec["type"] == "array" else set()
            assert child.type in allowed, f"{field.name}.{child.name}"
            assert list(child.values) == child_spec.get("values", []), f"{field.name}.{child.name}"


def nested(field: Field) -> Iterator[Field]:
    """The field itself, and all in it."""
    yield field
    for child in [*field.children.values(), *([field.items] if field.items else [])]:
        yield from nested(child)


@pytest.mark.parametrize("name", resources())
def test_phone_numbers_are_text_and_ratings_by_people_are_doubles(name: str) -> None:
    """`tags.rating` is no rating: it counts uses."""
    for field in [one for declared in resources()[name].fields.values() for one in nested(declared)]:
        if field.name.endswith("phone_number") or field.name in ("redirection_numbers", "phones"):
            assert field.type in ("text", LIST), field.name
        if field.name.endswith(("_rating", "_raiting")):
            assert field.type == "double", field.name
        if field.name in ("phone_numbers", "phones", "virtual_phone_numbers") and field.items:
            assert field.items.type == "text", field.name


def test_parameters_of_a_campaign_are_its_own_and_do_not_come_unrequested() -> None:
    fields = resources()["campaigns"].fields
    parameters = {name for name in fields if name.startswith("static_utm_")}
    assert len(parameters) == 7
    assert not any(fields[name].sent or fields[name].retired or fields[name].not_in for name in parameters)


@pytest.mark.parametrize("name", resources())
def test_no_field_is_a_password(name: str) -> None:
    resource = resources()[name]
    for field in resource.fields.values():
        assert not any("password" in declared for declared in (field.name, *field.children))


@every_dictionary
def test_dictionary_and_all_its_fields_have_one_line_descriptions(dictionary: Dictionary) -> None:
    assert dictionary.description.endswith((".", "`.", "row."))
    for field in (*dictionary.fields.values(), *dictionary.computed.values()):
        for described in (field, *field.children.values(), *([field.items] if field.items else [])):
            assert described.description.endswith("."), f"{field.name}.{described.name}"
            assert "\n" not in described.description


def test_catalog_has_every_documented_method_that_returns_account_data() -> None:
    assert {resource.method for resource in resources().values()} == set(SPECIFICATION)


@every_report
def test_report_declares_every_required_request_parameter(report: Report) -> None:
    params = SPECIFICATION[report.method]["params"]
    dates = {"date_from", "date_till"}
    # the manual requires a report_id for uploads in one place, and shows a request without it in another
    required = {param["name"] for param in params if param["required"]} - {"access_token", "report_id"} - dates
    assert set(report.for_each).union([report.parents.parameter] if report.parents else []) == required
    assert (report.period in (BY_FILTER, BY_PARENT)) == (not dates & {param["name"] for param in params})
    assert set(report.for_each.values()) <= set(dictionaries())


def test_both_parsers_of_yaml_read_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalog.LOADER is yaml.CSafeLoader, "PyYAML's wheels have it"
    by_c = [catalog._read_yaml(file) for file in sorted(catalog.HERE.rglob("*.yaml"))]
    monkeypatch.setattr(catalog, "LOADER", yaml.SafeLoader)
    assert [catalog._read_yaml(file) for file in sorted(catalog.HERE.rglob("*.yaml"))] == by_c
    assert len(by_c) > 30
