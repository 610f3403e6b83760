"""Several clients of an agency are loaded into the same tables, each with its own cursor and its own errors."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.sandbox import SandboxServer, Switches
from tests.support.accounts import LONG_AGO, TODAY, access_to, expected_calls, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

CLIENTS = [10_010, 10_020]
"""Those of the synthetic account; both have the same calls, with the same ids."""
FIRST_DAY = TODAY - timedelta(days=20)


def serve_agency(serve: Serve, **more: str) -> tuple[SandboxServer, dict[str, str]]:
    """Serves an agency; returns the sandbox and the environment that loads all of its clients."""
    sandbox = serve(recent_account(3, first_day=FIRST_DAY), Switches(agency=True))
    settings = {"SOURCES__COMAGIC__USER_IDS": "all", "SOURCES__COMAGIC__START_DATE": FIRST_DAY.isoformat()}
    return sandbox, access_to(sandbox, **{**settings, **more})


def rows_and_ids(warehouse: Warehouse, table: str) -> list[tuple[Any, ...]]:
    """Each client in a table with the number of its rows and of their different ids."""
    return warehouse.query(f"SELECT user_id, count(*), count(DISTINCT id) FROM {table} GROUP BY user_id ORDER BY 1")


def test_rows_of_all_clients_are_loaded_with_the_client_in_their_key(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = serve_agency(serve)
    options = resource_options("calls", "tags", "campaign_daily_stat", "customers")
    calls = expected_calls(sandbox.account, LONG_AGO)
    tags = sum(len(call["tags"]) for call in calls.values())
    entries = sandbox.account.dictionaries["tags"]
    for _ in range(2):
        result = command(*options, **environment)
        assert result.code == 0, result.err
        assert rows_and_ids(warehouse, "calls") == [(user_id, len(calls), len(calls)) for user_id in CLIENTS]
        assert rows_and_ids(warehouse, "tags") == [(user_id, len(entries), len(entries)) for user_id in CLIENTS]
        assert warehouse.query("SELECT count(*) FROM customers") == [(2,)], "they are the agency's own"
        joined = "SELECT count(*), count(calls.id) FROM calls__tags JOIN calls ON calls._dlt_id = _dlt_root_id"
        assert warehouse.query(joined) == [(2 * tags, 2 * tags)]
        costs = warehouse.query("SELECT user_id, sum(calls_count) FROM campaign_daily_stat GROUP BY user_id ORDER BY 1")
        assert [user_id for user_id, _ in costs] == CLIENTS
        assert costs[0][1] == costs[1][1] > 0
        entries.pop()  # the second load removes it for both clients
    assert "calls of client 10020: loaded up to" in command("status", **environment).out


@pytest.mark.expensive
@pytest.mark.parametrize("kind", ["bigquery", "postgres"])
def test_clients_are_loaded_into_servers(
    serve: Serve, command: Command, request: pytest.FixtureRequest, kind: str
) -> None:
    server: BigQuery | PostgreSQL = request.getfixturevalue(f"warehouse_in_{kind}")
    sandbox, environment = serve_agency(serve, **server.environment, LOAD__WORKERS="1")
    entries = sandbox.account.dictionaries["tags"]
    for names in (("goals", "tags"), ("tags",)):
        result = command(*resource_options(*names), **environment)
        assert result.code == 0, result.err
        expected = [(user_id, len(entries), len(entries)) for user_id in CLIENTS]
        assert rows_and_ids(server, "tags") == expected
        entries.pop()
    goals = rows_and_ids(server, "goals")
    assert [(user_id, rows == ids) for user_id, rows, ids in goals] == [(user_id, True) for user_id in CLIENTS]
    del environment["SOURCES__COMAGIC__USER_IDS"]
    result = command(*resource_options("tags"), **environment, SOURCES__COMAGIC__USER_ID="10010")
    assert (result.code, "with clients in its key" in result.err) == (2, True), result.err


def test_error_of_one_client_is_reported_and_the_others_are_loaded(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    sandbox, environment = serve_agency(serve)
    options = resource_options("calls", "tags")
    number = len(expected_calls(sandbox.account, LONG_AGO))
    sandbox.switches.client_errors = {CLIENTS[0]: "account_inactive"}
    result = command(*options, **environment)
    assert result.code == 1
    assert "Not loaded: calls_10010." in result.out
    assert "Not loaded: tags_10010." in result.out
    assert "(account_inactive)" in result.err
    assert rows_and_ids(warehouse, "calls") == [(CLIENTS[1], number, number)]
    assert command("status", "--max-age-hours", "1", **environment).code == 0, "the only client ever loaded is fresh"
    sandbox.switches.client_errors = {}
    assert command(*options, **environment).code == 0
    expected = [(user_id, number, number) for user_id in CLIENTS]
    assert rows_and_ids(warehouse, "calls") == expected, "the first client's whole history is loaded"


def test_expired_key_stops_the_load_of_all_clients(serve: Serve, command: Command) -> None:
    sandbox, environment = serve_agency(serve)
    sandbox.switches.client_errors = {CLIENTS[0]: "access_token_expired"}
    result = command(*resource_options("calls", "tags"), **environment)
    assert (result.code, "(access_token_expired)" in result.err) == (1, True), result.err
    assert sandbox.requests < 5, "the second client is not requested with an expired key"


def test_only_listed_clients_are_loaded_and_checked(serve: Serve, command: Command, warehouse: Warehouse) -> None:
    sandbox, environment = serve_agency(serve, SOURCES__COMAGIC__USER_IDS="[10020]")
    assert command(**environment).code == 0
    assert [user_id for user_id, *_ in rows_and_ids(warehouse, "calls")] == [10_020]
    result = command("check", **environment, SOURCES__COMAGIC__RESOURCES="all")
    assert (result.code, "client 10020: " in result.out, "calls_10020: " in result.out) == (0, True, True), result.out
    assert "10010" not in result.out
    assert result.out.count("customers: ") == 1
    sandbox.switches.client_errors = {CLIENTS[0]: "forbidden"}
    environment["SOURCES__COMAGIC__USER_IDS"] = "all"
    result = command("check", **environment)
    assert result.code == 1
    assert "no  client 10010: " in result.out
    assert "ok  calls_10020: " in result.out


def test_tables_with_and_without_clients_do_not_mix(serve: Serve, command: Command, place: Path) -> None:
    sandbox, environment = serve_agency(serve)
    single = access_to(sandbox, SOURCES__COMAGIC__USER_ID="10010")
    assert command(**single).code == 0
    result = command(**environment)
    assert result.code == 2
    expected = "sources.comagic.user_ids: the table calls was loaded without a client in its key."
    assert expected in result.err
    assert command(**environment, DATASET_NAME="agency").code == 0
    result = command(**single, DATASET_NAME="agency")
    assert (result.code, "with clients in its key" in result.err) == (2, True), result.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"USER_IDS": "seven"}, "'seven' is neither a list of ids nor \"all\""),
        ({"USER_IDS": "[7, all]"}, "neither a list of ids"),
        ({"USER_IDS": "[7]", "USER_ID": "8"}, "user_id is set, too"),
    ],
)
def test_wrong_client_ids_are_rejected_before_any_request(
    serve: Serve, command: Command, settings: dict[str, str], message: str
) -> None:
    sandbox = serve()
    result = command(**access_to(sandbox), **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()})
    assert (result.code, "sources.comagic.user_ids: " in result.err, message in result.err) == (2, True, True)
    assert sandbox.requests == 0


def test_agency_without_clients_is_a_configuration_error(serve: Serve, command: Command) -> None:
    sandbox, environment = serve_agency(serve)
    sandbox.account.dictionaries["customer_users"].clear()
    result = command(**environment)
    assert (result.code, "lists no clients" in result.err) == (2, True), result.err
