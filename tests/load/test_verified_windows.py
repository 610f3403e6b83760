"""Windows of a verification: what is compared, and which counts belong to it."""

from datetime import date, datetime, timedelta

import pytest

from comagic.extract.windows import Window
from comagic.load.comparison import plain
from comagic.load.loaded_rows import DayCount
from comagic.load.verified_windows import choose_periods, days_of, halved, rows_in, rows_near, runs, windows_of

NOON = datetime(2026, 3, 10, 12)
NOW = datetime(2026, 3, 31, 15)


def window(first: str, last: str) -> Window:
    return Window(datetime.fromisoformat(first), datetime.fromisoformat(last))


LOADED = [window("2026-01-01 12:00", "2026-01-10"), window("2026-02-01", "2026-03-10 09:30")]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, [window("2026-01-01 12:00", "2026-01-10"), window("2026-02-01", "2026-03-10")]),
        (None, "2026-02-02", [window("2026-01-01 12:00", "2026-01-10"), window("2026-02-01", "2026-02-02")]),
        ("2025-12-01", "2026-01-15", [window("2025-12-01", "2026-01-15")]),
        ("2026-01-05", None, [window("2026-01-05", "2026-03-10")]),
        ("2026-03-30", "2026-05-01", [window("2026-03-30", "2026-03-31 15:00")]),
        ("2026-03-20", None, []),
    ],
)
def test_period_is_what_was_loaded_or_what_is_asked_for(
    since: str | None, until: str | None, expected: list[Window]
) -> None:
    start, end = (datetime.fromisoformat(text) if text else None for text in (since, until))
    assert choose_periods(LOADED, start, end, NOW) == expected


def test_nothing_loaded_is_nothing_to_compare_unless_it_is_asked_for() -> None:
    assert choose_periods([], None, None, NOW) == []
    assert choose_periods([], datetime(2026, 3, 30), None, NOW) == [window("2026-03-30", "2026-03-31")]


def test_windows_begin_at_midnight_but_for_the_first() -> None:
    period = window("2026-01-01 12:00", "2026-01-10 06:00")
    assert windows_of(period, 7, 90) == [
        window("2026-01-01 12:00", "2026-01-08"),
        window("2026-01-08", "2026-01-10 06:00"),
    ]


def test_halves_end_at_single_days() -> None:
    queue, found = [window("2026-01-01 12:00", "2026-01-08 06:00")], list[Window]()
    while queue:
        halves = halved(queue.pop())
        queue, found = (queue + halves, found) if len(halves) > 1 else (queue, found + halves)
    found.sort(key=lambda one: one.start)
    assert [[*days_of(one)] for one in found] == [[date(2026, 1, day)] for day in range(1, 9)]
    assert (found[0].start, found[-1].end) == (datetime(2026, 1, 1, 12), datetime(2026, 1, 8, 6))


def test_rows_near_a_window_are_those_of_the_request() -> None:
    counts = {date(2026, 1, day): DayCount(rows=10 * day, first=day, last=100 * day) for day in range(1, 6)}
    part = window("2026-01-02", "2026-01-04")
    assert rows_in(part, counts) == 20 + 30
    assert rows_near(part, counts) == 100 + 20 + 30 + 4


def test_adjacent_days_are_one_run() -> None:
    days = [date(2026, 1, day) for day in (1, 2, 3, 5, 8, 9)]
    assert [(first.day, last.day) for first, last in runs(days)] == [(1, 3), (5, 5), (8, 9)]


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ('{"b": 1.0, "a": [2]}', {"a": [2], "b": 1}, "json"),
        (
            datetime.fromisoformat("2026-01-01 03:00+03:00"),
            datetime.fromisoformat("2026-01-01 00:00+00:00"),
            "timestamp",
        ),
        (1, 1.0, "double"),
        (date(2026, 1, 1), date(2026, 1, 1), "date"),
    ],
)
def test_values_are_plain_whatever_a_driver_makes_of_them(one: object, other: object, kind: str) -> None:
    assert plain(one, kind) == plain(other, kind)


@pytest.mark.parametrize(("one", "other", "kind"), [("1", 1, "text"), (None, "", "text"), ("[1, 2]", "[2, 1]", "json")])
def test_values_that_differ_stay_different(one: object, other: object, kind: str) -> None:
    assert plain(one, kind) != plain(other, kind)


def test_a_day_is_a_day() -> None:
    assert [*days_of(Window(NOON, NOON + timedelta(seconds=1)))] == [NOON.date()]
