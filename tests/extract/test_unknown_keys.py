"""A key that the catalog does not have becomes a column, unless its column is another's; and not too many of them."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comagic.catalog import reports
from comagic.exceptions import TooManyColumnsError
from comagic.extract.privacy import Privacy
from comagic.extract.transform import RowTransformer
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
    existing = [f"old_{nth}" for nth in range(50)]
    many = {**dict.fromkeys(existing, 1), **{f"key_{nth}": nth for nth in range(3)}}
    row, _ = transformed(many, existing=existing, max_new=3)
    assert row["key_2"] == 2
    with pytest.raises(TooManyColumnsError, match="max_new_columns"):
        transformed({**many, "object": {"one": 1}}, existing=existing, max_new=3)


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
