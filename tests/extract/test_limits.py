"""What is held of a window or dictionary is limited, and rows of other times than requested are reported."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from comagic.api.client import MAX_LIMIT, DataApiClient
from comagic.api.deadline import Deadline
from comagic.api.rate_limit import Usage
from comagic.api.responses import MAX_BODY, Page
from comagic.catalog import dictionaries, reports
from comagic.cli.output import warnings
from comagic.exceptions import TooLargeError
from comagic.extract.progress import Progress, Sync
from comagic.extract.reader import MAX_PARTS, WindowReader, WindowResult, read_dictionary
from comagic.extract.transform import Misfit, Misfits
from comagic.extract.windows import Window
from comagic.redaction import remember_secret

NOON = datetime(2026, 1, 5, 12)
WINDOW = Window(datetime(2026, 1, 5), datetime(2026, 1, 6))


class Pages(DataApiClient):
    """A client whose pages are made by a function of the offset; each is a quarter of the largest.

    Attributes:
        allowed: how large each page was allowed to be.
    """

    def __init__(self, row: Callable[[int], dict[str, Any]], rows: int, total: int) -> None:
        self.usage, self.deadline, self.manual = Usage(), Deadline(), ""
        self.allowed: list[float] = []
        self._row, self._rows, self._total = row, rows, total

    def read_ahead(self, *_: Any) -> None:
        """Nothing is requested."""

    def page(
        self,
        method: str,
        offset: int,
        limit: int = MAX_LIMIT,
        most: float = 1.0,
        needed: Collection[str] = (),  # noqa: ARG002
        **params: Any,
    ) -> Page:
        assert (method[:4], limit) == ("get.", MAX_LIMIT), params
        self.allowed.append(most)
        if most < 0.25:
            raise TooLargeError
        return Page([self._row(nth) for nth in range(offset, offset + self._rows)], self._total, 0.25)


def read(name: str, client: Pages) -> WindowResult:
    reader = WindowReader(client, reports()[name], [], UTC)
    *_, result = reader.read([WINDOW])
    assert isinstance(result, WindowResult)
    return result


def test_rows_that_are_handed_on_are_not_held() -> None:
    client = Pages(lambda nth: {"id": nth, "start_time": f"{NOON}"}, 10, 91)
    assert read("calls", client).loaded == 91
    assert client.allowed == [1.0] * 10


def test_rejected_rows_that_are_held_are_limited() -> None:
    text = "x" * (MAX_BODY // 40)
    client = Pages(lambda nth: {"id": None, "number": nth, "text": text}, 10, 9000)
    with pytest.raises(TooLargeError):
        read("calls", client)
    assert len(client.allowed) == 5


def test_held_rows_of_a_report_that_is_replaced_by_days_are_limited() -> None:
    client = Pages(lambda nth: {"date": "2026-01-05", "site_id": 1, "campaign_id": nth}, 10, 9000)
    with pytest.raises(TooLargeError):
        read("campaign_daily_stat", client)
    assert client.allowed == pytest.approx([1.0, 0.75, 0.525, 0.3, 0.075])


def test_entries_of_a_dictionary_are_limited() -> None:
    client = Pages(lambda nth: {"id": nth}, 10, 9000)
    with pytest.raises(TooLargeError):
        read_dictionary(client, dictionaries()["tags"], ["id"])
    assert client.allowed == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_window_is_split_into_a_limited_number_of_parts() -> None:
    reader = WindowReader(Pages(lambda nth: {"id": nth}, 1, 1), reports()["calls"], [], UTC)
    assert len(reader._parts(Window(NOON, NOON + timedelta(days=90)), 10**12, [])) == MAX_PARTS


def test_rows_of_other_times_than_requested_are_reported_and_not_loaded() -> None:
    def row(nth: int) -> dict[str, Any]:
        times = [NOON, NOON - timedelta(days=9), NOON + timedelta(days=9), WINDOW.end + timedelta(seconds=1)]
        return {"id": nth, "start_time": f"{times[nth]}"}

    result = read("calls", Pages(row, 4, 4))
    assert (result.loaded, result.outside) == (1, 2)
    progress = Progress()
    progress.windows = [result]
    (warning,) = warnings(progress, Usage())
    assert "the API sent rows of other times than were requested, 2 in all 1 such windows" in warning


def test_row_of_a_day_that_the_second_before_is_in_is_no_stranger() -> None:
    days = ["2026-01-04", "2026-01-05", "2026-01-06", "2026-01-03"]
    client = Pages(lambda nth: {"date": days[nth], "site_id": 1, "campaign_id": nth}, 4, 4)
    assert read("campaign_daily_stat", client).outside == 1


def test_summary_names_field_and_row_without_the_value_and_keeps_no_rejected_rows() -> None:
    remember_secret("secret-key-0123")
    client = Pages(lambda nth: {"id": None, "name": "Anna", "nth": nth}, 3, 3)
    result = read("calls", client)
    progress = Progress()
    progress.syncs["calls"] = Sync("calls", NOON, NOON, NOON)
    misfit = Misfit("talk_duration", "\x1b[31msecret-key-0123", '"Anna"')
    progress.finish_window("calls", replace(result, announced=result.received), Misfits(7, [misfit]))
    (warning,) = warnings(progress, Usage())
    assert "id of the rejected row" in warning
    assert "7 values do not fit" in warning
    assert "talk_duration of \\x1b[31m***." in warning
    assert "Anna" not in warning
    assert all(window.rejected == () for window in progress.windows)
