"""Properties of windows and of answers, over inputs that nobody would think of."""

from copy import deepcopy
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import available_timezones

import pendulum
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from comagic import KeyCredentials
from comagic.api.client import DataApiClient
from comagic.api.responses import parse_account, parse_limits, parse_local_time, parse_page, parse_result
from comagic.exceptions import ComagicError
from comagic.extract.reader import WindowReader, WindowResult
from comagic.extract.transform import RowTransformer
from comagic.extract.windows import Window, plan_windows, request_end, request_start, split, to_local, to_utc
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import CALLS, FAR, LONG_AGO
from tests.support.clock import Clock

ZONES = st.sampled_from(sorted(name for name in available_timezones() if name not in ("localtime", "Factory")))
MOMENTS = st.datetimes(LONG_AGO, datetime(2090, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
ON_A_SERVER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@given(start=MOMENTS, length=st.timedeltas(timedelta(), timedelta(days=4000)), days=st.integers(1, 90), zone=ZONES)
@settings(deadline=None, database=None)
def test_any_period_is_covered_once_and_no_request_is_too_long(
    start: datetime, length: timedelta, days: int, zone: str
) -> None:
    end = start + timedelta(seconds=int(length.total_seconds()))
    windows = plan_windows(start, end, days, 90)
    assert sum(window.seconds for window in windows) == (end - start).total_seconds()
    assert all(left.end == right.start for left, right in pairwise(windows))
    for window in windows[:3] + windows[-3:]:
        asked = request_end(window, pendulum.timezone(zone)) - request_start(window, pendulum.timezone(zone))
        assert timedelta(seconds=3) <= asked <= timedelta(days=90)


@given(start=MOMENTS, seconds=st.integers(1, 10_000_000), parts=st.integers(2, 5_000))
@settings(deadline=None, database=None)
def test_any_window_is_cut_into_what_it_was(start: datetime, seconds: int, parts: int) -> None:
    cut = split(Window(start, start + timedelta(seconds=seconds)), parts)
    assert (cut[0].start, cut[-1].end) == (start, start + timedelta(seconds=seconds))
    assert all(left.end == right.start for left, right in pairwise(cut))
    lengths = {part.seconds for part in cut}
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


CHANGING = ("Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca")
"""Zones whose clocks are changed; Lord Howe's by half an hour, Casablanca's for Ramadan."""


@cache
def clock_changes(zone: str, year: int) -> list[datetime]:
    """Instants of a year, to the half hour, at which the clocks of a zone are changed."""
    of = pendulum.timezone(zone)
    moments = [datetime(year, 1, 1, tzinfo=pendulum.UTC) + timedelta(minutes=30 * half) for half in range(365 * 48)]
    return [
        right
        for left, right in pairwise(moments)
        if left.astimezone(of).utcoffset() != right.astimezone(of).utcoffset()
    ]


@given(data=st.data())
@settings(max_examples=1_000, deadline=None, database=None)
def test_whichever_way_a_server_reads_the_bounds_they_cover_the_window(data: st.DataObject) -> None:
    """A call at any instant whose wall time is in the window lies within the instants asked for, either fold."""
    zone = data.draw(st.sampled_from(CHANGING))
    of = pendulum.timezone(zone)
    change = to_local(data.draw(st.sampled_from(clock_changes(zone, data.draw(st.integers(2019, 2030))))), of)
    start = change + timedelta(seconds=data.draw(st.integers(-8_000, 8_000)))
    window = Window(start, start + timedelta(seconds=data.draw(st.integers(1, 10_000))))
    instant = to_utc(start, of) + timedelta(seconds=data.draw(st.integers(-8_000, 18_000)))
    assume(to_local(instant, of) in window)

    def instants(moment: datetime) -> list[datetime]:
        return [moment.replace(tzinfo=of, fold=fold).astimezone(pendulum.UTC) for fold in (0, 1)]

    assert max(instants(request_start(window, of))) < instant < min(instants(request_end(window, of)))


@given(instant=MOMENTS, zone=ZONES)
@settings(deadline=None, database=None)
def test_a_cursor_never_comes_back_later_than_it_was(instant: datetime, zone: str) -> None:
    """Later would skip calls; earlier, where the clocks are set back, reads an hour twice."""
    of = pendulum.timezone(zone)
    aware = instant.replace(tzinfo=pendulum.UTC)
    assert aware - timedelta(hours=24) <= to_utc(to_local(aware, of), of) <= aware


@given(
    bursts=st.lists(st.tuples(st.integers(0, 7 * 86_400 - 1), st.integers(1, 40)), max_size=8),
    edges=st.lists(st.integers(0, 7 * 86_400), min_size=2, max_size=5, unique=True).map(sorted),
    bounds=st.sampled_from(["[]", "[)", "(]", "()"]),
    most_rows=st.integers(50, 120),
)
@ON_A_SERVER
def test_bursts_come_once_each_however_windows_are_cut(
    bursts: list[tuple[int, int]], edges: list[int], bounds: str, most_rows: int
) -> None:
    begin = datetime(2026, 3, 1)
    account = SyntheticAccount(
        first_day=begin.date(),
        last_day=date(2026, 3, 7),
        calls_per_day=0,
        bursts=[(begin + timedelta(seconds=second), number) for second, number in bursts],
    )
    moments = [begin + timedelta(seconds=edge) for edge in edges]
    with SandboxServer(account, Switches(bounds=bounds)) as sandbox:
        client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url)
        reader = WindowReader(client, CALLS, ["id", "start_time"], pendulum.timezone("Europe/Moscow"), most_rows)
        parts = list(reader.read([Window(*pair) for pair in pairwise(moments)]))
    ids = [row["id"] for part in parts if not isinstance(part, WindowResult) for row in part]
    results = [part for part in parts if isinstance(part, WindowResult)]
    assert sorted(ids) == sorted(call["id"] for call in account.calls(moments[0], moments[-1], now=FAR))
    assert all(result.difference == 0 for result in results)
    assert sum(result.loaded for result in results) == len(ids)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values inside of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, item in inner for way in paths_of(item, (*path, key)))]


def altered(value: Any, path: tuple[Any, ...], by: Any, delete: bool) -> Any:
    """A copy of a JSON value in which what stands at a path is replaced or deleted."""
    if not path:
        return by
    copy = deepcopy(value)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    if delete:
        del holder[path[-1]]
    else:
        holder[path[-1]] = by
    return copy


@given(data=st.data())
@settings(max_examples=300, deadline=None, database=None)
def test_an_answer_of_any_shape_raises_or_means_what_it_says(data: st.DataObject) -> None:
    row = {"id": 1, "start_time": "2026-03-02 12:00:00", "tags": [{"tag_id": 1}], "attributes": ["a"]}
    metadata = {"total_items": 1, "limits": {"day_limit": 9, "day_remaining": 8}}
    good = {"jsonrpc": "2.0", "id": 5, "result": {"data": [row], "metadata": metadata}}
    answer = altered(good, data.draw(st.sampled_from(paths_of(good))), data.draw(ANY_JSON), data.draw(st.booleans()))
    try:
        if not isinstance(answer, dict):
            return  # decoded() refuses it; see test_client
        parse_limits(answer)
        page = parse_page("m", parse_result("m", answer, 5))
        shaped = RowTransformer(CALLS, pendulum.timezone("Europe/Moscow")).transform(
            [of for of in page.rows if parse_local_time("m", of, "start_time")]
        )
    except ComagicError:
        return
    assert page.rows == answer["result"]["data"]
    assert page.total == answer["result"]["metadata"]["total_items"]
    assert len(shaped) == len(page.rows)
    with pytest.raises(ComagicError):
        parse_account("m", {"data": page.rows})


@given(data=st.data())
@ON_A_SERVER
def test_no_altered_answer_gives_a_silent_success(data: st.DataObject) -> None:
    """Each page of a window altered in the same place: the reading raises, tells a difference, or has every call."""
    account = SyntheticAccount(first_day=date(2026, 3, 1), last_day=date(2026, 3, 1), calls_per_day=5)
    truth = sorted(call["id"] for call in account.calls(datetime(2026, 3, 1), datetime(2026, 3, 2), now=FAR))
    by, delete, draw = data.draw(ANY_JSON), data.draw(st.booleans()), data.draw(st.integers(0, 10_000))

    def alter(answer: dict[str, Any]) -> Any:
        ways = [way for way in paths_of(answer) if way[:2] != ("result", "data") or len(way) < 4]
        return altered(answer, ways[draw % len(ways)], by, delete)

    with SandboxServer(account, alter_answer=alter) as sandbox:
        client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url, deadline=Clock().deadline())
        reader = WindowReader(client, CALLS, ["id", "start_time"], pendulum.timezone("Europe/Moscow"))
        try:
            parts = list(reader.read([Window(datetime(2026, 3, 1), datetime(2026, 3, 2))]))
        except ComagicError:
            return
    ids = [row["id"] for part in parts if not isinstance(part, WindowResult) for row in part]
    results = [part for part in parts if isinstance(part, WindowResult)]
    assert sorted(ids) == truth or any(result.difference for result in results)
