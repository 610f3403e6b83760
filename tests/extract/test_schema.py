"""Columns are typed and described from the catalog; new ones are added, and a value of another type stops the load."""

import pytest

from comagic.catalog import LIST, Field, resources
from comagic.extract.schema import MAX_DESCRIPTION, columns, described, flatten
from tests.support.accounts import CALLS, days_ago, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse


def test_every_column_is_typed_and_described_even_without_values(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account()), start_date=days_ago(3).date(), fields="all")
    columns = warehouse.pipeline.default_schema.tables["calls"]["columns"]
    for name, field in {**CALLS.fields, **CALLS.computed}.items():
        if field.type != LIST:
            assert (columns[name]["data_type"], columns[name]["description"]) == (field.type, described(field))
    types = warehouse.columns("calls")
    assert types["ymclid"] == "VARCHAR"  # null in every call
    assert types["id"] == types["visitor_id"] == "BIGINT"
    assert types["sale_date"] == "TIMESTAMP WITH TIME ZONE"
    assert not [name for name in types if "__v_" in name]


def every_column() -> list[Field]:
    """The columns of all tables, those of lists, too."""
    fields = [field for resource in resources().values() for field in resource.fields.values()]
    lists = [[field.items] if field.items else field.children.values() for field in fields if field.type == LIST]
    return [field for field in flatten([*fields, *(one for part in lists for one in part)]) if field.type != LIST]


def test_description_of_every_column_has_its_codes() -> None:
    """But for the reasons why a call ended, of which there are more than BigQuery takes."""
    with_codes = [field for field in every_column() if field.values]
    assert len(with_codes) > 100
    cut = set()
    for field in with_codes:
        text = str(columns([field])[field.name]["description"])
        listed = text.removeprefix(f"{field.description} Codes: ").removesuffix(".").split(", ")
        assert len(text) <= MAX_DESCRIPTION
        if text != f"{field.description} Codes: {', '.join(dict.fromkeys(field.values))}.":
            cut.add(field.name)
            assert text.endswith(" and others, see docs/tables.md.")
            assert len(listed) > 30
            assert set(listed[:-2]) < set(field.values)
    assert cut == {"finish_reason"}


def test_codes_of_a_list_are_those_of_its_items() -> None:
    lists = [field for resource in resources().values() for field in resource.fields.values() if field.values]
    assert all(field.items.values == field.values for field in lists if field.items)


def test_only_selected_fields_and_the_key_are_loaded(serve: Serve, warehouse: Warehouse) -> None:
    warehouse.load(serve(recent_account()), start_date=days_ago(3).date(), fields="tags, is_lost")
    assert warehouse.rows("calls")[0].keys() == {
        *("id", "start_time", "is_lost", "partition_date", "row_hash"),
        *("_dlt_id", "_dlt_load_id"),
    }
    assert warehouse.query("SELECT count(*) > 0 FROM calls__tags") == [(True,)]


def test_undocumented_key_of_the_api_becomes_a_column(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account())
    warehouse.load(sandbox, start_date=days_ago(20).date())
    sandbox.switches.undocumented = {"hold_duration": 7}
    warehouse.load(sandbox)
    assert warehouse.query("SELECT count(*) > 0 FROM calls WHERE hold_duration > 0") == [(True,)]


@pytest.mark.parametrize("field", ["tags", "attributes"])
def test_text_in_place_of_a_list_is_a_list_of_one(serve: Serve, warehouse: Warehouse, field: str) -> None:
    account = recent_account()
    key = next(iter(expected_calls(account, days_ago(2))))
    account.change(key, **{field: "text"})
    warehouse.load(serve(account), start_date=days_ago(3).date())
    values = f"SELECT items.value FROM calls__{field} AS items JOIN calls ON calls._dlt_id = items._dlt_root_id"
    assert warehouse.query(f"{values} WHERE calls.id = {key}") == [("text",)]
