"""Windows cover a period exactly, and a request covers its window whatever the API's bounds mean."""

from datetime import datetime, timedelta
from itertools import pairwise

import pendulum
import pytest

from comagic.extract.windows import (
    Window,
    day_start,
    plan_windows,
    request_end,
    request_start,
    split,
    to_local,
    to_utc,
)

MOSCOW = pendulum.timezone("Europe/Moscow")
BERLIN = pendulum.timezone("Europe/Berlin")


@pytest.mark.parametrize(
    ("start", "end", "days", "number"),
    [
        (datetime(2026, 1, 1), datetime(2026, 1, 1), 7, 0),
        (datetime(2026, 1, 2), datetime(2026, 1, 1), 7, 0),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 1), 7, 1),
        (datetime(2026, 1, 1), datetime(2026, 1, 8), 7, 1),
        (datetime(2026, 1, 1), datetime(2026, 1, 8, 0, 0, 1), 7, 2),
        (datetime(2024, 2, 28), datetime(2024, 3, 2), 1, 3),
        (datetime(2020, 1, 1), datetime(2026, 1, 1), 90, 25),
    ],
)
def test_plan_covers_the_period_without_gaps_or_overlaps(
    start: datetime, end: datetime, days: int, number: int
) -> None:
    windows = plan_windows(start, end, days, max_period_days=90)
    assert len(windows) == number
    assert all(left.end == right.start for left, right in pairwise(windows))
    if windows:
        assert (windows[0].start, windows[-1].end) == (start, end)


@pytest.mark.parametrize("zone", [MOSCOW, BERLIN])
@pytest.mark.parametrize("days", [1, 7, 89, 90])
def test_no_request_spans_more_than_the_longest_period(zone: pendulum.Timezone, days: int) -> None:
    for window in plan_windows(datetime(2020, 1, 1), datetime(2026, 1, 1), days, max_period_days=90):
        assert request_end(window, zone) - request_start(window, zone) <= timedelta(days=90)


def test_a_second_more_is_requested_on_either_side() -> None:
    window = Window(datetime(2026, 1, 1), datetime(2026, 1, 8))
    assert request_start(window, MOSCOW) == datetime(2025, 12, 31, 23, 59, 59)
    assert request_end(window, MOSCOW) == datetime(2026, 1, 8, 0, 0, 1)


@pytest.mark.parametrize("moment", [datetime(2026, 10, 25, 2, 30), datetime(2026, 3, 29, 2, 30)])
def test_an_hour_more_is_requested_where_the_clocks_change(moment: datetime) -> None:
    window = Window(moment, moment + timedelta(days=1))
    assert request_start(window, BERLIN) == moment - timedelta(hours=1, seconds=1)
    before = Window(moment - timedelta(days=1), moment)
    assert request_end(before, BERLIN) == moment + timedelta(hours=1, seconds=1)


def test_window_contains_its_start_and_not_its_end() -> None:
    window = Window(datetime(2026, 1, 1), datetime(2026, 1, 2))
    assert datetime(2026, 1, 1) in window
    assert datetime(2026, 1, 1, 23, 59, 59) in window
    assert datetime(2026, 1, 2) not in window


@pytest.mark.parametrize(("seconds", "parts", "number"), [(10, 3, 3), (2, 5, 2), (7 * 86_400, 4, 4)])
def test_split_covers_the_window_in_whole_seconds(seconds: int, parts: int, number: int) -> None:
    start = datetime(2026, 1, 1)
    windows = split(Window(start, start + timedelta(seconds=seconds)), parts)
    assert len(windows) == number
    assert (windows[0].start, windows[-1].end) == (start, start + timedelta(seconds=seconds))
    assert all(left.end == right.start for left, right in pairwise(windows))
    assert all(window.seconds >= 1 for window in windows)


def test_local_times_are_converted_to_instants_and_back() -> None:
    instant = to_utc(datetime(2026, 1, 1, 12), MOSCOW)
    assert instant == datetime(2026, 1, 1, 9, tzinfo=pendulum.UTC)
    assert to_local(instant, pendulum.timezone("Asia/Vladivostok")) == datetime(2026, 1, 1, 19)
    assert day_start(datetime(2026, 1, 1, 12, 30, 1)) == datetime(2026, 1, 1)
    ambiguous = to_utc(datetime(2026, 10, 25, 2, 30), BERLIN)
    assert ambiguous == datetime(2026, 10, 25, 0, 30, tzinfo=pendulum.UTC)  # the earlier of the two
