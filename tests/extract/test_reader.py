"""Every row of a window is read once, however many there are and whatever changes while they are paged."""

from datetime import date, datetime, timedelta
from itertools import product

import pendulum
import pytest

from comagic import KeyCredentials
from comagic.api.client import MAX_QUERY_ROWS, DataApiClient
from comagic.exceptions import WindowTooDenseError
from comagic.extract.privacy import Privacy
from comagic.extract.reader import WindowReader, WindowResult
from comagic.extract.shaping import ShapingProcess
from comagic.extract.windows import Window
from comagic.load.normalizing import can_use_workers, start_process
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import Settings
from tests.support.accounts import CALLS, FAR
from tests.support.processes import Serve
from tests.support.sampling import ALL_CASES, sample
from tests.support.shaping import use_from_the_first_page

NOON = datetime(2026, 3, 2, 12)
WEEK = Window(datetime(2026, 3, 1), datetime(2026, 3, 8))
MOSCOW = pendulum.timezone("Europe/Moscow")
HAS_TWO_CORES = can_use_workers()
"""Without them there is no second process."""


def account_with(*bursts: tuple[datetime, int], calls_per_day: float = 0) -> SyntheticAccount:
    """An account with bursts of calls at some seconds of the week."""
    return SyntheticAccount(
        first_day=date(2026, 3, 1), last_day=date(2026, 3, 7), calls_per_day=calls_per_day, bursts=bursts
    )


def read(
    sandbox: SandboxServer,
    *windows: Window,
    max_rows: int = MAX_QUERY_ROWS,
    concurrency: int = Settings.concurrency,
    shaping: ShapingProcess | None = None,
) -> tuple[list[int], list[WindowResult]]:
    """Reads the week, or other windows; returns the ids of the rows in their order, and the results."""
    client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url, concurrency=concurrency)
    reader = WindowReader(client, CALLS, ["id", "start_time"], MOSCOW, max_rows, shaping=shaping)
    parts = list(reader.read(windows or [WEEK]))
    results = [part for part in parts if isinstance(part, WindowResult)]
    return [row["id"] for part in parts if not isinstance(part, WindowResult) for row in part], results


def spread(number: int) -> list[tuple[datetime, int]]:
    """So many calls, at most five of them in a second."""
    return [(NOON + timedelta(seconds=second), 5) for second in range(number // 5)] + (
        [(NOON + timedelta(hours=9), number % 5)] if number % 5 else []
    )


@pytest.mark.parametrize(
    ("number", "requests"),
    sample([(0, 1), (1, 1), (9_999, 1), (10_000, 1), (10_001, 2), (19_999, 2), (20_000, 3), (110_000, 12)], 4),
)
def test_window_is_read_in_full_pages(serve: Serve, number: int, requests: int) -> None:
    sandbox = serve(account_with(*spread(number)))
    ids, results = read(sandbox)
    assert len(ids) == len(set(ids)) == number
    assert [(result.announced, result.received, result.loaded) for result in results] == [(number, number, number)]
    assert results[0].requests == sandbox.requests == requests


def test_window_with_more_rows_than_one_query_reaches_is_split(serve: Serve) -> None:
    ids, results = read(serve(account_with(*spread(110_001))))
    assert len(ids) == len(set(ids)) == 110_001
    assert len(results) > 1
    assert all(result.difference == 0 for result in results)


def test_week_with_more_than_twice_the_rows_of_a_query_and_busy_hours_is_split(serve: Serve) -> None:
    """A quarter of a million calls, which `.ci/proofs` reads; other runs read a tenth with a tenth of the limit."""
    scale = 1 if ALL_CASES else 10
    account = account_with(calls_per_day=40_000 / scale)
    number = account.count(WEEK.start, WEEK.end, FAR)
    ids, results = read(serve(account), max_rows=MAX_QUERY_ROWS // scale)
    assert number > 250_000 / scale
    assert len(ids) == len(set(ids)) == number
    assert max(result.announced for result in results) <= MAX_QUERY_ROWS // scale


@pytest.mark.expensive
def test_second_with_as_many_rows_as_one_query_reaches_is_read(serve: Serve) -> None:
    ids, _ = read(serve(account_with((NOON, MAX_QUERY_ROWS), (NOON + timedelta(minutes=1), 10))))
    assert len(ids) == len(set(ids)) == MAX_QUERY_ROWS + 10


@pytest.mark.expensive
def test_second_with_more_rows_than_one_query_reaches_is_an_error(serve: Serve) -> None:
    with pytest.raises(WindowTooDenseError, match=r"110001 rows around 2026-03-02 (11:59:5|12:00:0)"):
        read(serve(account_with((NOON, 110_001))))


CHANGES = ("removed", "added", "removed_and_added", "moved_back", "moved_on")


@pytest.mark.parametrize(
    ("change", "at_request", "concurrency", "is_shaped"),
    sample(
        [
            (*case, concurrency, is_shaped)
            for case in product(CHANGES, (2, 3))
            for concurrency, is_shaped in ((1, False), (3, False), (Settings.concurrency, HAS_TWO_CORES))
        ],
        6,
    ),
)
def test_rows_that_are_removed_or_added_while_paging_are_neither_skipped_nor_repeated(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, change: str, at_request: int, concurrency: int, is_shaped: bool
) -> None:
    account = account_with(*spread(25_000))
    ordered = sorted(account.calls(WEEK.start, WEEK.end, FAR), key=lambda call: (call["start_time"], call["id"]))
    keys = [call["id"] for call in ordered]
    early, late = keys[100:103], keys[-103:-100]
    added: list[int] = []

    def change_calls(request: int) -> None:
        if request != at_request:
            return
        for key in {"added": [], "moved_back": late}.get(change, early):
            account.remove(key)
        for nth in range(3):
            soon, later = NOON + timedelta(seconds=nth), NOON + timedelta(hours=8, seconds=nth)
            if change == "added":
                added.append(account.upload(soon))
            elif change == "removed_and_added":
                added.append(account.upload(later))
            elif change == "moved_back":
                account.upload(soon, id=late[nth])
            elif change == "moved_on":
                account.upload(later, id=early[nth])

    sandbox = serve(account, before_answer=change_calls)
    use_from_the_first_page(monkeypatch)
    shaping = ShapingProcess(CALLS, MOSCOW, Privacy(), start_process) if is_shaped else None
    ids, results = read(sandbox, concurrency=concurrency, shaping=shaping)
    removed = set(early) if change.startswith("removed") else set()
    assert len(ids) == len(set(ids))
    assert set(ids) >= (set(keys) - removed) | set(added)
    assert sandbox.requests <= 10
    assert sum(result.loaded for result in results) == len(ids)


@pytest.mark.parametrize("number", [5, 10_000, 25_000])
def test_total_that_is_one_too_high_is_reported_without_endless_requests(serve: Serve, number: int) -> None:
    sandbox = serve(account_with(*spread(number)), Switches(total_extra=1))
    ids, results = read(sandbox)
    assert len(ids) == number
    assert [result.difference for result in results] == [1]
    assert sandbox.requests <= 2 + number // 10_000 * 2


@pytest.mark.parametrize("concurrency", [1, Settings.concurrency])
def test_call_that_moves_to_a_later_window_is_returned_once(serve: Serve, concurrency: int) -> None:
    account = account_with((NOON, 10))
    moved = next(account.calls(WEEK.start, WEEK.end, FAR))["id"]

    def move_call(request: int) -> None:
        if request == 2:
            account.remove(moved)
            account.upload(NOON + timedelta(hours=2), id=moved)

    sandbox = serve(account, before_answer=move_call)
    windows = Window(NOON, NOON + timedelta(hours=1)), Window(NOON + timedelta(hours=1), WEEK.end)
    ids, results = read(sandbox, *windows, concurrency=concurrency)
    assert len(ids) == len(set(ids)) == 10
    assert [(result.received, result.loaded) for result in results] == [(10, 10), (1, 0)]


def test_window_with_more_rows_than_wanted_is_split_but_not_below_a_second(serve: Serve) -> None:
    sandbox = serve(account_with((NOON, 3_000), (NOON + timedelta(hours=1), 900), (NOON + timedelta(hours=2), 900)))
    ids, results = read(sandbox, WEEK, max_rows=1_000)
    assert len(ids) == len(set(ids)) == 4_800
    assert max(result.loaded for result in results if result.window.seconds > 1) <= 1_000
    assert results[-1].remaining == 0
    assert [result.window.end for result in results[:-1]] == [result.window.start for result in results[1:]]
