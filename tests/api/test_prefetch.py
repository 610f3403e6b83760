"""Pages are requested before their turn, several at once, and come as if they had been requested one after another."""

from collections.abc import Callable
from threading import Barrier, Event, Thread, current_thread, main_thread
from types import ModuleType
from typing import Any

import pytest

from comagic.api import prefetch, transport
from comagic.api.client import DataApiClient
from comagic.api.prefetch import AHEAD_ROUNDS, Planned
from comagic.api.responses import Decoded, decode
from comagic.exceptions import ForbiddenError, TooLargeError
from comagic.sandbox import SandboxServer, Switches
from tests.support.clients import client_with_key, client_with_login
from tests.support.clock import Clock
from tests.support.processes import Serve

METHOD = "get.calls_report"
DAYS = range(1, 9)


def query(day: int) -> dict[str, Any]:
    """Parameters of the calls of a day in March."""
    return {
        "fields": ["id", "start_time"],
        "date_from": f"2026-03-{day:02} 00:00:00",
        "date_till": f"2026-03-{day:02} 23:59:59",
    }


def read_days(client: DataApiClient) -> list[list[Any]]:
    """The ids of each day's calls; all days but the first are planned as soon as that one came."""
    days = []
    for day in DAYS:
        page = client.page(METHOD, 0, **query(day))
        if day == DAYS[0]:
            client.read_ahead(METHOD, (Planned(query(later)) for later in DAYS[1:]), lambda _: ())
        days.append([row["id"] for row in page.rows])
    return days


def meet(server: Callable[[], SandboxServer], parties: int) -> tuple[Callable[[dict[str, Any]], Any], list[int]]:
    """Holds the responses after the first until so many requests are there at once; notes how many there were."""
    barrier, met = Barrier(parties), []

    def wait(response: dict[str, Any]) -> dict[str, Any]:
        if 1 < response["id"] <= 1 + parties:
            barrier.wait(timeout=20)
            met.append(server().requests)
        return response

    return wait, met


def test_requests_are_in_flight_at_once_and_every_page_comes_once_in_its_turn(serve: Serve) -> None:
    expected = read_days(client_with_key(serve()))
    wait, met = meet(lambda: sandbox, 3)
    sandbox = serve(alter_answer=wait)
    client = client_with_key(sandbox, concurrency=3)
    assert read_days(client) == expected
    assert met == [4, 4, 4], "the first request, and three at once"
    assert sandbox.requests == len(DAYS)
    assert client.usage.calls == {METHOD: len(DAYS)}


def test_pages_that_follow_by_the_total_are_requested_before_their_turn(serve: Serve) -> None:
    sandbox = serve()
    client = client_with_key(sandbox, concurrency=2)
    first = client.page(METHOD, 0, limit=10_000, **query(1))
    client.read_ahead(METHOD, [Planned(query(2)), Planned(query(3))], lambda total: (total // 2,))
    second = client.page(METHOD, 0, **query(2))
    assert second.total
    rest = client.page(METHOD, second.total // 2, **query(2))
    assert [row["id"] for row in rest.rows] == [row["id"] for row in second.rows[second.total // 2 :]]
    third = client.page(METHOD, 0, **query(3))
    assert third.total
    client.page(METHOD, third.total // 2, **query(3))
    assert first.rows
    assert sandbox.requests == 5


def test_first_page_of_the_next_query_is_requested_before_the_last_ones_of_this(serve: Serve) -> None:
    """It tells which pages follow, which would have to wait for it."""
    wait, _ = meet(lambda: sandbox, 2)
    asked: dict[int, str] = {}

    def note(response: dict[str, Any]) -> Any:
        asked[response["id"]] = response["result"]["data"][0]["start_time"][:10]
        return wait(response)

    sandbox = serve(alter_answer=note)
    client = client_with_key(sandbox, concurrency=2)
    client.page(METHOD, 0, **query(1))
    own = Planned(query(1), (1, 2, 3))
    client.read_ahead(METHOD, [own, Planned(query(2)), Planned(query(3))], lambda _: ())
    for offset in own.offsets:
        client.page(METHOD, offset, **query(1))
    client.page(METHOD, 0, **query(2))
    days = [asked[number] for number in sorted(asked)]
    assert sorted(days[1:3]) == ["2026-03-01", "2026-03-02"]
    assert days[3:5] == ["2026-03-01", "2026-03-01"], "not that of every query"


def test_pages_that_nobody_asked_for_are_not_there_for_the_next_reading(serve: Serve) -> None:
    """A query can turn out to have fewer rows than its first page said, and be read again."""
    sandbox = serve()
    client = client_with_key(sandbox, concurrency=2)
    for _ in range(2):
        client.page(METHOD, 0, limit=10_000, **query(2))
        client.read_ahead(METHOD, [Planned(query(2), (50, 100))], lambda _: ())
        client.page(METHOD, 50, **query(2))
    client.page(METHOD, 100, **query(2))
    assert sandbox.requests == 2 * 3, "the last page of the first reading is not the one of the second"
    assert client.usage.calls[METHOD] == 2 * 3, "it was in vain, and counts"
    client.read_ahead(METHOD, [Planned(query(3))], lambda _: ())
    client.page(METHOD, 100, **query(2))
    assert sandbox.requests >= 2 * 3 + 1


def test_with_concurrency_1_nothing_is_requested_before_its_turn(serve: Serve) -> None:
    sandbox = serve()
    client = client_with_key(sandbox)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, [Planned(query(2))], lambda _: ())
    assert sandbox.requests == 1
    assert read_days(client)
    assert sandbox.requests == 1 + len(DAYS)


def test_pages_of_an_agencys_client_are_found(serve: Serve) -> None:
    sandbox = serve()
    client = client_with_key(sandbox, concurrency=4, user_id=10010)
    assert read_days(client)
    assert (sandbox.requests, client._ahead.outstanding) == (len(DAYS), 0)


def test_pages_of_the_first_reading_are_not_there_for_the_second_though_nothing_was_started_between(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = serve()
    client = client_with_key(sandbox, concurrency=4)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, [Planned(query(1), (50,)), Planned(query(2), (0, 50))], lambda _: ())
    client.page(METHOD, 50, **query(1))
    client.page(METHOD, 0, **query(2))
    monkeypatch.setattr(client._limiter, "has_room", lambda _: False)
    monkeypatch.setattr(client._ahead, "_has_room", lambda _: False)
    assert all(entry.done.wait(timeout=20) for entry in list(client._ahead._entries.values()))
    for _ in range(2):  # what was read ahead of it is of the first reading
        client.read_ahead(METHOD, [Planned(query(2), (50,))], lambda _: ())
    requests = sandbox.requests
    client.page(METHOD, 50, **query(2))
    assert sandbox.requests == requests + 1


@pytest.mark.parametrize(("asked", "waited"), [(30, 30), (86_400, 300)])
def test_retry_after_of_a_request_read_ahead_slows_all(serve: Serve, asked: int, waited: int) -> None:
    clock, times = Clock(), list[float]()

    def note(request: int) -> None:
        while request == 3 and not client._ahead.quiet_until:
            Event().wait(0.001)
        times.append(clock.now)

    sandbox = serve(switches=Switches(faults={2: f"429:{asked}"}), before_answer=note)
    client = client_with_key(sandbox, concurrency=2, deadline=clock.deadline())
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, [Planned(query(1), (1, 2, 3)), Planned(query(2))], lambda _: ())
    assert all(entry.done.wait(timeout=20) for entry in list(client._ahead._entries.values()))
    for offset in (1, 2, 3):
        client.page(METHOD, offset, **query(1))
    client.page(METHOD, 0, **query(2))
    assert clock.now == pytest.approx(waited), "once, whoever comes next"
    assert all(now == clock.now for now in times[3:]), "but for the request that was in flight"
    assert sandbox.requests <= 7, "five pages, the refused one, and one that was read ahead in vain"


@pytest.mark.parametrize("place", [prefetch, transport])
def test_without_threads_pages_are_requested_in_their_turn(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, place: ModuleType
) -> None:
    expected = read_days(client_with_key(serve()))

    class NoThread(Thread):
        def start(self) -> None:
            if name == "Thread" or current_thread() is not main_thread():
                raise RuntimeError("can't start new thread")
            super().start()

    name = "Thread" if place is prefetch else "Timer"
    monkeypatch.setattr(place, name, type("None", (NoThread, getattr(place, name)), {}))
    clock = Clock()
    client = client_with_key(serve(), concurrency=4, deadline=clock.deadline())
    assert read_days(client) == expected


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_expired_session_is_renewed_by_one_login_for_all(serve: Serve, concurrency: int) -> None:
    expected = read_days(client_with_key(serve()))
    sandbox = serve(switches=Switches(session_calls=4))
    client = client_with_login(sandbox, concurrency=concurrency)
    assert read_days(client) == expected
    logins = sandbox.calls["login.user"]
    assert logins == 2 if concurrency == 1 else 2 <= logins <= 4
    assert sandbox.requests <= len(DAYS) + 2 * logins + (concurrency - 1) * logins


@pytest.mark.parametrize("concurrency", [1, 4])
def test_minutes_quota_is_never_exceeded(serve: Serve, concurrency: int) -> None:
    sandbox = serve(switches=Switches(minute_limit=40))
    client = client_with_key(sandbox, concurrency=concurrency)
    for _ in range(3):
        read_days(client)
    assert sandbox.requests == 3 * len(DAYS), "no request is rejected, and none is made twice"


def test_quota_that_is_nearly_used_up_leaves_no_room_to_read_ahead(serve: Serve) -> None:
    sandbox = serve(switches=Switches(day_limit=3))
    client = client_with_key(sandbox, concurrency=4)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, (Planned(query(day)) for day in DAYS[1:]), lambda _: ())
    client.page(METHOD, 0, **query(2))
    client.page(METHOD, 0, **query(3))
    assert sandbox.requests == 3


def test_error_comes_in_its_turn_and_drops_what_was_read_ahead(serve: Serve) -> None:
    def fail_later(request: int) -> None:
        if request > 2:
            sandbox.switches.errors = {METHOD: "forbidden"}

    sandbox = serve(before_answer=fail_later)
    client = client_with_key(sandbox, concurrency=1)
    assert client.page(METHOD, 0, **query(1)).rows
    sandbox.switches.errors = {}
    client = client_with_key(sandbox, concurrency=4)
    assert client.page(METHOD, 0, **query(1)).rows
    client.read_ahead(METHOD, (Planned(query(day)) for day in DAYS[1:]), lambda _: ())
    with pytest.raises(ForbiddenError):
        client.page(METHOD, 0, **query(2))
    used = client.usage.calls[METHOD]
    assert used <= 1 + AHEAD_ROUNDS * 4
    with pytest.raises(ForbiddenError):
        client.page(METHOD, 0, **query(3))
    assert client.usage.calls[METHOD] == used + 1, "it is asked again, since what was read ahead is dropped"


class Recording:
    """Decodes like the real one, or leaves it; notes what it was given."""

    def __init__(self, leaves: bool = False) -> None:
        self.is_ready = True
        self.given: list[bytes | bytearray] = []
        self.first = Event()
        self._leaves = leaves

    def __call__(self, body: bytes | bytearray) -> Decoded | None:
        self.given.append(body)
        decoded = None if self._leaves else decode(METHOD, body)
        if decoded:
            for row in decoded.response["result"]["data"]:
                row["decoded"] = True
        self.first.set()
        return decoded


@pytest.mark.parametrize("leaves", [False, True])
def test_responses_are_decoded_before_their_turn_unless_that_is_left_to_their_asker(serve: Serve, leaves: bool) -> None:
    expected = read_days(client_with_key(serve()))
    sandbox, decoder = serve(), Recording(leaves)
    client = client_with_key(sandbox, concurrency=3)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, (Planned(query(day)) for day in DAYS[1:]), lambda _: (), decoder)
    assert decoder.first.wait(timeout=20), "nobody has asked for a page yet"
    pages = [client.page(METHOD, 0, **query(day)) for day in DAYS[1:]]
    assert [[row["id"] for row in page.rows] for page in pages] == expected[1:]
    decoded = sum(bool(page.rows[0].get("decoded")) for page in pages)
    assert decoded == (0 if leaves else len(decoder.given))
    assert all(page.share > 0 for page in pages)
    assert sandbox.requests == len(DAYS)


def test_a_decoded_response_may_be_no_larger_than_another(serve: Serve) -> None:
    decoder = Recording()
    client = client_with_key(serve(), concurrency=2)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, [Planned(query(2))], lambda _: (), decoder)
    assert decoder.first.wait(timeout=20)
    with pytest.raises(TooLargeError, match="what is held"):
        client.page(METHOD, 0, most=1e-9, **query(2))


def test_a_response_that_is_not_decoded_in_time_is_decoded_by_its_asker(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, end = read_days(client_with_key(serve())), Event()

    class Still(Recording):
        def __call__(self, body: bytes | bytearray) -> Decoded | None:
            self.given.append(body)
            self.first.set()
            end.wait(timeout=60)
            return None

    monkeypatch.setattr(prefetch, "DECODING_SECONDS", 0.01)
    decoder = Still()
    client = client_with_key(serve(), concurrency=3)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, (Planned(query(day)) for day in DAYS[1:]), lambda _: (), decoder)
    assert decoder.first.wait(timeout=20)
    pages = [client.page(METHOD, 0, **query(day)) for day in DAYS[1:]]
    end.set()
    assert [[row["id"] for row in page.rows] for page in pages] == expected[1:]


def test_a_decoder_that_is_not_ready_gets_nothing(serve: Serve) -> None:
    decoder = Recording()
    decoder.is_ready = False
    client = client_with_key(serve(), concurrency=3)
    client.page(METHOD, 0, **query(1))
    client.read_ahead(METHOD, (Planned(query(day)) for day in DAYS[1:]), lambda _: (), decoder)
    for day in DAYS[1:]:
        client.page(METHOD, 0, **query(day))
    assert decoder.given == []
