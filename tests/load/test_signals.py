"""SIGTERM stops any command within seconds with exit code 75, keeps what is loaded, and the next run resumes."""

import signal
from pathlib import Path

import pytest

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import SMALL_PACKAGES, Command, Serve, Start
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

TERMINATED = "Stopped early: Terminated. Loaded data is kept; the next run resumes."


@pytest.mark.parametrize("moment", sample(range(1, 15), 1))
def test_sigterm_exits_75_and_next_run_resumes(
    serve: Serve, start: Start, command: Command, place: Path, moment: int
) -> None:
    """At any request of the load."""
    account = recent_account()

    def terminate(request: int) -> None:
        if request == moment:
            process.send_signal(signal.SIGTERM)
            sandbox.switches.latency = 30  # a process that waits for this response does not end within seconds

    sandbox = serve(account, before_answer=terminate)
    process = start(**access_to(sandbox), **SMALL_PACKAGES)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 75, err
    assert TERMINATED in err
    assert "Traceback" not in err

    sandbox.switches.latency = 0
    result = command(**access_to(sandbox), **SMALL_PACKAGES)
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_sigterm_outside_of_a_load_exits_75(serve: Serve, start: Start) -> None:
    def terminate(_: int) -> None:
        process.send_signal(signal.SIGTERM)
        sandbox.switches.latency = 30

    sandbox = serve(recent_account(1), before_answer=terminate)
    process = start("check", **access_to(sandbox))
    _, err = process.communicate(timeout=20)
    assert (process.returncode, TERMINATED in err) == (75, True), err
