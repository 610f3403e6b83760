"""A response body is read leniently; what cannot be read says where, and is not requested again."""

import json
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from comagic.api.responses import decode, parse_account, parse_page
from comagic.exceptions import BadResponseError, MalformedResponseError
from comagic.redaction import remember_secret
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
        (b'{"a":\n\t-12345678901234567890123}', -12345678901234567890123, 0),
        (b'{"a": [1, 1111111111111111111111, "-"]}', [1, 1111111111111111111111, "-"], 0),
        (b'{"a": [9999999999999999999999]}', [9999999999999999999999], 0),
        (b'{"a": "\\uf026"}', "\ufffd", 1),
        (b'{"a": "\\uF02E"}', "\ufffd", 1),
        (b'{"a": "\\uf0291"}', "\ufffd1", 1),
        (b'{"a": {"\xef\x80\xa6": "x\\uF026"}}', {"\ufffd": "x\uf026"}, 1),
        (b'{"a": ["\xef\x80\xae0", "\\uf02f", "\xef\x80\xa5"]}', ["\ufffd0", "\uf02f", "\uf025"], 1),
    ],
)
def test_body_is_read_leniently(body: bytes, value: object, repairs: int) -> None:
    assert decode("get.calls_report", body)[:2] == ({"a": value}, repairs)


@pytest.mark.parametrize("body", [b"", b"<html></html>", b'{"a": [1, 2', b'{"a": "x'])
def test_body_that_is_no_json_or_truncated_is_transient(body: bytes) -> None:
    with pytest.raises(BadResponseError, match="is not JSON"):
        decode("get.calls_report", body)


def test_body_with_an_error_in_its_middle_says_where() -> None:
    with pytest.raises(MalformedResponseError, match="at character 10 of 22"):
        decode("get.calls_report", b'{"a": [1, %], "b": []}')


@pytest.mark.parametrize("body", ['x{"a": "%s', '{"a": "%s" x}', '{"a": %s}', "не понял %s", '{"a": 1%s}'])
def test_secret_is_masked_before_its_body_is_cut(body: str) -> None:
    remember_secret("key-парольСекрет-0123")
    for filler in range(60):
        text = body.replace("%s", "-" * filler + "key-парольСекрет-0123")
        with pytest.raises((BadResponseError, MalformedResponseError)) as raised:
            decode("get.calls_report", text.encode())
        assert not {"ey-п", "парол", "Секре", "0123"} & {str(raised.value)[at : at + 5] for at in range(500)}
        assert not re.search("ey-|паро|Секр|xd0|0123", str(raised.value))


@pytest.mark.parametrize(("app_id", "is_one"), [(7, True), ("7", True), (None, True), ("7" * 200, False), ([1], False)])
def test_account_has_a_short_id(app_id: Any, is_one: bool) -> None:
    with nullcontext() if is_one else pytest.raises(BadResponseError, match="app_id"):
        assert parse_account("m", {"data": [{"app_id": app_id, "timezone": "UTC"}]}).app_id == app_id


def test_row_count_that_is_none_is_an_error() -> None:
    with pytest.raises(BadResponseError, match="total_items"):
        parse_page("m", {"data": [], "metadata": {"total_items": 10**30}}, 1)


def test_half_a_surrogate_pair_and_a_mark_of_a_type_are_loaded(serve: Serve, command: Command, place: Path) -> None:
    switches = Switches(values={"get.calls_report": {"campaign_name": "caf\ud83c", "utm_source": "\uf0290-0"}})
    sandbox = serve(recent_account(1), switches)
    outcome = command(**access_to(sandbox))
    assert outcome.code == 0, outcome.err
    assert "are not valid JSON" in outcome.out
    assert Warehouse(place).query("SELECT DISTINCT campaign_name, utm_source FROM calls") == [
        ("caf\ufffd", "\ufffd0-0")
    ]


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
