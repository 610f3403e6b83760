"""A fault at any request leaves correct tables, or fails with its exit code and the next run loads the rest.

Each fault comes at the first, a middle and the last request of a load.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from comagic.api.prefetch import AHEAD_ROUNDS
from comagic.sandbox import Switches
from comagic.settings import Settings
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.faults import HANGS, TRANSIENT
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.shaping import use_from_the_first_page
from tests.support.warehouses import Warehouse

REQUESTS = 6
"""Requests of a load of 40 days in windows of ten: the account, and five windows, since today is part of a window."""
SETTINGS = {"SOURCES__COMAGIC__WINDOW_DAYS": "10"}
MIDDLE = 4
READING = ((1, False), (Settings.concurrency, False), (Settings.concurrency, True))
"""Requests in flight, and whether a second process shapes pages."""
POSITIONS = (1, MIDDLE, REQUESTS)

TRANSIENT_KINDS = [
    [fault for fault, error in TRANSIENT.items() if error is kind] for kind in dict.fromkeys(TRANSIENT.values())
]
"""Transient faults by the error that they raise if they last."""
PERMANENT_STATUSES = ["301", "404"]
API_ERROR_KINDS = [
    ["access_token_invalid", "access_token_expired", "access_token_blocked", "ip_not_whitelisted"],
    ["forbidden", "method_component_disabled", "account_inactive"],
    ["sort_prohibited", "a_mnemonic_of_next_year"],
]
"""Errors of the API that no retry can fix: of the credentials, of the account, of the request."""


@pytest.fixture(params=sample(READING, 1), autouse=True)
def ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Requests that may be made before their turn, and be in vain."""
    concurrency, is_shaped = request.param
    monkeypatch.setenv("SOURCES__COMAGIC__CONCURRENCY", str(concurrency))
    if is_shaped:
        use_from_the_first_page(monkeypatch)
    return AHEAD_ROUNDS * int(concurrency) if concurrency > 1 else 0


def one_of_each(kinds: Iterable[Iterable[str]]) -> list[tuple[str, int]]:
    """Returns faults and the requests at which they come: a sampled one of each kind."""
    return [case for kind in kinds for case in sample([(fault, at) for at in POSITIONS for fault in kind], 1)]


def test_load_makes_the_number_of_requests_that_this_file_assumes(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account())
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert sandbox.requests == REQUESTS


@pytest.mark.parametrize(("fault", "position"), one_of_each(TRANSIENT_KINDS))
def test_transient_fault_is_retried_and_all_calls_are_loaded(
    serve: Serve, command: Command, place: Path, ahead: int, fault: str, position: int
) -> None:
    account = recent_account()
    settings = {**SETTINGS, **(HANGS if fault == "hang" else {})}
    fault = fault.replace(":2", ":0")  # without the two seconds of Retry-After
    sandbox = serve(account, Switches(faults={position: fault, position + 1: fault}, hang_seconds=3))
    result = command(**access_to(sandbox), **settings)
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert REQUESTS < sandbox.requests <= REQUESTS + 2 + ahead


@pytest.mark.parametrize(
    "fault", [fault for kind in (*TRANSIENT_KINDS, PERMANENT_STATUSES) for fault in sample(kind, 1)]
)
def test_lasting_fault_exits_1_keeps_finished_windows_and_next_run_resumes(
    serve: Serve, command: Command, place: Path, ahead: int, fault: str
) -> None:
    account = recent_account()
    settings = {**SETTINGS, **(HANGS if fault == "hang" else {})}
    faults = dict.fromkeys(range(MIDDLE, 100), fault.replace(":2", ":0"))
    sandbox = serve(account, Switches(faults=faults, hang_seconds=3))
    result = command(**access_to(sandbox), **settings)
    assert (result.code, "Traceback" in result.err) == (1, False), result.err
    assert "Not finished" in result.out
    proven = Warehouse(place).query("SELECT sum(rows_loaded) FROM load_windows WHERE rows_announced = rows_received")
    assert proven == Warehouse(place).query("SELECT count(*) FROM calls")
    assert proven > [(0,)], "windows finished before the fault are kept"

    requests_before = sandbox.requests
    sandbox.switches.faults = {}
    assert command(**access_to(sandbox), **settings).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    again = sandbox.requests - requests_before
    left = REQUESTS - (MIDDLE - 2)
    assert left - ahead <= again <= left + ahead, "the next run resumes where the first stopped"


@pytest.mark.parametrize(("mnemonic", "position"), one_of_each(API_ERROR_KINDS))
def test_api_error_stops_the_load_without_retry_and_next_run_loads_the_rest(
    serve: Serve, command: Command, place: Path, ahead: int, mnemonic: str, position: int
) -> None:
    account = recent_account()

    def set_error(request: int) -> None:
        if request == position:
            sandbox.switches.errors = dict.fromkeys(("get.account", "get.calls_report"), mnemonic)

    sandbox = serve(account, before_answer=set_error)
    result = command(**access_to(sandbox), **SETTINGS)
    assert (result.code, "Traceback" in result.err) == (1, False), result.err
    assert f"({mnemonic})" in result.err
    assert position <= sandbox.requests <= position + ahead, "an error that only a person can fix is not retried"

    sandbox.switches.errors = {}
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize("quota", [0, MIDDLE - 1, REQUESTS - 1])
def test_exhausted_day_quota_exits_75_and_next_run_resumes(
    serve: Serve, command: Command, place: Path, ahead: int, quota: int
) -> None:
    account = recent_account()
    sandbox = serve(account, Switches(day_limit=quota))
    result = command(**access_to(sandbox), **SETTINGS)
    assert result.code == 75, result.err
    assert "Stopped early" in result.err
    assert "The day's quota is exhausted" in result.err
    assert "Loaded data is kept; the next run resumes." in result.err
    assert sandbox.requests == quota + 1, "nothing is asked for before its turn that the quota has no room for"

    sandbox.switches.day_limit = 1_000
    assert command(**access_to(sandbox), **SETTINGS).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests <= REQUESTS + 3 + ahead, "the next run resumes where the first stopped"
