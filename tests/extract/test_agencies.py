"""Several clients of an agency in the same tables, each with a cursor of its own, and one's faults its own."""

from pathlib import Path
from typing import Any

import pytest

from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, access_to, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, Warehouse

CLIENTS = [10_010, 10_020]
"""Those of the synthetic account; both have the same calls, with the same ids."""
NAMES = ["--resource", "calls", "--resource", "tags", "--resource", "campaign_daily_stat", "--resource", "customers"]


def agency(serve: Serve, **more: str) -> tuple[Any, dict[str, str]]:
    sandbox = serve(recent_account(3), Switches(agency=True))
    return sandbox, access_to(sandbox, **{"SOURCES__COMAGIC__USER_IDS": "all", **more})


def counts(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    return warehouse.query(f"SELECT user_id, count(*), count(DISTINCT id) FROM {table} GROUP BY user_id ORDER BY 1")


def test_all_clients_come_with_their_id_in_the_key(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox, environment = agency(serve)
    number = len(expected_calls(sandbox.account, LONG_AGO))
    shown = command(*NAMES, **environment)
    assert shown.code == 0, shown.err
    for _ in range(2):
        assert counts(warehouse, "calls") == [(user_id, number, number) for user_id in CLIENTS]
        entries = len(sandbox.account.dictionaries["tags"])
        assert counts(warehouse, "tags") == [(user_id, entries, entries) for user_id in CLIENTS]
        assert warehouse.query("SELECT count(*) FROM customers") == [(2,)], "they are the agency's own"
        joined = "SELECT count(*), count(calls.id) FROM calls__tags JOIN calls ON calls._dlt_id = _dlt_root_id"
        rows = sum(len(call["tags"]) for call in expected_calls(sandbox.account, LONG_AGO).values())
        assert warehouse.query(joined) == [(2 * rows, 2 * rows)]
        costs = warehouse.query("SELECT user_id, sum(calls_count) FROM campaign_daily_stat GROUP BY user_id ORDER BY 1")
        assert [user_id for user_id, _ in costs] == CLIENTS
        assert costs[0][1] == costs[1][1] > 0
        sandbox.account.dictionaries["tags"].pop()
        assert command(*NAMES, **environment).code == 0
    assert "calls of client 10020: loaded up to" in command("status", **environment).out


def test_clients_in_bigquery(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    sandbox, environment = agency(serve, **warehouse_in_bigquery.environment, LOAD__WORKERS="1")
    assert command("--resource", "goals", **environment).code == 0
    goals = counts(warehouse_in_bigquery, "goals")
    assert [(user_id, rows == ids) for user_id, rows, ids in goals] == [(user_id, True) for user_id in CLIENTS]
    entries = sandbox.account.dictionaries["tags"]
    for _ in range(2):
        assert command("--resource", "tags", **environment).code == 0
        expected = [(user_id, len(entries), len(entries)) for user_id in CLIENTS]
        assert counts(warehouse_in_bigquery, "tags") == expected
        entries.pop()
    del environment["SOURCES__COMAGIC__USER_IDS"]
    shown = command("--resource", "tags", **environment, SOURCES__COMAGIC__USER_ID="10010")
    assert (shown.code, "with clients in its key" in shown.err) == (2, True), shown.err


def test_one_clients_failure_stops_neither_the_others_nor_goes_unsaid(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = agency(serve)
    number = len(expected_calls(sandbox.account, LONG_AGO))
    sandbox.switches.client_errors = {CLIENTS[0]: "account_inactive"}
    shown = command(*NAMES, **environment)
    assert shown.code == 1
    assert "Not loaded: calls_10010." in shown.out
    assert "account_inactive" in shown.err
    assert counts(warehouse, "calls") == [(CLIENTS[1], number, number)]
    assert command("status", "--max-age-hours", "1", **environment).code == 0, "the one that was ever loaded is fresh"
    sandbox.switches.client_errors = {}
    assert command(*NAMES, **environment).code == 0
    assert counts(warehouse, "calls") == [(user_id, number, number) for user_id in CLIENTS], "its whole history"
    sandbox.switches.client_errors = {CLIENTS[0]: "access_token_expired"}
    asked = sandbox.requests
    assert command(*NAMES, **environment).code == 1
    assert sandbox.requests - asked < 5, "a dead key is dead for all"


def test_a_list_of_clients_is_what_is_loaded_and_checked(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox, environment = agency(serve, SOURCES__COMAGIC__USER_IDS="[10020]")
    assert command(**environment).code == 0
    assert [user_id for user_id, *_ in counts(warehouse, "calls")] == [10_020]
    shown = command("check", **environment, SOURCES__COMAGIC__RESOURCES="all")
    assert (shown.code, "client 10020: " in shown.out, "calls_10020: " in shown.out) == (0, True, True), shown.out
    assert shown.out.count("customers: ") == 1
    sandbox.switches.client_errors = {CLIENTS[0]: "forbidden"}
    environment["SOURCES__COMAGIC__USER_IDS"] = "all"
    shown = command("check", **environment)
    assert (shown.code, "no  client 10010: " in shown.out, "ok  calls_10020: " in shown.out) == (1, True, True)


def test_tables_with_and_without_clients_do_not_mix(serve: Serve, command: Command, place: Path) -> None:
    sandbox, environment = agency(serve)
    single = access_to(sandbox, SOURCES__COMAGIC__USER_ID="10010")
    assert command(**single).code == 0
    shown = command(**environment)
    assert (shown.code, "sources.comagic.user_ids: the table calls" in shown.err) == (2, True), shown.err
    assert command(**environment, DATASET_NAME="agency").code == 0
    shown = command(**single, DATASET_NAME="agency")
    assert (shown.code, "with clients in its key" in shown.err) == (2, True), shown.err


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"USER_IDS": "seven"}, "neither a list of ids"),
        ({"USER_IDS": "[7, all]"}, "neither a list of ids"),
        ({"USER_IDS": "[7]", "USER_ID": "8"}, "user_id is set, too"),
    ],
)
def test_wrong_clients_are_refused_by_name(serve: Serve, command: Command, settings: dict[str, str], told: str) -> None:
    sandbox = serve()
    shown = command(**access_to(sandbox), **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()})
    assert (shown.code, "sources.comagic.user_ids: " in shown.err, told in shown.err) == (2, True, True), shown.err
    assert sandbox.requests == 0


def test_an_agency_without_clients(serve: Serve, command: Command) -> None:
    sandbox, environment = agency(serve)
    sandbox.account.dictionaries["customer_users"].clear()
    shown = command(**environment)
    assert (shown.code, "lists no clients" in shown.err) == (2, True), shown.err
