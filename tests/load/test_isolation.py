"""One resource's error stops that resource alone; the exit code, the summary and notifications name each of them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.exceptions import OverloadedError
from comagic.extract.progress import Progress, Sync
from comagic.sandbox import Switches
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

NAMES = ("goals", "calls", "tags", "sites")


def resource_options(*names: str) -> list[str]:
    return [word for name in names for word in ("--resource", name)]


@pytest.mark.parametrize("mnemonic", sample(["internal_error", "unexpected_parameters", "a_mnemonic_of_next_year"], 1))
def test_error_of_one_report_and_one_dictionary_leaves_all_others_loaded(
    serve: Serve, command: Command, place: Path, mnemonic: str
) -> None:
    account = recent_account(3)
    sandbox = serve(account, Switches(errors={"get.goals_report": mnemonic, "get.tags": mnemonic}))
    outcome = command("load", *resource_options(*NAMES), **access_to(sandbox))
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    for method in ("get.goals_report", "get.tags"):
        assert f"{method}: " in outcome.err, "the error names each resource"
        assert f"{method}: " in outcome.out, "so does the summary"
    warehouse = Warehouse(place)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert warehouse.query("SELECT count(*) > 0 FROM sites") == [(True,)]

    sandbox.switches.errors = {}
    assert command("load", *resource_options(*NAMES), **access_to(sandbox)).code == 0
    assert warehouse.query("SELECT count(*) > 0 FROM goals") == [(True,)]


def test_windows_before_the_error_are_loaded_and_a_dictionary_keeps_its_table(
    serve: Serve, command: Command, place: Path
) -> None:
    account = recent_account()
    requests: list[int] = []

    def fail_later(response: dict[str, Any]) -> dict[str, Any]:
        rows = response.get("result", {}).get("data")
        if isinstance(rows, list) and rows and "start_time" in rows[0]:
            requests.append(1)
            if len(requests) > 2:
                return {**response, "result": {"data": "no list", "metadata": {"total_items": 1}}}
        return response

    sandbox = serve(account)
    assert command("load", "--resource", "tags", **access_to(sandbox)).code == 0
    tags = Warehouse(place).query("SELECT count(*) FROM tags")
    sandbox.alter_answer = fail_later
    sandbox.switches.errors = {"get.tags": "internal_error"}
    one_by_one = {"SOURCES__COMAGIC__CONCURRENCY": "1"}  # else the third response may be that of another window
    outcome = command("load", *resource_options("calls", "tags", "sites"), **access_to(sandbox, **one_by_one))
    assert outcome.code == 1
    warehouse = Warehouse(place)
    start = LONG_AGO.replace(TODAY.year, TODAY.month, TODAY.day) - timedelta(days=40)
    loaded = expected_calls(account, LONG_AGO, start + timedelta(days=14))
    assert differences(warehouse.calls(), loaded) == []
    assert warehouse.query("SELECT count(*) FROM tags") == tags
    assert warehouse.query("SELECT count(*) > 0 FROM sites") == [(True,)]


def test_server_that_fails_for_a_second_resource_is_down() -> None:
    progress = Progress()
    moment = LONG_AGO
    for name in ("a", "b"):
        assert not progress.is_stopped("c")
        progress.fail(name, OverloadedError("HTTP 503"), Sync(name, moment, moment, moment))
        assert progress.is_stopped(name)
    assert progress.is_stopped("c")
