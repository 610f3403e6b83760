"""Every dictionary, by one suite: first load, second load, deleted entries, empty, refused, types and descriptions."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt

from comagic import KeyCredentials, comagic_source
from comagic.catalog import LIST, dictionaries
from comagic.extract.schema import flatten
from comagic.load.destinations import REPLACE
from comagic.sandbox import Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import LONG_AGO, access_to, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import DUCKDB_TYPES, BigQuery, Warehouse

NAMES = list(dictionaries())
ALL = {"SOURCES__COMAGIC__RESOURCES": "dictionaries"}


def rows(place: Path, name: str) -> list[dict[str, Any]]:
    warehouse = Warehouse(place)
    return warehouse._rows(name, dictionaries()[name].primary_key)


def test_all_dictionaries_load_typed_and_agree_with_the_account_and_its_calls(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    before = sandbox.requests
    shown = command("--resource", "dictionaries", "--resource", "calls", **access_to(sandbox))
    assert shown.code == 0, shown.err
    assert sandbox.requests - before <= len(NAMES) + 10, "a dictionary costs one call"
    for name in NAMES:
        expected = account.dictionaries.get(name, [{"app_id": account.app_id}])
        key = dictionaries()[name].primary_key
        assert [row[key] for row in rows(place, name)] == sorted(of[key] for of in expected), name
        assert f"{name}: read whole, {len(expected)} entr" in shown.out
    for column, dictionary in (("campaign_id", "campaigns"), ("site_id", "sites"), ("scenario_id", "scenarios")):
        calls = {call.get(column) for call in account.calls(LONG_AGO, datetime(2100, 1, 1), datetime(2100, 1, 1))}
        assert calls <= {entry["id"] for entry in account.dictionaries[dictionary]}, column
    found = Warehouse(place).query(
        "SELECT count(*), count(campaigns.id), count(sites.id) FROM calls "
        "LEFT JOIN campaigns ON campaigns.id = campaign_id LEFT JOIN sites ON sites.id = calls.site_id"
    )
    assert found == [(len(expected_calls(account, LONG_AGO)),) * 3]
    for child, key, dictionary in (("tags", "tag_id", "tags"), ("employees", "employee_id", "employees")):
        orphans = f"SELECT {key} FROM calls__{child} WHERE {key} NOT IN (SELECT id FROM {dictionary})"
        assert Warehouse(place).query(orphans) == []
    check_columns(place)
    check_a_campaign(place, account)


def check_columns(place: Path) -> None:
    for name in NAMES:
        types = Warehouse(place).query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = 'comagic' AND table_name = '{name}'"
        )
        declared = {of.name: of for of in flatten(dictionaries()[name].fields.values()) if of.type != LIST}
        found = {column: kind for column, kind in types if not column.startswith("_dlt")}
        assert found == {column: DUCKDB_TYPES[of.type] for column, of in declared.items()}, name


def check_a_campaign(place: Path, account: SyntheticAccount) -> None:
    (campaign,) = [row for row in rows(place, "campaigns") if row["id"] == 101]
    (sent,) = [entry for entry in account.dictionaries["campaigns"] if entry["id"] == 101]
    assert campaign["name"] == sent["name"]
    assert json.loads(campaign["campaign_conditions"]) == sent["campaign_conditions"]
    assert campaign["dynamic_call_tracking__reservation_time"] == "30m"
    assert campaign["creation_time"].isoformat() == "2024-02-29T09:00:00+00:00", "Moscow's noon"
    members = Warehouse(place).query("SELECT count(*) FROM group_employees__members")
    assert members == [(len(account.dictionaries["employees"]),)]


def test_deleted_entries_go_and_empty_dictionaries_are_empty(serve: Serve, warehouse: Warehouse) -> None:
    """All dictionaries in one run, as one may do in code of one's own."""
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
        for name, entries in account.dictionaries.items():
            key = dictionaries()[name].primary_key
            assert [row[key] for row in warehouse._rows(name, key)] == sorted(of[key] for of in entries), name

    load()
    for name, entries in account.dictionaries.items():
        assert entries, name
        key = dictionaries()[name].primary_key
        entries[0].update({of: None for of in entries[0] if of != key})  # the API sends null for any list
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


def test_what_the_account_may_not_read_is_told_and_the_rest_is_loaded(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account(1)
    sandbox = serve(account)
    environment = {
        **access_to(sandbox),
        "SOURCES__COMAGIC__RESOURCES": '["tags", "sip_lines", "virtual_numbers", "calls"]',
    }
    assert command(**environment).code == 0
    sandbox.switches.errors = {"get.sip_lines": "method_component_disabled", "get.virtual_numbers": "forbidden"}
    account.dictionaries["tags"].pop()
    shown = command(**environment)
    assert shown.code == 1, shown.out
    assert "Not loaded: sip_lines." in shown.out
    assert "component" in shown.out
    assert len(rows(place, "tags")) == len(account.dictionaries["tags"])
    assert len(rows(place, "sip_lines")) == 1, "what could not be read stays as it was"
    assert "calls" in shown.out
    shown = command(**environment, SOURCES__COMAGIC__OPTIONAL_RESOURCES='["sip_lines", "virtual_numbers"]')
    assert shown.code == 0, shown.err
    assert "Left out: sip_lines." in shown.out
    shown = command(**environment, SOURCES__COMAGIC__OPTIONAL_RESOURCES="sip_lines")
    assert shown.code == 1, "virtual_numbers is not optional"


def test_an_error_in_a_dictionary_leaves_its_table_as_it_was(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(1)
    sandbox = serve(account)
    assert command("--resource", "tags", **access_to(sandbox)).code == 0
    sandbox.switches.errors = {"get.tags": "internal_error"}
    assert command("--resource", "tags", **access_to(sandbox)).code == 1
    assert len(rows(place, "tags")) == len(account.dictionaries["tags"])
    sandbox.switches.errors = {}
    sandbox.switches.total_extra = 3
    shown = command("--resource", "tags", **access_to(sandbox))
    assert (shown.code, "entries were announced" in shown.err) == (1, True), shown.err
    assert len(rows(place, "tags")) == len(account.dictionaries["tags"])


def test_what_was_read_before_a_fault_is_loaded(serve: Serve, command: Command, place: Path) -> None:
    """It is said to be read whole, so it has to be there: the fault ends the load, not what came before."""
    account = recent_account(1)
    sandbox = serve(account)
    words = ("--resource", "sites", "--resource", "tags")
    assert command(*words, **access_to(sandbox)).code == 0
    account.dictionaries["sites"].pop()
    sandbox.switches.errors = {"get.tags": "internal_error"}
    shown = command(*words, **access_to(sandbox))
    assert (shown.code, f"sites: read whole, {len(account.dictionaries['sites'])} entr" in shown.out) == (1, True)
    assert len(rows(place, "sites")) == len(account.dictionaries["sites"])
    assert len(rows(place, "tags")) == len(account.dictionaries["tags"])


def test_a_large_dictionary_is_paged(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(0.01)
    like = account.dictionaries["contacts"][0]
    account.dictionaries["contacts"] = [
        {**like, "id": 2**40 + index, "full_name": f"№ {index}"} for index in range(20_001)
    ]
    shown = command("--resource", "contacts", **access_to(serve(account)))
    assert shown.code == 0, shown.err
    assert Warehouse(place).query("SELECT count(DISTINCT id) FROM contacts") == [(20_001,)]


def test_personal_data_of_a_dictionary_can_be_left_out_or_replaced(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(1)
    shown = command(
        "--resource",
        "employees",
        "--resource",
        "contacts",
        **access_to(serve(account)),
        SOURCES__COMAGIC__EXCLUDE_FIELDS='["employees/full_name", "employees/operator.operator_position_name"]',
        SOURCES__COMAGIC__PSEUDONYMIZE_FIELDS='["contacts/phone_numbers", "employees/last_name"]',
        SOURCES__COMAGIC__PSEUDONYM_KEY="0123456789abcdef0123",
    )
    assert shown.code == 0, shown.err
    (employee, *_) = rows(place, "employees")
    assert "full_name" not in employee
    assert "operator__operator_position_name" not in employee
    assert len(employee["last_name"]) == 32
    assert all(len(value) == 32 for (value,) in Warehouse(place).query("SELECT value FROM contacts__phone_numbers"))
    shown = command("--resource", "tags", **access_to(serve(account)), SOURCES__COMAGIC__EXCLUDE_FIELDS='["tags/nmae"]')
    assert (shown.code, "exclude_fields" in shown.err, "nmae" in shown.err) == (2, True, True), shown.err


def test_unknown_resources_are_refused_by_name(serve: Serve, command: Command) -> None:
    shown = command("--resource", "tag", **access_to(serve()))
    assert (shown.code, "--resource" in shown.err, "did you mean 'tags'" in shown.err) == (2, True, True), shown.err
    for setting in ("RESOURCES", "OPTIONAL_RESOURCES"):
        shown = command(**access_to(serve()), **{f"SOURCES__COMAGIC__{setting}": "cals"})
        assert (shown.code, f"sources.comagic.{setting.lower()}" in shown.err) == (2, True), shown.err


def test_check_asks_for_each_chosen_resource(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(errors={"get.sip_lines": "method_component_disabled"}))
    shown = command("check", **access_to(sandbox), SOURCES__COMAGIC__RESOURCES="all")
    assert shown.code == 1
    for name in ("calls", *NAMES):
        assert f"{name}: " in shown.out, name
    assert shown.out.count("\nno") == 1, "sip_lines alone"


def test_dictionaries_in_bigquery(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    account = recent_account(1)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "1"}
    for names in (("campaigns", "tags"), ("tags",)):
        shown = command(*(word for name in names for word in ("--resource", name)), **environment)
        assert shown.code == 0, shown.err
        for name in names:
            found = [row["id"] for row in warehouse_in_bigquery._rows(name)]
            assert found == sorted(entry["id"] for entry in account.dictionaries[name]), name
        account.dictionaries["tags"].pop()
