"""A load shows one bar over all its resources; where there is no terminal, one line for each of them."""

import io
import re
from datetime import timedelta
from typing import Any

import dlt
import pytest
from rich.console import Console

from comagic.api.rate_limit import Usage
from comagic.cli.output import err
from comagic.cli.progress_bar import SECONDS_BETWEEN_LINES, ProgressBar
from comagic.exceptions import BadResponseError, ComagicError, DeadlineError
from comagic.extract.progress import Progress, Sync
from comagic.extract.reader import DictionaryResult, WindowResult
from comagic.extract.transform import Misfits
from comagic.extract.windows import Window
from tests.support.accounts import LONG_AGO, access_to, recent_account, resource_options
from tests.support.clock import Clock
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

EXPECTED = {"calls": 2, "goals": 3, "tags": 1}
NAMES = ("calls", "goals", "tags")
DAY = timedelta(days=1)
ROWS = 1000
"""Rows of a window, and entries of a dictionary."""


class Screen:
    """A bar on a console that is recorded, and the progress that it shows.

    Args:
        is_terminal: whether the console is a terminal.
    """

    def __init__(self, is_terminal: bool) -> None:
        self.clock = Clock()
        self._file = io.StringIO()
        console = Console(file=self._file, force_terminal=is_terminal, width=150)
        self.bar = ProgressBar(console, Usage({"get.calls_report": 50}), self.clock)
        self.progress = Progress(self.bar)
        self.progress.expect(EXPECTED)
        self.bar.show()

    def read(self, name: str, windows: int, finished: int | None = None) -> None:
        """Reads a report: all its windows, or the first ones; each takes ten seconds."""
        end = LONG_AGO + windows * DAY
        self.progress.plan(name, Sync(name, LONG_AGO, end, LONG_AGO, planned=windows))
        for nth in range(windows if finished is None else finished):
            window = Window(LONG_AGO + nth * DAY, LONG_AGO + (nth + 1) * DAY)
            self.clock.now += 10
            counts: dict[str, Any] = {"announced": ROWS, "received": ROWS, "loaded": ROWS, "requests": 1}
            result = WindowResult(name, window, {}, window.end, **counts, seconds=1.0, remaining=windows - nth - 1)
            self.progress.finish_window(name, result)

    def read_dictionary(self, name: str) -> None:
        """Reads a dictionary."""
        self.progress.plan(name, dictionary(name))
        rows = [{"id": nth} for nth in range(ROWS)]
        self.progress.finish_dictionary(name, DictionaryResult(rows, {}, (), ROWS, 1, 1.0, LONG_AGO), Misfits())

    @property
    def text(self) -> str:
        """What was written so far."""
        return self._file.getvalue()

    @property
    def frames(self) -> list[tuple[int, int]]:
        """What the bar has shown so far: windows that are done, and all."""
        return frames(self.text)


def frames(text: str) -> list[tuple[int, int]]:
    return [(int(done), int(total)) for done, total in re.findall(r"(\d+)/(\d+) windows", text)]


def dictionary(name: str) -> Sync:
    return Sync(name, LONG_AGO, LONG_AGO, LONG_AGO, planned=1, is_dictionary=True)


def test_bar_has_its_total_from_the_start_and_is_complete_only_at_the_end() -> None:
    screen = Screen(is_terminal=True)
    with screen.bar("Extract comagic"):
        screen.read("calls", 2)
    with screen.bar("Load 1"):
        pass
    with screen.bar("Extract comagic"):
        screen.read("goals", 3)
    shown = screen.text
    assert "2/6 windows, 0:00:40 left, loading calls, 2,000 rows, 150 API calls a minute" in shown
    assert "5/6 windows, 0:00:10 left, reading goals, 5,000 rows, 60 API calls a minute" in shown
    assert {total for _, total in screen.frames} == {6}
    assert max(screen.frames) == (5, 6)
    screen.read_dictionary("tags")
    assert screen.frames[0] == (0, 6)
    assert screen.frames[-1] == (6, 6)


def test_total_is_corrected_when_a_report_turns_out_to_have_more_windows() -> None:
    screen = Screen(is_terminal=True)
    screen.read("goals", 9)
    assert screen.frames[0] == (0, 12)
    assert screen.frames[-1] == (9, 12)


@pytest.mark.parametrize(
    ("error", "complete"), [(BadResponseError("no list"), (4, 4)), (DeadlineError("no time left"), (3, 3))]
)
def test_windows_that_are_not_read_any_more_leave_the_total(error: ComagicError, complete: tuple[int, int]) -> None:
    """One error stops its resource, the other one the load."""
    screen = Screen(is_terminal=True)
    screen.read("calls", 2)
    screen.read("goals", 3, finished=1)
    screen.progress.fail("goals", error, dictionary("goals"))
    if not screen.progress.is_stopped("tags"):
        assert screen.frames[-1] == (3, 4)
        screen.read_dictionary("tags")
    assert screen.frames[-1] == complete


def test_lines_are_one_per_resource_with_its_own_figures() -> None:
    screen = Screen(is_terminal=False)
    screen.read("calls", 2)
    screen.read("goals", 3, finished=1)
    screen.progress.fail("goals", BadResponseError("no list"), dictionary("goals"))
    screen.read_dictionary("tags")
    screen.progress.fail("sites", BadResponseError("no list"), dictionary("sites"))
    assert screen.text.splitlines() == [
        "calls: 2 windows, up to 2024-01-03; 2,000 rows read",
        "goals: 1 of 3 windows, stopped at 2024-01-02 of 2024-01-04; 1,000 rows read",
        "tags: 1,000 entries read",
        "sites: not read",
    ]


def test_resource_that_takes_long_has_a_line_now_and_then() -> None:
    screen = Screen(is_terminal=False)
    screen.read("goals", 3)
    screen.clock.now += SECONDS_BETWEEN_LINES - 1
    screen.read("calls", 7)
    assert [line for line in screen.text.splitlines() if line.startswith("calls")] == [
        "calls: 1 of 7 windows, up to 2024-01-02 of 2024-01-08; 1,000 rows read; 43 API calls a minute",
        "calls: 4 of 7 windows, up to 2024-01-05 of 2024-01-08; 4,000 rows read; 30 API calls a minute",
        "calls: 7 windows, up to 2024-01-08; 7,000 rows read",
    ]


@pytest.mark.expensive
def test_load_prints_one_line_per_resource_with_its_own_rows(
    serve: Serve, command: Command, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls take two load packages. The second load is on a terminal."""
    restored: list[None] = []
    synchronize = dlt.Pipeline._sync_destination

    def count(*arguments: Any, **named: Any) -> None:
        restored.append(synchronize(*arguments, **named))

    monkeypatch.setattr(dlt.Pipeline, "_sync_destination", count)
    environment = access_to(serve(recent_account(3)), SOURCES__COMAGIC__LOAD_PACKAGE_ROWS="80")
    result = command("load", *resource_options(*NAMES), **environment)
    assert result.code == 0, result.err
    assert len(restored) == 1, "the state is queried once"
    lines = [line.split(":")[0] for line in result.err.splitlines() if line.startswith(NAMES)]
    assert lines == list(NAMES)
    for name in NAMES:
        ((rows,),) = warehouse.query(f"SELECT count(*) FROM {name}")
        ((windows,),) = warehouse.query(f"SELECT count(*) FROM load_windows WHERE resource = '{name}'")
        figures = f"{rows} entries" if name == "tags" else f"{windows} windows, up to .*; {rows} rows"
        assert re.search(rf"^{name}: {figures} read$", result.err, re.MULTILINE), result.err

    monkeypatch.setattr(err, "is_interactive", True)  # rich looks for a terminal when the console is made
    result = command("load", *resource_options("goals", "tags"), **environment, TTY_COMPATIBLE="1")
    assert result.code == 0, result.err
    shown = frames(result.err)
    (total,) = {total for _, total in shown}
    assert shown[0] == (0, total)
    assert shown[-1] == (total, total)
    assert f"({total - 1} windows)" in result.out, "and one for the dictionary"
