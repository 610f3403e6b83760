"""Every dictionary is loaded whole and typed, replaces what was there, and is unchanged if it cannot be read whole."""

import json
from typing import Any

import dlt
import pytest

from comagic import KeyCredentials, comagic_source
from comagic.catalog import LIST, dictionaries
from comagic.extract.rows import computed_key
from comagic.extract.schema import flatten
from comagic.load.destinations import REPLACE
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import (
    FAR,
    LONG_AGO,
    PSEUDONYM_KEY,
    access_to,
    expected_calls,
    recent_account,
    requested,
    resource_options,
)
from tests.support.processes import Command, Serve
from tests.support.warehouses import DUCKDB_TYPES, BigQuery, Warehouse

NAMES = list(dictionaries())


def loaded_keys(warehouse: Warehouse, name: str) -> list[Any]:
    """Keys of a dictionary's table, in order."""
    key = dictionaries()[name].primary_key
    return [row[key] for row in warehouse.rows(name, key)]


def expected_keys(account: SyntheticAccount, name: str) -> list[Any]:
    """Keys of the account's own entries, in order."""
    dictionary = dictionaries()[name]
    entries = account.dictionaries.get(name, [{"app_id": account.app_id}])
    if dictionary.key_of:
        return sorted(computed_key(entry, dictionary.key_of) for entry in entries)
    return sorted(entry[dictionary.primary_key] for entry in entries)


@pytest.mark.expensive
def test_all_dictionaries_are_loaded_typed_and_join_with_calls(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    result = command(*resource_options("dictionaries", "calls"), **access_to(sandbox))
    assert result.code == 0, result.err
    assert sandbox.requests <= len(NAMES) + 10, "a dictionary takes one request"
    for name in NAMES:
        keys = expected_keys(account, name)
        assert loaded_keys(warehouse, name) == keys, name
        assert f"{name}: read whole, {len(keys)} entr" in result.out
    for column, dictionary in (("campaign_id", "campaigns"), ("site_id", "sites"), ("scenario_id", "scenarios")):
        calls = {call.get(column) for call in account.calls(LONG_AGO, FAR, FAR)}
        assert calls <= {entry["id"] for entry in account.dictionaries[dictionary]}, column
    found = warehouse.query(
        "SELECT count(*), count(campaigns.id), count(sites.id) FROM calls "
        "LEFT JOIN campaigns ON campaigns.id = campaign_id LEFT JOIN sites ON sites.id = calls.site_id"
    )
    assert found == [(len(expected_calls(account, LONG_AGO)),) * 3]
    for child, key, dictionary in (("tags", "tag_id", "tags"), ("employees", "employee_id", "employees")):
        orphans = f"SELECT {key} FROM calls__{child} WHERE {key} NOT IN (SELECT id FROM {dictionary})"
        assert warehouse.query(orphans) == []
    check_columns(warehouse)
    check_campaign(warehouse, account)


def check_columns(warehouse: Warehouse) -> None:
    for name in NAMES:
        dictionary = dictionaries()[name]
        fields = flatten([*requested(dictionary), *dictionary.computed.values()])
        declared = [field for field in fields if field.type != LIST]
        assert warehouse.columns(name) == {field.name: DUCKDB_TYPES[field.type] for field in declared}, name


def check_campaign(warehouse: Warehouse, account: SyntheticAccount) -> None:
    (campaign,) = [row for row in warehouse.rows("campaigns") if row["id"] == 101]
    (sent,) = [entry for entry in account.dictionaries["campaigns"] if entry["id"] == 101]
    assert campaign["name"] == sent["name"]
    assert json.loads(campaign["campaign_conditions"]) == sent["campaign_conditions"]
    assert campaign["dynamic_call_tracking__reservation_time"] == "30m"
    assert campaign["static_utm_source"] == "yandex", "comes only if it is requested"
    assert campaign["creation_time"].isoformat() == "2024-02-29T09:00:00+00:00", "noon in Moscow"
    members = warehouse.query("SELECT count(*) FROM group_employees__members")
    assert members == [(len(account.dictionaries["employees"]),)]


@pytest.mark.expensive
def test_deleted_entries_are_removed_and_nulls_and_empty_dictionaries_are_accepted(
    serve: Serve, warehouse: Warehouse
) -> None:
    """With the source as user code calls it: all dictionaries in one run."""
    account = recent_account(0.01)
    base_url = serve(account).base_url
    pipeline = dlt.pipeline(
        "comagic",
        destination=dlt.destinations.duckdb(str(warehouse.file), supports_transactions=True, replace_strategy=REPLACE),
        dataset_name="comagic",
    )

    def load() -> None:
        source = comagic_source(KeyCredentials(access_token=KEY), base_url).with_resources(*NAMES)
        pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()
        for name in account.dictionaries:
            assert loaded_keys(warehouse, name) == expected_keys(account, name), name

    load()
    for name, entries in account.dictionaries.items():
        assert entries, name
        needed = dictionaries()[name].needed
        entries[0].update({field: None for field in entries[0] if field not in needed})  # lists, too, as the API does
        del entries[1:]
    load()
    for entries in account.dictionaries.values():
        entries.clear()
    load()
    tables = warehouse.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'comagic'")
    children = [table for (table,) in tables if table.partition("__")[0] in account.dictionaries and "__" in table]
    assert "employees__groups" in children
    for table in children:
        assert warehouse.query(f"SELECT count(*) FROM {table}") == [(0,)], table


@pytest.mark.expensive
def test_unavailable_dictionaries_are_reported_and_the_rest_is_loaded(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    account = recent_account(1)
    sandbox = serve(account)
    environment = {
        **access_to(sandbox),
        "SOURCES__COMAGIC__RESOURCES": '["tags", "sip_lines", "virtual_numbers", "calls"]',
    }
    assert command(**environment).code == 0
    sip_lines = loaded_keys(warehouse, "sip_lines")
    sandbox.switches.errors = {"get.sip_lines": "method_component_disabled", "get.virtual_numbers": "forbidden"}
    account.dictionaries["tags"].pop()
    account.dictionaries["sip_lines"].clear()
    result = command(**environment)
    assert result.code == 1, result.out
    assert "Not loaded: sip_lines. " in result.out
    assert "Not loaded: virtual_numbers. " in result.out
    assert "The account lacks the component" in result.out
    assert "\ncalls: " in result.out
    assert loaded_keys(warehouse, "tags") == expected_keys(account, "tags")
    assert loaded_keys(warehouse, "sip_lines") == sip_lines != [], "a table that could not be read is unchanged"
    result = command(**environment, SOURCES__COMAGIC__OPTIONAL_RESOURCES='["sip_lines", "virtual_numbers"]')
    assert result.code == 0, result.err
    assert "Skipped: sip_lines. " in result.out
    assert "Skipped: virtual_numbers. " in result.out
    result = command(**environment, SOURCES__COMAGIC__OPTIONAL_RESOURCES="sip_lines")
    assert result.code == 1, "virtual_numbers is not optional"
    assert "Skipped: sip_lines. " in result.out
    assert "Not loaded: virtual_numbers. " in result.out


def test_dictionary_that_cannot_be_read_whole_leaves_its_table_unchanged(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    account = recent_account(1)
    sandbox = serve(account)
    options = resource_options("tags")
    assert command(*options, **access_to(sandbox)).code == 0
    before = loaded_keys(warehouse, "tags")
    account.dictionaries["tags"].pop()
    sandbox.switches.errors = {"get.tags": "internal_error"}
    assert command(*options, **access_to(sandbox)).code == 1
    assert loaded_keys(warehouse, "tags") == before
    sandbox.switches.errors = {}
    sandbox.switches.total_extra = 3
    result = command(*options, **access_to(sandbox))
    number = len(before) - 1
    message = f"get.tags: {number + 3} entries announced, {number} received, in 3 readings. The table is unchanged;"
    assert (result.code, message in result.err) == (1, True), result.err
    assert loaded_keys(warehouse, "tags") == before != []


def test_dictionaries_read_before_an_error_are_loaded(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    """The summary reports them as read whole, so they have to be in their tables."""
    account = recent_account(1)
    sandbox = serve(account)
    options = resource_options("sites", "tags")
    assert command(*options, **access_to(sandbox)).code == 0
    tags = loaded_keys(warehouse, "tags")
    account.dictionaries["sites"].pop()
    sandbox.switches.errors = {"get.tags": "internal_error"}
    result = command(*options, **access_to(sandbox))
    assert result.code == 1
    assert f"sites: read whole, {len(account.dictionaries['sites'])} entr" in result.out
    assert loaded_keys(warehouse, "sites") == expected_keys(account, "sites")
    assert loaded_keys(warehouse, "tags") == tags


def test_dictionary_of_several_pages_is_loaded_whole(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    account = recent_account(0.01)
    contact = account.dictionaries["contacts"][0]
    account.dictionaries["contacts"] = [
        {**contact, "id": 2**40 + index, "full_name": f"№ {index}"} for index in range(20_001)
    ]
    result = command(*resource_options("contacts"), **access_to(serve(account)))
    assert result.code == 0, result.err
    assert warehouse.query("SELECT count(*), count(DISTINCT id) FROM contacts") == [(20_001, 20_001)]


def test_entries_of_two_systems_with_the_same_id_are_loaded_once_each(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    """Their key is computed, also where the API does not have all that it is made of."""
    account = recent_account(0.01)
    contact, names = account.dictionaries["deal_contacts"][0], ["amocrm", "bitrix", None]
    account.dictionaries["deal_contacts"] = [{**contact, "ext_id": "7", "component": name} for name in names]
    sandbox = serve(account)
    for _ in range(2):
        result = command(*resource_options("deal_contacts"), **access_to(sandbox))
        assert result.code == 0, result.err
        assert loaded_keys(warehouse, "deal_contacts") == expected_keys(account, "deal_contacts")
        found = warehouse.query("SELECT ext_id, component FROM deal_contacts ORDER BY component")
        assert found == [("7", name) for name in names]


def test_personal_data_of_dictionaries_is_excluded_or_pseudonymized(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    result = command(
        *resource_options("employees", "contacts"),
        **access_to(serve(recent_account(1))),
        SOURCES__COMAGIC__EXCLUDE_FIELDS='["employees/full_name", "employees/operator.operator_position_name"]',
        SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS='["contacts/phone_numbers", "employees/last_name"]',
        SOURCES__COMAGIC__PSEUDONYM_KEY=PSEUDONYM_KEY,
    )
    assert result.code == 0, result.err
    (employee, *_) = warehouse.rows("employees")
    assert "full_name" not in employee
    assert "operator__operator_position_name" not in employee
    assert len(employee["last_name"]) == 32
    numbers = [number for (number,) in warehouse.query("SELECT value FROM contacts__phone_numbers")]
    assert {len(number) for number in numbers} == {32}


def test_unknown_field_of_a_dictionary_is_rejected(serve: Serve, command: Command) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__EXCLUDE_FIELDS='["tags/nmae"]')
    result = command(*resource_options("tags"), **environment)
    message = "sources.comagic.exclude_fields: tags has no field 'nmae'"
    assert (result.code, message in result.err) == (2, True), result.err


def test_unknown_resource_is_rejected_with_a_suggestion(serve: Serve, command: Command) -> None:
    result = command("--resource", "tag", **access_to(serve()))
    assert (result.code, "--resource" in result.err, "did you mean 'tags'" in result.err) == (2, True, True), result.err


@pytest.mark.parametrize("setting", ["resources", "optional_resources"])
def test_unknown_resource_in_a_setting_is_rejected(serve: Serve, command: Command, setting: str) -> None:
    result = command(**access_to(serve()), **{f"SOURCES__COMAGIC__{setting.upper()}": "cals"})
    message = f"sources.comagic.{setting}: there is no resource 'cals' (did you mean 'calls'?)"
    assert (result.code, message in result.err) == (2, True), result.err


def test_check_requests_each_selected_resource(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(errors={"get.sip_lines": "method_component_disabled"}))
    result = command("check", **access_to(sandbox), SOURCES__COMAGIC__RESOURCES="all")
    assert result.code == 1
    for name in ("calls", *NAMES):
        assert f"{name}: " in result.out, name
    assert result.out.count("\nno") == 1, "only sip_lines is unavailable"
    assert "\nno  sip_lines: " in result.out


def test_dictionaries_are_replaced_in_bigquery(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    account = recent_account(1)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "1"}
    for names in (("campaigns", "tags"), ("tags",)):
        result = command(*resource_options(*names), **environment)
        assert result.code == 0, result.err
        for name in names:
            assert loaded_keys(warehouse_in_bigquery, name) == expected_keys(account, name), name
        account.dictionaries["tags"].pop()
