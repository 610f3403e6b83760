"""A response body is read leniently; what cannot be read says where, and is not requested again."""

import json
from pathlib import Path
from typing import Any

import pytest

from comagic.api.responses import decode
from comagic.exceptions import BadResponseError, MalformedResponseError
from comagic.sandbox import Switches
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse


@pytest.mark.parametrize(
    ("body", "value", "repairs"),
    [
        (b'{"a": "\\ud800"}', "\ufffd", 1),
        (b'{"a": "x\\udc00y\\ud800"}', "x\ufffdy\ufffd", 2),
        (b'{"a": "\\ud83c\\udfe0"}', "\U0001f3e0", 0),
        (b'{"a": "caf\xe9"}', "caf\ufffd", 1),
        (b'{"a": NaN}', None, 1),
        (b'{"a": [Infinity, -Infinity, 1]}', [None, None, 1], 2),
        (b'{"a": "line\nbreak"}', "line\nbreak", 0),
        (b'{"a": 12345678901234567890123}', 12345678901234567890123, 0),
        (b'{"a": 9223372036854775807}', 2**63 - 1, 0),
    ],
)
def test_body_is_read_leniently(body: bytes, value: object, repairs: int) -> None:
    assert decode("get.calls_report", body) == ({"a": value}, repairs)


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"a": [1, 2', b'{"a": "x'])
def test_body_that_is_no_json_or_truncated_is_transient(body: bytes) -> None:
    with pytest.raises(BadResponseError, match="is not JSON"):
        decode("get.calls_report", body)


def test_body_with_an_error_in_its_middle_says_where() -> None:
    with pytest.raises(MalformedResponseError, match="at character 10 of 22"):
        decode("get.calls_report", b'{"a": [1, %], "b": []}')


def test_half_a_surrogate_pair_is_loaded_and_reported(serve: Serve, command: Command, place: Path) -> None:
    switches = Switches(values={"get.calls_report": {"campaign_name": "caf\ud83c"}})
    sandbox = serve(recent_account(1), switches)
    outcome = command(**access_to(sandbox))
    assert outcome.code == 0, outcome.err
    assert "are not valid JSON" in outcome.out
    assert Warehouse(place).query("SELECT DISTINCT campaign_name FROM calls") == [("caf\ufffd",)]


def test_unreadable_window_is_named_and_not_requested_again(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1))

    def spoil(response: dict[str, Any]) -> Any:
        is_report = "timezone" not in response["result"]["data"][0]
        return json.dumps(response).replace(": null", ": %", 1).encode() if is_report else response

    sandbox.alter_answer = spoil
    outcome = command(**access_to(sandbox))
    assert outcome.code == 1
    assert "at character" in outcome.err
    assert "It is in the window" in outcome.err
    assert sandbox.calls["get.calls_report"] == 1
