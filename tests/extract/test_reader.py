"""Every row of a window comes once, however many there are and whatever moves while they are paged."""

from datetime import date, datetime, timedelta

import pendulum
import pytest

from comagic import KeyCredentials
from comagic.api.client import DataApiClient
from comagic.exceptions import WindowTooDenseError
from comagic.extract.reader import WindowReader, WindowResult
from comagic.extract.windows import Window
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import CALLS, FAR
from tests.support.processes import Serve

NOON = datetime(2026, 3, 2, 12)
WEEK = Window(datetime(2026, 3, 1), datetime(2026, 3, 8))
MOSCOW = pendulum.timezone("Europe/Moscow")


def account_of(*bursts: tuple[datetime, int], calls_per_day: float = 0) -> SyntheticAccount:
    return SyntheticAccount(
        first_day=date(2026, 3, 1), last_day=date(2026, 3, 7), calls_per_day=calls_per_day, bursts=bursts
    )


def read(sandbox: SandboxServer, *windows: Window, most_rows: int = 110_000) -> tuple[list[int], list[WindowResult]]:
    """Ids of the rows that came, in order, and the results."""
    client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url)
    reader = WindowReader(client, CALLS, ["id", "start_time"], MOSCOW, most_rows)
    parts = list(reader.read(windows or [WEEK]))
    results = [part for part in parts if isinstance(part, WindowResult)]
    return [row["id"] for part in parts if not isinstance(part, WindowResult) for row in part], results


def spread(number: int) -> list[tuple[datetime, int]]:
    """So many calls, five a second."""
    return [(NOON + timedelta(seconds=second), 5) for second in range(number // 5)] + (
        [(NOON + timedelta(hours=9), number % 5)] if number % 5 else []
    )


@pytest.mark.parametrize(
    ("number", "requests"),
    [(0, 1), (1, 1), (9_999, 1), (10_000, 1), (10_001, 2), (19_999, 2), (20_000, 3), (110_000, 12)],
)
def test_pages(serve: Serve, number: int, requests: int) -> None:
    sandbox = serve(account_of(*spread(number)))
    ids, results = read(sandbox)
    assert len(ids) == len(set(ids)) == number
    assert [(result.announced, result.received, result.loaded) for result in results] == [(number, number, number)]
    assert results[0].requests == sandbox.requests == requests


def test_more_rows_than_can_be_paged_to_split_the_window(serve: Serve) -> None:
    ids, results = read(serve(account_of(*spread(110_001))))
    assert len(ids) == len(set(ids)) == 110_001
    assert len(results) > 1
    assert all(result.difference == 0 for result in results)


def test_a_quarter_of_a_million_calls_in_a_week_with_busy_hours(serve: Serve) -> None:
    account = account_of(calls_per_day=40_000)
    number = account.count(WEEK.start, WEEK.end, FAR)
    ids, _ = read(serve(account))
    assert number > 250_000
    assert len(ids) == len(set(ids)) == number


def test_a_second_that_can_just_be_paged_to(serve: Serve) -> None:
    ids, _ = read(serve(account_of((NOON, 100_000), (NOON + timedelta(minutes=1), 50_000))))
    assert len(ids) == len(set(ids)) == 150_000


def test_a_second_with_more_rows_than_can_be_paged_to_is_an_error(serve: Serve) -> None:
    with pytest.raises(WindowTooDenseError, match=r"110001 rows around 2026-03-02 (11:59:5|12:00:0)"):
        read(serve(account_of((NOON, 110_001))))


@pytest.mark.parametrize("at_request", [2, 3])
@pytest.mark.parametrize("movement", ["vanish", "appear", "both", "move_back", "move_on"])
def test_rows_that_move_while_they_are_paged(serve: Serve, movement: str, at_request: int) -> None:
    account = account_of(*spread(25_000))
    stable = {call["id"] for call in account.calls(WEEK.start, WEEK.end, FAR)}
    early = sorted(stable)[100:103]
    added: list[int] = []

    def move(request: int) -> None:
        if request != at_request:
            return
        if movement in ("vanish", "both", "move_on"):
            for key in early:
                account.remove(key)
        if movement in ("appear", "move_back"):
            added.extend(account.upload(NOON + timedelta(seconds=nth)) for nth in range(3))
        if movement in ("both", "move_on"):
            added.extend(account.upload(NOON + timedelta(hours=8, seconds=nth)) for nth in range(3))

    sandbox = serve(account, before_answer=move)
    ids, results = read(sandbox)
    assert len(ids) == len(set(ids))
    assert set(ids) >= (stable - set(early)) | set(added)
    assert sandbox.requests <= 10
    assert sum(result.loaded for result in results) == len(ids)


@pytest.mark.parametrize("number", [5, 10_000, 25_000])
def test_a_total_that_is_one_too_high_is_reported_and_not_looped_on(serve: Serve, number: int) -> None:
    sandbox = serve(account_of(*spread(number)), Switches(total_extra=1))
    ids, results = read(sandbox)
    assert len(ids) == number
    assert [result.difference for result in results] == [1]
    assert sandbox.requests <= 2 + number // 10_000 * 2


def test_a_key_is_not_yielded_again_by_another_window(serve: Serve) -> None:
    account = account_of((NOON, 10))
    moved = next(account.calls(WEEK.start, WEEK.end, FAR))["id"]

    def move(request: int) -> None:
        if request == 2:
            account.remove(moved)
            account.upload(NOON + timedelta(hours=2), id=moved)

    sandbox = serve(account, before_answer=move)
    ids, results = read(sandbox, Window(NOON, NOON + timedelta(hours=1)), Window(NOON + timedelta(hours=1), WEEK.end))
    assert len(ids) == len(set(ids)) == 10
    assert [(result.received, result.loaded) for result in results] == [(10, 10), (1, 0)]


def test_a_window_with_more_rows_than_wanted_is_split_but_a_second_is_not(serve: Serve) -> None:
    sandbox = serve(account_of((NOON, 3_000), (NOON + timedelta(hours=1), 900), (NOON + timedelta(hours=2), 900)))
    ids, results = read(sandbox, WEEK, most_rows=1_000)
    assert len(ids) == len(set(ids)) == 4_800
    assert max(result.loaded for result in results if result.window.seconds > 1) <= 1_000
    assert results[-1].remaining == 0
    assert [result.window.end for result in results[:-1]] == [result.window.start for result in results[1:]]
