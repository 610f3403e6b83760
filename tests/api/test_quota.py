"""Requests stay within the minute's quota; an exhausted day's quota or time limit stops the client without waiting."""

from datetime import UTC, datetime
from typing import Any

import pytest

from comagic.api.deadline import Deadline
from comagic.api.rate_limit import Usage
from comagic.exceptions import DeadlineError, LimitExceededError
from comagic.sandbox import Switches
from tests.support.clients import client_with_key, request_page
from tests.support.clock import Clock
from tests.support.processes import Serve


def test_minutes_quota_is_spread_and_waited_for_before_a_request_is_rejected(serve: Serve) -> None:
    clock = Clock()
    sandbox = serve(switches=Switches(minute_limit=5), clock=clock)
    client = client_with_key(sandbox, deadline=clock.deadline())
    for _ in range(12):
        request_page(client)
    assert sandbox.requests == 12, "requests were rejected"
    assert 120 <= clock.now <= 125, "12 requests at 5 a minute take 2 minutes"
    assert clock.slept[0] == 30, "the last request of a minute waits for half of the time that is left"


@pytest.mark.parametrize(
    "date",
    [
        *("", "soon", "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359"),
        *("Mon, 01 Jan 2026 00:00:00 +9999999999999", "1 Jan 99999999999999999999 00:00:00 GMT"),
    ],
)
def test_damaged_date_of_a_response_is_no_error(date: str) -> None:
    usage = Usage()
    usage.note_clock(date)
    assert isinstance(usage.clock_difference, float)


def test_date_of_a_response_without_a_zone_is_in_utc() -> None:
    usage = Usage()
    for date in ("Thu, 01 Jan 2026 00:00:00 -0000", "Thu, 01 Jan 2026 00:00:00", "Thu, 01 Jan 2026 00:00:00 GMT"):
        usage.note_clock(date)
        assert abs(usage.clock_difference - (datetime(2026, 1, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds()) < 9


@pytest.mark.parametrize("value", ["[/x]", "9", -1, True, 1.5, 10**30, None])
def test_limit_that_is_no_number_is_none(value: Any) -> None:
    assert Usage(limits={"day_remaining": value}).limit("day_remaining") is None


def test_rejected_request_waits_for_the_next_minute_where_limits_are_not_reported(serve: Serve) -> None:
    clock = Clock()

    def without_limits(response: dict[str, Any]) -> dict[str, Any]:
        response.get("result", {}).get("metadata", {}).pop("limits", None)
        response.get("error", {}).get("data", {}).pop("metadata", None)
        return response

    sandbox = serve(switches=Switches(minute_limit=5), clock=clock, alter_answer=without_limits)
    client = client_with_key(sandbox, deadline=clock.deadline())
    for _ in range(12):
        request_page(client)
    assert sandbox.requests == 14
    assert clock.slept == [61, 61]


def test_minutes_quota_used_up_by_other_clients_raises_after_5_waits(serve: Serve) -> None:
    clock = Clock()
    sandbox = serve(switches=Switches(minute_limit=0), clock=clock)
    advice = "The minute's quota is exhausted; run again in a minute, or run fewer API clients at a time."
    with pytest.raises(LimitExceededError, match=advice):
        request_page(client_with_key(sandbox, deadline=clock.deadline()))
    assert sandbox.requests == 6


def test_days_quota_is_not_waited_for(serve: Serve) -> None:
    sandbox = serve(switches=Switches(day_limit=2))
    client = client_with_key(sandbox)
    request_page(client), request_page(client)
    with pytest.raises(LimitExceededError, match="The day's quota is exhausted: run again after it resets"):
        request_page(client)
    assert sandbox.requests == 3


def test_wait_beyond_the_time_limit_raises_at_once(serve: Serve) -> None:
    clock = Clock()
    sandbox = serve(switches=Switches(minute_limit=1), clock=clock)
    client = client_with_key(sandbox, deadline=clock.deadline(1))
    request_page(client)
    with pytest.raises(DeadlineError, match="The time limit of 1 minutes does not allow a wait of "):
        request_page(client)
    assert clock.now == 0


def test_request_times_out_at_the_time_limit(serve: Serve) -> None:
    sandbox = serve(switches=Switches(faults=dict.fromkeys(range(1, 9), "hang"), hang_seconds=5))
    client = client_with_key(sandbox, deadline=Deadline(0.01))
    with pytest.raises(DeadlineError, match=r"The time limit of 0\.01 minutes is reached\."):
        request_page(client)
    assert sandbox.requests == 1
    assert client.usage.seconds < 4
