"""Windows cover any period, and a response of any shape raises or is read correctly: over generated inputs."""

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
from comagic.api.responses import parse_account, parse_limits, parse_page, parse_result
from comagic.exceptions import ComagicError
from comagic.extract.reader import WindowReader, WindowResult
from comagic.extract.rows import IdentifiedRow, identify
from comagic.extract.transform import RowTransformer
from comagic.extract.windows import Window, plan_windows, request_end, request_start, split, to_local, to_utc
from comagic.sandbox import SandboxServer, Switches, SyntheticAccount
from comagic.sandbox.switches import KEY
from tests.support.accounts import CALLS, FAR
from tests.support.clock import Clock
from tests.support.sampling import examples

ZONES = st.sampled_from(sorted(name for name in available_timezones() if name not in ("localtime", "Factory")))
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
ON_A_SERVER = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@given(start=MOMENTS, length=st.timedeltas(timedelta(), timedelta(days=4000)), days=st.integers(1, 90), zone=ZONES)
@settings(max_examples=examples(100), deadline=None, database=None)
def test_windows_cover_any_period_once_and_no_request_is_too_long(
    start: datetime, length: timedelta, days: int, zone: str
) -> None:
    end = start + timedelta(seconds=int(length.total_seconds()))
    windows = plan_windows(start, end, days, 90)
    assert sum(window.seconds for window in windows) == (end - start).total_seconds()
    assert all(left.end == right.start for left, right in pairwise(windows))
    for window in windows[:3] + windows[-3:]:
        requested = request_end(window, pendulum.timezone(zone)) - request_start(window, pendulum.timezone(zone))
        assert timedelta(seconds=3) <= requested <= timedelta(days=90)


@given(start=MOMENTS, seconds=st.integers(1, 10_000_000), parts=st.integers(2, 5_000))
@settings(max_examples=examples(100), deadline=None, database=None)
def test_parts_of_any_window_cover_it_and_are_nearly_equal(start: datetime, seconds: int, parts: int) -> None:
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
    timezone = pendulum.timezone(zone)
    day, half_hour = timedelta(days=1), timedelta(minutes=30)

    def changed(start: datetime, step: timedelta, steps: int) -> list[datetime]:
        """The starts of steps after which the zone's offset from UTC is another one."""
        offsets = [(start + step * nth).astimezone(timezone).utcoffset() for nth in range(steps + 1)]
        return [start + step * nth for nth, (left, right) in enumerate(pairwise(offsets)) if left != right]

    days = changed(datetime(year, 1, 1, tzinfo=pendulum.UTC), day, 365)
    return [moment + half_hour for start in days for moment in changed(start, half_hour, 48)]


def test_clock_changes_of_two_known_years_are_found() -> None:
    berlin = [datetime(2026, 3, 29, 1, tzinfo=pendulum.UTC), datetime(2026, 10, 25, 1, tzinfo=pendulum.UTC)]
    assert clock_changes("Europe/Berlin", 2026) == berlin
    assert len(clock_changes("Africa/Casablanca", 2026)) == 2


@given(data=st.data())
@settings(max_examples=examples(1_000), deadline=None, database=None)
def test_requested_bounds_cover_the_window_however_a_server_reads_ambiguous_times(data: st.DataObject) -> None:
    """An instant whose local time is in the window is within the requested bounds, for either fold."""
    zone = data.draw(st.sampled_from(CHANGING))
    timezone = pendulum.timezone(zone)
    change = to_local(data.draw(st.sampled_from(clock_changes(zone, data.draw(st.integers(2019, 2030))))), timezone)
    start = change + timedelta(seconds=data.draw(st.integers(-8_000, 8_000)))
    window = Window(start, start + timedelta(seconds=data.draw(st.integers(1, 10_000))))
    instant = to_utc(start, timezone) + timedelta(seconds=data.draw(st.integers(-8_000, 18_000)))
    assume(to_local(instant, timezone) in window)

    def instants(moment: datetime) -> list[datetime]:
        return [moment.replace(tzinfo=timezone, fold=fold).astimezone(pendulum.UTC) for fold in (0, 1)]

    assert max(instants(request_start(window, timezone))) < instant < min(instants(request_end(window, timezone)))


@given(instant=MOMENTS, zone=ZONES)
@settings(max_examples=examples(100), deadline=None, database=None)
def test_cursor_converted_to_local_time_and_back_is_never_later(instant: datetime, zone: str) -> None:
    """A later one would skip calls; an earlier one, where the clocks are set back, reads an hour again."""
    timezone = pendulum.timezone(zone)
    aware = instant.replace(tzinfo=pendulum.UTC)
    assert aware - timedelta(hours=24) <= to_utc(to_local(aware, timezone), timezone) <= aware


@given(
    bursts=st.lists(st.tuples(st.integers(0, 7 * 86_400 - 1), st.integers(1, 40)), max_size=8),
    edges=st.lists(st.integers(0, 7 * 86_400), min_size=2, max_size=5, unique=True).map(sorted),
    bounds=st.sampled_from(["[]", "[)", "(]", "()"]),
    max_rows=st.integers(50, 120),
)
@ON_A_SERVER
def test_bursts_of_calls_are_read_once_however_windows_are_split(
    bursts: list[tuple[int, int]], edges: list[int], bounds: str, max_rows: int
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
        reader = WindowReader(client, CALLS, ["id", "start_time"], pendulum.timezone("Europe/Moscow"), max_rows)
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


def value_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in a JSON value, its own first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in value_paths(item, (*path, key)))]


def altered(value: Any, path: tuple[Any, ...], replacement: Any, is_deleted: bool) -> Any:
    """A copy of a JSON value in which the value at a path is replaced or deleted."""
    if not path:
        return replacement
    copy = deepcopy(value)
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    if is_deleted:
        del parent[path[-1]]
    else:
        parent[path[-1]] = replacement
    return copy


@given(data=st.data())
@settings(max_examples=examples(300), deadline=None, database=None)
def test_response_of_any_shape_raises_or_is_parsed_as_it_is(data: st.DataObject) -> None:
    row = {"id": 1, "start_time": "2026-03-02 12:00:00", "tags": [{"tag_id": 1}], "attributes": ["a"]}
    metadata = {"total_items": 1, "limits": {"day_limit": 9, "day_remaining": 8}}
    good = {"jsonrpc": "2.0", "id": 5, "result": {"data": [row], "metadata": metadata}}
    path = data.draw(st.sampled_from(value_paths(good)))
    response = altered(good, path, data.draw(ANY_JSON), data.draw(st.booleans()))
    try:
        if not isinstance(response, dict):
            return  # decode() rejects it; see tests/api
        parse_limits(response)
        page = parse_page("m", parse_result("m", response, 5), 10)
        identified = [item.row for item in identify(CALLS, deepcopy(page.rows)) if isinstance(item, IdentifiedRow)]
        transformed = RowTransformer(CALLS, pendulum.timezone("Europe/Moscow")).transform(identified)
    except ComagicError:
        return
    result = response["result"]
    data_of_result = result if isinstance(result, list) else result["data"]
    assert page.rows == (data_of_result if isinstance(data_of_result, list) else [data_of_result])
    told = result.get("metadata", result.get("meta_data")) if isinstance(result, dict) else None
    assert page.total == (told.get("total_items") if isinstance(told, dict) else None)
    assert len(transformed) == len(identified) <= len(page.rows)
    with pytest.raises(ComagicError):
        parse_account("m", {"data": page.rows})


@given(data=st.data())
@ON_A_SERVER
def test_no_altered_response_loses_calls_silently(data: st.DataObject) -> None:
    """With each page altered in the same place, a window raises, reports what is missing, or returns every call."""
    account = SyntheticAccount(first_day=date(2026, 3, 1), last_day=date(2026, 3, 1), calls_per_day=5)
    expected = sorted(call["id"] for call in account.calls(datetime(2026, 3, 1), datetime(2026, 3, 2), now=FAR))
    replacement, is_deleted, place = data.draw(ANY_JSON), data.draw(st.booleans()), data.draw(st.integers(0, 10_000))

    def alter(response: dict[str, Any]) -> Any:
        paths = [path for path in value_paths(response) if path[:2] != ("result", "data") or len(path) < 4]
        return altered(response, paths[place % len(paths)], replacement, is_deleted)

    with SandboxServer(account, alter_answer=alter) as sandbox:
        client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url, deadline=Clock().deadline())
        reader = WindowReader(client, CALLS, ["id", "start_time"], pendulum.timezone("Europe/Moscow"))
        try:
            parts = list(reader.read([Window(datetime(2026, 3, 1), datetime(2026, 3, 2))]))
        except ComagicError:
            return
    ids = [row["id"] for part in parts if not isinstance(part, WindowResult) for row in part]
    results = [part for part in parts if isinstance(part, WindowResult)]
    is_told = any(result.difference or result.rejected or result.is_uncounted for result in results)
    assert sorted(ids) == expected or is_told
