"""The client returns what the API documents or raises the exception that says how to mend it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from comagic import KeyCredentials, LoginCredentials
from comagic.api.client import DataApiClient
from comagic.api.deadline import Deadline
from comagic.exceptions import (
    BY_MNEMONIC,
    Action,
    AddressError,
    ApiError,
    BadResponseError,
    ComagicError,
    ComponentError,
    ConfigurationError,
    DeadlineError,
    LimitExceededError,
    RequestError,
    StatusError,
    TokenBlockedError,
    TokenExpiredError,
    TokenInvalidError,
    UnreachableError,
    WrongLoginError,
    api_error,
)
from comagic.sandbox import SandboxServer, Switches
from comagic.sandbox.protocol import CODES
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from tests.support.clock import Clock
from tests.support.faults import HANGS, TRANSIENT
from tests.support.processes import Serve

DOCUMENTED = [*CODES, *RequestError.mnemonics]


def with_key(sandbox: SandboxServer, key: str = KEY, **settings: Any) -> DataApiClient:
    return DataApiClient(KeyCredentials(access_token=key), sandbox.base_url, **settings)


def with_login(sandbox: SandboxServer, password: str = PASSWORD, **settings: Any) -> DataApiClient:
    return DataApiClient(LoginCredentials(login=LOGIN, password=password), sandbox.base_url, **settings)


def ask_page(client: DataApiClient) -> int:
    return client.page(
        "get.calls_report", 0, fields=["id"], date_from="2026-03-01 00:00:00", date_till="2026-03-02 00:00:00"
    ).total


def test_an_error_that_quotes_the_access_does_not_show_it(serve: Serve) -> None:
    with pytest.raises(TokenInvalidError) as raised:
        with_key(serve(), "hunter2").account()
    assert raised.value.details["field"] == "access_token"
    assert "hunter2" not in f"{raised.value} {raised.value.details}"


@pytest.mark.parametrize("mnemonic", dict.fromkeys(DOCUMENTED))
def test_every_documented_error_has_its_class(mnemonic: str) -> None:
    error = api_error("get.calls_report", {"code": 1, "message": "No", "data": {"mnemonic": mnemonic}})
    assert mnemonic in type(error).mnemonics
    assert mnemonic in str(error)


@pytest.mark.parametrize("answer", [None, "text", {}, {"code": 5}, {"data": None}, {"data": {"mnemonic": "brand_new"}}])
def test_an_unknown_error_raises_too(answer: Any) -> None:
    assert type(api_error("get.account", answer)) is ApiError


@pytest.fixture
def short_hangs(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "hang":
        monkeypatch.setenv(*next(iter(HANGS.items())))


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_passing_fault_is_retried(serve: Serve, short_hangs: None, fault: str) -> None:
    sandbox = serve(switches=Switches(faults={1: fault, 2: fault}, hang_seconds=3))
    assert ask_page(with_key(sandbox, deadline=Clock().deadline())) > 0
    assert sandbox.requests == 3


@pytest.mark.parametrize(("fault", "error"), TRANSIENT.items())
def test_a_lasting_fault_raises_and_never_looks_like_no_rows(
    serve: Serve, short_hangs: None, fault: str, error: type[ComagicError]
) -> None:
    sandbox = serve(switches=Switches(faults=dict.fromkeys(range(1, 100), fault), hang_seconds=3))
    with pytest.raises(error) as raised:
        ask_page(with_key(sandbox, deadline=Clock().deadline()))
    assert type(raised.value) is error
    assert sandbox.requests == 5


def test_pauses_grow(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "1")
    clock = Clock()
    with pytest.raises(BadResponseError):
        ask_page(with_key(serve(switches=Switches(faults=dict.fromkeys(range(9), "html"))), deadline=clock.deadline()))
    assert clock.slept == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("soon", 1.0),
        ("100000", 300.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
    ],
)
def test_what_retry_after_says_is_waited_within_reason(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, asked: str, waited: float
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "1")
    clock = Clock()
    ask_page(with_key(serve(switches=Switches(faults={1: f"429:{asked}"})), deadline=clock.deadline()))
    assert clock.slept == [waited]


def test_a_date_in_retry_after_is_waited_for(serve: Serve) -> None:
    clock = Clock()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True)
    ask_page(with_key(serve(switches=Switches(faults={1: f"429:{date}"})), deadline=clock.deadline()))
    assert 100 < clock.slept[0] <= 200


@pytest.mark.parametrize("status", ["204", "301", "400", "401", "403", "404"])
def test_another_http_status_is_not_retried_and_names_the_setting(serve: Serve, status: str) -> None:
    sandbox = serve(switches=Switches(faults={1: status}))
    with pytest.raises(StatusError, match=r"sources\.comagic\.base_url") as raised:
        with_key(sandbox).account()
    assert status in str(raised.value)
    assert sandbox.requests == 1


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    client = DataApiClient(KeyCredentials(access_token="secret-key"), "http://127.0.0.1:1/v2.0")
    with pytest.raises(UnreachableError, match="refused") as raised:
        client.account()
    assert "secret-key" not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "error"),
    [("wrong", TokenInvalidError), ("expired-key", TokenExpiredError), ("blocked-key", TokenBlockedError)],
)
def test_a_wrong_key_is_not_retried(serve: Serve, key: str, error: type[Exception]) -> None:
    sandbox = serve()
    with pytest.raises(error, match=r"key|token"):
        with_key(sandbox, key).account()
    assert sandbox.requests == 1


def test_a_wrong_password_is_not_retried_and_not_shown(serve: Serve) -> None:
    sandbox = serve()
    with pytest.raises(WrongLoginError, match=r"credentials\.login") as raised:
        with_login(sandbox, "hunter2").account()
    assert "hunter2" not in str(raised.value)
    assert sandbox.requests == 1


def test_a_session_that_ends_is_met_with_one_new_login(serve: Serve) -> None:
    sandbox = serve(switches=Switches(session_calls=3))
    client = with_login(sandbox)
    for _ in range(9):
        ask_page(client)
    assert sandbox.calls["login.user"] == 3
    assert client.usage.calls["login.user"] == 3


def test_a_session_that_never_works_is_no_login_storm(serve: Serve) -> None:
    sandbox = serve(switches=Switches(session_calls=0))
    client = with_login(sandbox)
    for _ in range(2):
        with pytest.raises(TokenInvalidError):
            ask_page(client)
    assert sandbox.calls["login.user"] == 2


def test_a_blocked_address_is_named(serve: Serve) -> None:
    with pytest.raises(AddressError, match=r"Add the address 127\.0\.0\.1"):
        with_key(serve(switches=Switches(errors={"get.account": "ip_not_whitelisted"}))).account()


def test_a_missing_component_is_named(serve: Serve) -> None:
    with pytest.raises(ComponentError, match="component dt"):
        ask_page(with_key(serve(switches=Switches(errors={"get.calls_report": "method_component_disabled"}))))


def test_an_agency_needs_a_client_and_the_client_is_sent(serve: Serve) -> None:
    sandbox = serve(switches=Switches(agency=True))
    with pytest.raises(RequestError, match=r"sources\.comagic\.user_id"):
        with_key(sandbox).account()
    assert with_key(sandbox, user_id=7).account()


def test_the_minutes_points_are_spread_and_waited_for_before_a_request_is_refused(serve: Serve) -> None:
    clock = Clock()
    sandbox = serve(switches=Switches(minute_limit=5), clock=clock)
    client = with_key(sandbox, deadline=clock.deadline())
    for _ in range(12):
        ask_page(client)
    assert sandbox.requests == 12, "requests were refused"
    assert 120 <= clock.now <= 125, "the time that twelve of five a minute must take"
    assert clock.slept[0] == 30, "the last point of a minute is spent half way through what is left of it"


def test_where_the_limits_are_not_told_a_refusal_is_waited_out(serve: Serve) -> None:
    clock = Clock()

    def blind(answer: dict[str, Any]) -> dict[str, Any]:
        answer.get("result", {}).get("metadata", {}).pop("limits", None)
        answer.get("error", {}).get("data", {}).pop("metadata", None)
        return answer

    sandbox = serve(switches=Switches(minute_limit=5), clock=clock, alter_answer=blind)
    client = with_key(sandbox, deadline=clock.deadline())
    for _ in range(12):
        ask_page(client)
    assert sandbox.requests == 14
    assert clock.slept == [61, 61]


def test_a_minute_that_others_spend_is_not_waited_for_ever(serve: Serve) -> None:
    clock = Clock()
    sandbox = serve(switches=Switches(minute_limit=0), clock=clock)
    with pytest.raises(LimitExceededError, match="fewer readers"):
        ask_page(with_key(sandbox, deadline=clock.deadline()))
    assert sandbox.requests == 6


def test_a_deadline_is_not_waited_across(serve: Serve) -> None:
    clock = Clock()
    client = with_key(serve(switches=Switches(minute_limit=1), clock=clock), deadline=clock.deadline(1))
    ask_page(client)
    with pytest.raises(DeadlineError, match="1 minutes"):
        ask_page(client)
    assert clock.now == 0


def test_no_request_outlasts_the_deadline(serve: Serve) -> None:
    sandbox = serve(switches=Switches(faults=dict.fromkeys(range(1, 9), "hang"), hang_seconds=20))
    client = with_key(sandbox, deadline=Deadline(0.01))
    with pytest.raises(DeadlineError):
        ask_page(client)
    assert sandbox.requests == 1
    assert client.usage.seconds < 10


def test_the_days_points_are_not_waited_for(serve: Serve) -> None:
    sandbox = serve(switches=Switches(day_limit=2))
    client = with_key(sandbox)
    ask_page(client), ask_page(client)
    with pytest.raises(LimitExceededError, match="run again"):
        ask_page(client)
    assert sandbox.requests == 3


@pytest.mark.parametrize(
    ("message", "params", "kind"),
    [
        ("Limit exceeded", {"limit_type": "day"}, "day"),
        ("Limit exceeded", {"limit_type": "minute"}, "minute"),
        ("Daily limit is exceeded", None, "day"),
        ("Limit of requests per minute", {}, "minute"),
        ("Limit exceeded", {"limit_type": "day_limit", "value": 3000}, "day"),
    ],
)
def test_the_kind_of_a_spent_budget(message: str, params: Any, kind: str) -> None:
    error = api_error("x", {"message": message, "data": {"mnemonic": "limit_exceeded", "params": params}})
    assert isinstance(error, LimitExceededError)
    assert error.kind == kind


def test_usage_counts_calls_and_remembers_the_limits(serve: Serve) -> None:
    client = with_key(serve(switches=Switches(day_limit=100)))
    client.account(), ask_page(client), client.account()
    assert client.usage.calls == {"get.account": 1, "get.calls_report": 1}
    assert client.usage.limits["day_remaining"] == 98
    assert client.usage.seconds > 0


@pytest.mark.parametrize(
    "url", ["", "dataapi.comagic.ru", "ftp://dataapi.comagic.ru", "http://dataapi.comagic.ru/v2.0", "https://"]
)
def test_a_wrong_endpoint_is_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^sources\.comagic\.base_url"):
        DataApiClient(KeyCredentials(access_token="x"), url)


def test_the_table_of_rules_in_the_docstring_is_the_real_one() -> None:
    import comagic.exceptions as module

    actions = {
        name: of.action.value
        for name, of in vars(module).items()
        if isinstance(of, type) and issubclass(of, module.ComagicError)
    }
    tree = (module.__doc__ or "").split("The second column")[0]
    lines = [line.strip(" │├└─").split() for line in tree.splitlines() if "Error " in line]
    assert {words[0]: words[1] for words in lines} == actions
    assert set(BY_MNEMONIC) >= set(DOCUMENTED)


def test_every_documented_error_of_the_api_is_met_as_the_table_says(serve: Serve) -> None:
    for mnemonic in CODES:
        clock = Clock()
        sandbox = serve(switches=Switches(errors={"get.calls_report": mnemonic}))
        with pytest.raises(ApiError) as raised:
            ask_page(with_login(sandbox, deadline=clock.deadline()))
        action = BY_MNEMONIC[mnemonic].action
        assert type(raised.value) is BY_MNEMONIC[mnemonic]
        assert sandbox.calls["get.calls_report"] == {Action.RETRY: 5, Action.WAIT: 6}.get(action, 1), mnemonic
        assert sandbox.calls["login.user"] == 1
