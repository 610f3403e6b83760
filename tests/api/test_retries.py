"""A transient fault is retried with growing pauses, and raises if it lasts: it never looks like an empty result."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from comagic.exceptions import BadResponseError, ComagicError
from comagic.sandbox import Switches
from tests.support.clients import client_with_key, request_page
from tests.support.clock import Clock
from tests.support.faults import HANGS, TRANSIENT
from tests.support.processes import Serve


@pytest.fixture
def short_hangs(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the timeout of requests for the fault that hangs."""
    if fault == "hang":
        for name, value in HANGS.items():
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_transient_fault_is_retried(serve: Serve, short_hangs: None, fault: str) -> None:
    sandbox = serve(switches=Switches(faults={1: fault, 2: fault}, hang_seconds=3))
    assert request_page(client_with_key(sandbox, deadline=Clock().deadline())) > 0
    assert sandbox.requests == 3


@pytest.mark.parametrize(("fault", "error"), TRANSIENT.items())
def test_lasting_fault_raises_after_5_attempts(
    serve: Serve, short_hangs: None, fault: str, error: type[ComagicError]
) -> None:
    sandbox = serve(switches=Switches(faults=dict.fromkeys(range(1, 100), fault), hang_seconds=3))
    with pytest.raises(error) as raised:
        request_page(client_with_key(sandbox, deadline=Clock().deadline()))
    assert type(raised.value) is error
    assert sandbox.requests == 5


def test_pauses_between_attempts_double(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "1")
    clock = Clock()
    sandbox = serve(switches=Switches(faults=dict.fromkeys(range(9), "html")))
    with pytest.raises(BadResponseError):
        request_page(client_with_key(sandbox, deadline=clock.deadline()))
    assert clock.slept == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("soon", 1.0),
        ("100000", 300.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
    ],
)
def test_retry_after_extends_the_pause_up_to_a_limit(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, retry_after: str, pause: float
) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_BACKOFF_FACTOR", "1")
    clock = Clock()
    sandbox = serve(switches=Switches(faults={1: f"429:{retry_after}"}))
    request_page(client_with_key(sandbox, deadline=clock.deadline()))
    assert clock.slept == [pause]


def test_retry_after_may_be_a_date(serve: Serve) -> None:
    clock = Clock()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True)
    request_page(client_with_key(serve(switches=Switches(faults={1: f"429:{date}"})), deadline=clock.deadline()))
    assert len(clock.slept) == 1
    assert 100 < clock.slept[0] <= 200
