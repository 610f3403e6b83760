"""One run at a time: a second one is rejected, and the lock of a killed run is released."""

from pathlib import Path
from threading import Event

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve, Start
from tests.support.warehouses import Warehouse


def test_second_run_is_rejected_and_killed_run_blocks_nobody(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    account = recent_account()
    reached, released = Event(), Event()

    def wait(request: int) -> None:
        if request == 3:
            reached.set()
            released.wait(60)

    first = start(**access_to(serve(account, before_answer=wait)))
    assert reached.wait(60)
    sandbox = serve(account)
    result = command(**access_to(sandbox))
    assert (result.code, sandbox.requests) == (1, 0), result.err
    assert "Another run is active on this machine" in result.err
    assert "Nothing was loaded" in result.err
    first.kill()
    first.wait()
    released.set()
    result = command(**access_to(sandbox))
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
