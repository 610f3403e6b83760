"""Each fault at the first, a middle and the last request: right tables, or its exit code and a next run that mends."""

from pathlib import Path

import pytest

from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.faults import HANGS, TRANSIENT
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

REQUESTS = 6
"""Of a load of 40 days by windows of ten: the account, and five windows, since the present day is begun."""
SETTINGS = {"SOURCES__COMAGIC__WINDOW_DAYS": "10"}
MIDDLE = 4

STOPPING = [
    "access_token_invalid",
    "access_token_expired",
    "access_token_blocked",
    "ip_not_whitelisted",
    "forbidden",
    "method_component_disabled",
    "account_inactive",
    "sort_prohibited",
    "a_mnemonic_of_next_year",
]


def test_a_load_makes_as_many_requests_as_this_file_thinks(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account())
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert sandbox.requests == REQUESTS


@pytest.mark.parametrize("at", [1, MIDDLE, REQUESTS])
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_passing_fault_leaves_no_trace(serve: Serve, command: Command, place: Path, fault: str, at: int) -> None:
    account = recent_account()
    settings = {**SETTINGS, **(HANGS if fault == "hang" else {})}
    fault = fault.replace(":2", ":0")  # nobody wants to wait here
    sandbox = serve(account, Switches(faults={at: fault, at + 1: fault}, hang_seconds=3))
    shown = command(**access_to(sandbox), **settings)
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert REQUESTS < sandbox.requests <= REQUESTS + 2


@pytest.mark.parametrize("fault", [*TRANSIENT, "301", "404"])
def test_a_lasting_fault_fails_and_the_next_run_mends(serve: Serve, command: Command, place: Path, fault: str) -> None:
    account = recent_account()
    settings = {**SETTINGS, **(HANGS if fault == "hang" else {})}
    lasting = dict.fromkeys(range(MIDDLE, 100), fault.replace(":2", ":0"))
    sandbox = serve(account, Switches(faults=lasting, hang_seconds=3))
    shown = command(**access_to(sandbox), **settings)
    assert (shown.code, "Traceback" in shown.err) == (1, False), shown.err
    assert "Not finished" in shown.out
    kept = Warehouse(place).query("SELECT sum(rows_loaded) FROM load_windows WHERE rows_announced = rows_received")
    assert kept == Warehouse(place).query("SELECT count(*) FROM calls"), "what was read before the fault is kept"

    asked = sandbox.requests
    sandbox.switches.faults = {}
    assert command(**access_to(sandbox), **settings).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - asked == REQUESTS - (MIDDLE - 2), "the next run went on where the first had come to"


@pytest.mark.parametrize("mnemonic", STOPPING)
@pytest.mark.parametrize("at", [1, MIDDLE, REQUESTS])
def test_an_error_of_the_api_ends_the_load_and_the_next_run_mends(
    serve: Serve, command: Command, place: Path, mnemonic: str, at: int
) -> None:
    account = recent_account()

    def refuse(request: int) -> None:
        if request == at:
            sandbox.switches.errors = dict.fromkeys(("get.account", "get.calls_report"), mnemonic)

    sandbox = serve(account, before_answer=refuse)
    shown = command(**access_to(sandbox), **SETTINGS)
    assert (shown.code, "Traceback" in shown.err) == (1, False), shown.err
    assert mnemonic in shown.err
    assert sandbox.requests == at, "it is not asked again what only a person can mend"

    sandbox.switches.errors = {}
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize("points", [0, MIDDLE - 1, REQUESTS - 1])
def test_a_spent_day_ends_with_75_and_the_next_run_goes_on(
    serve: Serve, command: Command, place: Path, points: int
) -> None:
    account = recent_account()
    sandbox = serve(account, Switches(day_limit=points))
    shown = command(**access_to(sandbox), **SETTINGS)
    assert shown.code == 75, shown.err
    assert "Stopped early" in shown.err
    assert "The day's points are spent" in shown.err
    assert sandbox.requests == points + 1

    sandbox.switches.day_limit = 1_000
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests <= REQUESTS + 3, "the next run went on where the first had come to"
