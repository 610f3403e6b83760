"""The client sends credentials only to a safe endpoint, never shows them, and renews an expired session once."""

import pytest

from comagic import KeyCredentials
from comagic.api.client import DataApiClient
from comagic.exceptions import (
    ConfigurationError,
    RequestError,
    TokenBlockedError,
    TokenExpiredError,
    TokenInvalidError,
    WrongLoginError,
)
from comagic.sandbox import Switches
from tests.support.clients import client_with_key, client_with_login, request_page
from tests.support.processes import Serve


def test_key_quoted_in_an_error_is_masked(serve: Serve) -> None:
    with pytest.raises(TokenInvalidError) as raised:
        client_with_key(serve(), "hunter2").account()
    assert raised.value.details["field"] == "access_token"
    assert "hunter2" not in f"{raised.value} {raised.value.details}"


@pytest.mark.parametrize(
    ("key", "error"),
    [("wrong", TokenInvalidError), ("expired-key", TokenExpiredError), ("blocked-key", TokenBlockedError)],
)
def test_rejected_key_is_not_retried(serve: Serve, key: str, error: type[Exception]) -> None:
    sandbox = serve()
    with pytest.raises(error, match=r"key|token"):
        client_with_key(sandbox, key).account()
    assert sandbox.requests == 1


def test_wrong_password_is_not_retried_and_not_shown(serve: Serve) -> None:
    sandbox = serve()
    with pytest.raises(WrongLoginError, match=r"sources\.comagic\.credentials\.login and \.password") as raised:
        client_with_login(sandbox, "hunter2").account()
    assert "hunter2" not in str(raised.value)
    assert sandbox.requests == 1


def test_expired_session_is_renewed_by_one_login(serve: Serve) -> None:
    sandbox = serve(switches=Switches(session_calls=3))
    client = client_with_login(sandbox)
    for _ in range(9):
        request_page(client)
    assert sandbox.calls["login.user"] == 3
    assert client.usage.calls["login.user"] == 3


def test_session_that_never_works_causes_one_login_per_call(serve: Serve) -> None:
    sandbox = serve(switches=Switches(session_calls=0))
    client = client_with_login(sandbox)
    for _ in range(2):
        with pytest.raises(TokenInvalidError):
            request_page(client)
    assert sandbox.calls["login.user"] == 2


def test_agency_login_needs_a_client_id_and_sends_it(serve: Serve) -> None:
    sandbox = serve(switches=Switches(agency=True))
    with pytest.raises(RequestError, match=r"sources\.comagic\.user_id"):
        client_with_key(sandbox).account()
    assert client_with_key(sandbox, user_id=7).account()


def test_usage_counts_calls_and_keeps_the_last_limits(serve: Serve) -> None:
    client = client_with_key(serve(switches=Switches(day_limit=100)))
    client.account(), request_page(client), client.account()
    assert client.usage.calls == {"get.account": 1, "get.calls_report": 1}
    assert client.usage.limits["day_remaining"] == 98
    assert client.usage.seconds > 0


@pytest.mark.parametrize(
    "url", ["", "dataapi.comagic.ru", "ftp://dataapi.comagic.ru", "http://dataapi.comagic.ru/v2.0", "https://"]
)
def test_unsafe_or_malformed_endpoint_is_rejected_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^sources\.comagic\.base_url: "):
        DataApiClient(KeyCredentials(access_token="x"), url)
