"""A key that the catalog does not have becomes a column, unless its column is another's; and not too many of them."""

import json
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comagic.catalog import reports, resources
from comagic.exceptions import TooManyColumnsError
from comagic.extract import unknown_keys
from comagic.extract.privacy import Privacy
from comagic.extract.transform import MAX_PROBLEMS, Misfits, RowTransformer
from comagic.extract.unknown_keys import NAMING, UnknownKeys
from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, access_to, expected_calls, recent_account
from tests.support.processes import SMALL_PACKAGES, Command, Serve
from tests.support.warehouses import Warehouse

CALLS = reports()["calls"]
ROW = {"id": 1, "start_time": "2026-01-01 00:00:00", "talk_duration": 5}
PRIVACY = Privacy(
    frozenset({"contact_full_name", "employees.employee_full_name"}), frozenset({"contact_phone_number"}), "k"
)


def transformed(more: dict[str, Any], **options: Any) -> tuple[dict[str, Any], RowTransformer]:
    transformer = RowTransformer(CALLS, UTC, PRIVACY, unknown=UnknownKeys(CALLS, PRIVACY, **options))
    (row,) = transformer.transform([{**ROW, **more}])
    return row, transformer


@pytest.mark.parametrize(
    "key",
    [
        *(
            "user_id",
            "User ID",
            "_dlt_id",
            "_DLT_LOAD_ID",
            "_dlt_root_id",
            "__dlt_id",
            "talk__duration",
            "Partition-Date",
            "Talk.Duration",
            "talkDuration",
        ),
        *("Contact_Full_Name", "contactPhoneNumber", "CONTACT PHONE NUMBER", "duration__v_text", "", "  ", "ID"),
    ],
)
def test_key_whose_column_is_another_ones_is_dropped_and_reported(key: str) -> None:
    row, transformer = transformed({key: "x", "new_key": "y"})
    assert row.pop("new_key") == "y"
    assert row.keys() == {*ROW, "partition_date", "row_hash"}
    (warning,) = transformer.unknown.warnings()
    assert "is not loaded, since its column would be" in warning


def test_first_of_two_spellings_is_loaded() -> None:
    row, transformer = transformed({"new_key": 1, "New Key": 2, "more": {"a b": 3, "a_b": 4}, "more__a_b": 5})
    assert (row["new_key"], row["more"], "more__a_b" in row, "New Key" in row) == (1, {"a b": 3}, False, False)
    assert len(transformer.unknown.dropped) == 3


def test_objects_of_lists_are_checked_too() -> None:
    people = [{"employee_id": 7, "Employee_Full_Name": "Anna", "_dlt_id": "x", "_dlt_parent_id": "y", "level": 1}]
    row, transformer = transformed({"employees": people, "news": [{"_dlt_id": 1, "a": 2}, 3]})
    assert row["employees"] == [{"employee_id": 7, "level": 1}]
    assert row["news"] == [{"a": 2}, 3]
    assert len(transformer.unknown.dropped) == 4


PRIVATE = "74950000001"
HIDDEN: list[dict[str, Any]] = [
    {"contact__phone_number": PRIVATE},
    {"_Contact-Phone-Number_": PRIVATE},
    {"ContactPhonenumber": PRIVATE},
    {"Contact_Phone_Number": {"x": PRIVATE, "y": {"z": [PRIVATE]}}},
    {"contact": {"phone_number": PRIVATE}},
    {"more": {"contactPhoneNumber": PRIVATE}},
    {"more": {"deep": {"CONTACT PHONE NUMBER": {"x": PRIVATE}}}},
    {"news": [{"contact_phone_number": PRIVATE, "a": 1}]},
    {"news": [[{"contact_phone_number": PRIVATE}]]},
    {"talk_duration": {"contact_phone_number": PRIVATE}},
    {"campaign_name": [{"Contact Full Name": PRIVATE}]},
    {"employees__employee_full_name": PRIVATE},
    {"Employees": [{"employee_full_name": PRIVATE}]},
    {"employees": [{"employee__full_name": PRIVATE}]},
    {"employees": [{"Employee_Full_Name": {"x": PRIVATE}}]},
    {"employees": [{"more": {"EmployeeFullName": PRIVATE}}]},
    {"employees": [{"more": [{"employee_full_name_": PRIVATE}]}]},
    {"employees": [{"employee_id": [{"employee_full_name": PRIVATE}]}]},
    {"employees": [[{"employee_full_name": PRIVATE}]]},
    {"tags": [[{"employee_full_name": PRIVATE}]]},
]


@pytest.mark.parametrize("more", HIDDEN, ids=map(str, HIDDEN))
def test_private_field_is_dropped_wherever_it_is_and_however_it_is_spelled(more: dict[str, Any]) -> None:
    row, transformer = transformed(more)
    assert PRIVATE not in str(row)
    assert transformer.unknown.warnings()
    text = transformer.redact_to_json({"id": None, **more})
    assert PRIVATE not in text
    assert '"id": null' in text


@pytest.mark.parametrize("value", [[{"coach_full_name": PRIVATE}], f"login {PRIVATE}", 7, [PRIVATE]])
def test_declared_object_of_another_shape_is_dropped_if_some_of_it_is_private(value: Any) -> None:
    employees = resources()["employees"]
    privacy = Privacy(frozenset({"coach.coach_full_name"}))
    transformer = RowTransformer(employees, UTC, privacy)
    (row,) = transformer.transform([{"id": 1, "coach": value}])
    assert row == {"id": 1}
    assert transformer.unknown.dropped.keys() == {"coach"}
    assert PRIVATE not in transformer.redact_to_json({"id": None, "coach": value})
    (row,) = RowTransformer(employees, UTC).transform([{"id": 1, "coach": value}])
    assert row == {"id": 1, "coach__v_text": value if isinstance(value, str) else json.dumps(value)}


def test_key_with_values_of_several_types_is_one_column_and_one_of_text() -> None:
    values: list[Any] = [1, 1.5, True, "t", "7", 10**30, 2.0]
    unknown = UnknownKeys(CALLS, PRIVACY, max_new=2)
    transformer = RowTransformer(CALLS, UTC, PRIVACY, unknown=unknown)
    rows = transformer.transform([{**ROW, "New Key": value} for value in values])
    assert [row.get("New Key") for row in rows] == [1, None, 1, None, 7, None, 2]
    assert [row.get("new_key__v_text") for row in rows] == [None, "1.5", None, "t", None, str(10**30), None]
    with pytest.raises(TooManyColumnsError):
        transformer.transform([{**ROW, "another": 1}])


def test_type_of_an_existing_column_is_kept() -> None:
    row, _ = transformed({"a": 7, "b": "x", "c": 1}, existing={"a": "text", "b": "bigint", "c": "decimal"})
    assert (row["a"], row["b__v_text"], row["c"], "b" in row) == ("7", "x", 1, False)


def test_items_of_an_unknown_list_are_of_one_type_or_text() -> None:
    row, _ = transformed({"news": [1, "x", None, 2.5, "3", {"value": "y"}]})
    text = "value__v_text"
    assert row["news"] == [1, {text: "x"}, None, {text: "2.5"}, 3, {text: "y"}]


@pytest.mark.parametrize(("keys", "characters"), [(100, 10**9), (10**9, 1000)])
def test_different_keys_that_are_kept_in_memory_are_limited(
    keys: int, characters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_keys, "MAX_KEYS", keys)
    monkeypatch.setattr(unknown_keys, "MAX_CHARACTERS", characters)
    with pytest.raises(TooManyColumnsError, match="keys that are not documented"):
        transformed({f"_dlt_{nth}": nth for nth in range(300)})


def test_values_that_do_not_fit_are_counted_and_the_first_are_kept() -> None:
    transformer = RowTransformer(CALLS, UTC)
    transformer.transform([{**ROW, "id": nth, "talk_duration": "long"} for nth in range(100)])
    taken = transformer.take_misfits()
    assert (taken.number, len(taken.first)) == (100, MAX_PROBLEMS)
    assert transformer.take_misfits() == Misfits()


def test_rejected_row_has_no_other_spelling_of_private_fields() -> None:
    transformer = RowTransformer(CALLS, UTC, PRIVACY)
    text = transformer.redact_to_json({"id": None, "Contact_Full_Name": "Anna", "contactPhoneNumber": "7495", "x": 1})
    assert text == '{"id": null, "x": 1}'


@given(
    keys=st.dictionaries(st.text(), st.integers() | st.text() | st.dictionaries(st.text(), st.integers()), max_size=20)
)
def test_no_two_keys_of_a_row_share_a_column(keys: dict[str, Any]) -> None:
    row, _ = transformed({key: value for key, value in keys.items() if key not in CALLS.fields})
    names = []
    for key, value in row.items():
        parts = value if isinstance(value, dict) else [""]
        names += [f"{NAMING.normalize_path(key)}__{NAMING.normalize_path(part) if part else ''}" for part in parts]
    assert len(names) == len(set(names))


def test_too_many_new_columns_stop_the_resource() -> None:
    existing = {f"old_{nth}": "bigint" for nth in range(50)}
    many = {**dict.fromkeys(existing, 1), **{f"key_{nth}": nth for nth in range(3)}}
    row, _ = transformed(many, existing=existing, max_new=3)
    assert row["key_2"] == 2
    with pytest.raises(TooManyColumnsError, match=r"What came before is loaded, and its columns stay.*max_new_columns"):
        transformed({**many, "object": {"one": 1}}, existing=existing, max_new=3)


@pytest.mark.expensive
def test_load_with_hostile_keys_leaves_the_table_as_it_is(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    account = recent_account(3)
    keys = {"_DLT_ID": 1, "userId": 2, "Partition Date": 3, **{f"key_{nth}": nth for nth in range(101)}}
    environment = access_to(serve(account))
    assert command(**environment).code == 0
    columns = warehouse.query("SELECT column_name FROM information_schema.columns ORDER BY ALL")
    hostile = access_to(serve(account, switches=Switches(undocumented=keys)))
    result = command(**hostile)
    assert (result.code, "Not loaded: calls. calls: the API sends more than 100 keys" in result.out) == (1, True), (
        result.out
    )
    assert warehouse.query("SELECT column_name FROM information_schema.columns ORDER BY ALL") == columns
    result = command(**hostile, SOURCES__COMAGIC__MAX_NEW_COLUMNS="200")
    assert (result.code, "the key userId is not loaded" in result.out) == (0, True), result.out
    assert command(**environment).code == 0
    assert {row["id"] for row in warehouse.rows("calls")} == set(expected_calls(account, LONG_AGO))


def test_limit_of_new_columns_holds_for_all_packages_of_a_load(serve: Serve, command: Command) -> None:
    def rename(request: int) -> None:
        sandbox.switches.undocumented = {f"key_{request}_{nth}": nth for nth in range(10)}

    sandbox = serve(recent_account(), before_answer=rename)
    result = command(**access_to(sandbox), **SMALL_PACKAGES)
    assert (result.code, "sends more than 100 keys" in result.out) == (1, True), result.out
