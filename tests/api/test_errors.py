"""Each error of the API raises its own exception, which says what to fix; only transient errors are retried."""

from typing import Any

import pytest

import comagic.exceptions
from comagic import KeyCredentials
from comagic.api.client import DataApiClient
from comagic.exceptions import (
    BY_MNEMONIC,
    Action,
    AddressError,
    ApiError,
    ComagicError,
    ComponentError,
    LimitExceededError,
    RequestError,
    StatusError,
    TokenInvalidError,
    UnreachableError,
    api_error,
)
from comagic.redaction import printable
from comagic.sandbox import Switches
from comagic.sandbox.protocol import CODES
from tests.support.clients import client_with_key, client_with_login, request_page
from tests.support.clock import Clock
from tests.support.processes import Serve

DOCUMENTED = list(dict.fromkeys([*CODES, *RequestError.mnemonics]))
ATTEMPTS = {Action.RETRY: 5, Action.WAIT: 6}
"""Requests in all for an error that lasts, by what is done about it; 1 for every other action."""


@pytest.mark.parametrize("mnemonic", DOCUMENTED)
def test_documented_mnemonic_has_its_exception(mnemonic: str) -> None:
    method = "login.user" if mnemonic == "auth_error" else "get.calls_report"
    error = api_error(method, {"code": 1, "message": "No", "data": {"mnemonic": mnemonic}})
    assert mnemonic in type(error).mnemonics
    assert mnemonic in str(error)


@pytest.mark.parametrize(
    "body", [None, "text", {}, {"code": 5}, {"data": None}, {"data": {"mnemonic": "brand_new"}}], ids=repr
)
def test_unknown_or_malformed_error_raises_api_error(body: Any) -> None:
    assert type(api_error("get.account", body)) is ApiError


@pytest.mark.parametrize(
    "data",
    [
        {"mnemonic": "method_component_disabled", "params": {"components": [f"c{nth}" for nth in range(200_000)]}},
        {"mnemonic": "invalid_parameter_value", "field": "x" * 9000, "value": [["a"] * 500] * 500},
        {"mnemonic": ["x"] * 200_000},
        {"mnemonic": "ip_not_whitelisted", "params": [[[[["1.2.3.4"] * 9] * 9] * 9] * 9] * 9},
    ],
)
def test_error_with_many_values_is_a_short_message(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    masked = []

    def count(text: str) -> str:
        masked.append(text)
        return printable(text)

    monkeypatch.setattr(comagic.exceptions, "printable", count)
    error = api_error("get.calls_report", {"code": ["x"] * 200_000, "message": {"a": "b"}, "data": data})
    assert len(str(error)) < 1500
    assert len(masked) < 500


@pytest.mark.parametrize("mnemonic", CODES)
def test_documented_error_is_requested_as_often_as_its_action_says(serve: Serve, mnemonic: str) -> None:
    error = TokenInvalidError if mnemonic == "auth_error" else BY_MNEMONIC[mnemonic]
    sandbox = serve(switches=Switches(errors={"get.calls_report": mnemonic}))
    with pytest.raises(ApiError) as raised:
        request_page(client_with_login(sandbox, deadline=Clock().deadline()))
    assert type(raised.value) is error
    assert sandbox.calls["get.calls_report"] == ATTEMPTS.get(error.action, 1)
    assert sandbox.calls["login.user"] == 1


def test_table_in_the_docstring_matches_the_actions() -> None:
    actions = {
        name: value.action.value
        for name, value in vars(comagic.exceptions).items()
        if isinstance(value, type) and issubclass(value, ComagicError)
    }
    tree = (comagic.exceptions.__doc__ or "").split("The second column")[0]
    lines = [line.strip(" │├└─").split() for line in tree.splitlines() if "Error " in line]
    assert {words[0]: words[1] for words in lines} == actions
    assert set(BY_MNEMONIC) >= set(DOCUMENTED)


@pytest.mark.parametrize(
    ("message", "params", "kind"),
    [
        ("Limit exceeded", {"limit_type": "day"}, "day"),
        ("Limit exceeded", {"limit_type": "minute"}, "minute"),
        ("Daily limit is exceeded", None, "day"),
        ("Limit of requests per minute", {}, "minute"),
        ("Limit exceeded", {"limit_type": "day_limit", "value": 3000}, "day"),
        ("Limit exceeded", {"limit_type": "hour"}, "hour"),
        ("Hourly limit is exceeded", None, "hour"),
    ],
)
def test_exhausted_quota_is_the_days_or_the_minutes(message: str, params: Any, kind: str) -> None:
    error = api_error("x", {"message": message, "data": {"mnemonic": "limit_exceeded", "params": params}})
    assert isinstance(error, LimitExceededError)
    assert error.kind == kind


def test_blocked_ip_address_is_in_the_message(serve: Serve) -> None:
    advice = r"Add the address 127\.0\.0\.1 to the Data API's allowed addresses in your personal account\."
    with pytest.raises(AddressError, match=advice):
        client_with_key(serve(switches=Switches(errors={"get.account": "ip_not_whitelisted"}))).account()


def test_missing_component_is_in_the_message(serve: Serve) -> None:
    sandbox = serve(switches=Switches(errors={"get.calls_report": "method_component_disabled"}))
    with pytest.raises(ComponentError, match=r"The account lacks the component dt: enable it"):
        request_page(client_with_key(sandbox))


@pytest.mark.parametrize("status", ["204", "301", "400", "401", "403", "404"])
def test_other_http_status_is_not_retried_and_names_the_setting(serve: Serve, status: str) -> None:
    sandbox = serve(switches=Switches(faults={1: status}))
    with pytest.raises(StatusError, match=rf"HTTP {status}, .*Check sources\.comagic\.base_url\.$"):
        client_with_key(sandbox).account()
    assert sandbox.requests == 1


def test_refused_connection_is_unreachable_and_shows_no_key() -> None:
    client = DataApiClient(KeyCredentials(access_token="secret-key"), "http://127.0.0.1:1/v2.0")
    with pytest.raises(UnreachableError, match=r"cannot be reached \(.*refused") as raised:
        client.account()
    assert "secret-key" not in str(raised.value)


@pytest.mark.parametrize("error", ["auth_error", "a_mnemonic_of_next_year"])
def test_ended_session_is_one_new_login_whatever_its_mnemonic(serve: Serve, error: str) -> None:
    """Some hosts answer an ended session with the error of a wrong password; its code is the same."""
    refused: list[str] = []

    def refuse_once(response: dict[str, Any]) -> dict[str, Any]:
        if sandbox.calls.get("get.calls_report") == 2 and not refused:
            refused.append(error)
            return {"id": response["id"], "error": {"code": -32001, "message": "No", "data": {"mnemonic": error}}}
        return response

    sandbox = serve()
    sandbox.alter_answer = refuse_once
    client = client_with_login(sandbox)
    first = request_page(client)
    assert request_page(client) == first
    assert (refused, sandbox.calls["login.user"]) == ([error], 2)


def test_key_that_is_refused_with_the_error_of_a_password_is_about_the_key(serve: Serve) -> None:
    sandbox = serve(switches=Switches(errors={"get.calls_report": "auth_error"}))
    with pytest.raises(TokenInvalidError, match=r"Check sources\.comagic\.credentials\.access_token"):
        request_page(client_with_key(sandbox))


@pytest.mark.parametrize(
    ("message", "data", "named"),
    [
        ("Unexpected parameters", {"field": "fields", "value": "status"}, ["status"]),
        ("Unexpected parameters", {"field": "fields", "value": ["status", "type"]}, ["status", "type"]),
        ("Unexpected parameters", {"field": "fields.status"}, ["status"]),
        ("Unexpected parameters", {"field": "fields[2]", "params": {"names": ["status"]}}, ["status"]),
        ('The parameter name "status" is not expected', {"field": None}, ["status"]),
        ("The parameter name is not expected", {"field": "fields", "value": "other"}, []),
        ("Unexpected parameters", {"field": "sort", "value": "status"}, []),
        ("Unexpected parameters", {"field": "filter", "value": "status"}, []),
        ("Unexpected parameters", {"field": "limit", "value": 3}, []),
    ],
)
def test_fields_that_an_error_names_are_found(message: str, data: dict[str, Any], named: list[str]) -> None:
    error = api_error("x", {"message": message, "data": {"mnemonic": "unexpected_parameters", **data}})
    assert isinstance(error, RequestError)
    assert error.names_fields({"name", "status", "type"}) == named
