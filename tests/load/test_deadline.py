"""A time limit stops a load in time, keeps what is loaded, and the next run resumes."""

import time
from pathlib import Path

import pytest

from comagic.api.deadline import Deadline
from comagic.exceptions import DeadlineError
from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.clock import Clock
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse


@pytest.mark.expensive
def test_time_limit_exits_75_in_time_and_next_run_resumes(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(30)
    sandbox = serve(account, Switches(latency=0.3))
    started = time.monotonic()
    result = command("--max-minutes", "0.1", **access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1")
    assert result.code == 75, result.err
    assert time.monotonic() - started < 0.1 * 60
    assert (
        "Stopped early: The time limit of 0.1 minutes is reached. Loaded data is kept; the next run resumes."
        in result.err
    )
    assert "windows are left" in result.out
    assert Warehouse(place).query("SELECT count(*) FROM calls") > [(0,)]
    ((windows,),) = Warehouse(place).query("SELECT count(*) FROM load_windows")

    sandbox.switches.latency = 0.0
    requests_before = sandbox.requests
    result = command(**access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1")
    assert result.code == 0, result.err
    assert "An earlier load of this period had stopped; this one resumed it." in result.out
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - requests_before <= 42 - windows + 1, "the next run started at the beginning"


def test_time_limit_can_be_a_setting(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1), Switches(latency=0.3))
    result = command(**access_to(sandbox), SOURCES__COMAGIC__WINDOW_DAYS="1", SOURCES__COMAGIC__MAX_MINUTES="0.03")
    assert (result.code, "The time limit of 0.03 minutes is reached." in result.err) == (75, True), result.err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_wrong_time_limit_is_rejected_by_name(command: Command, serve: Serve, minutes: str) -> None:
    sandbox = serve()
    result = command("load", "--max-minutes", minutes, **access_to(sandbox))
    assert result.code == 2, result.err
    assert "--max-minutes: " in result.err
    assert "is not a number of minutes above 0." in result.err
    assert sandbox.requests == 0


def test_time_for_loading_is_reserved_up_to_half_of_the_limit() -> None:
    clock = Clock()
    deadline = clock.deadline(10)
    assert deadline.check() == 600 - 30, "30 seconds as long as nothing is known"
    deadline.reserve(90)
    deadline.reserve(20)
    assert deadline.check() == 600 - 90, "the slowest package counts"
    deadline.reserve(10_000)
    assert deadline.check() == 300, "each run reads something"
    clock.now = 301
    with pytest.raises(DeadlineError):
        deadline.check()


def test_without_a_time_limit_there_is_no_deadline() -> None:
    assert Deadline().check() == float("inf")
