"""Progress of a load on a terminal: a bar, or a line now and then where there is no terminal."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar

from dlt.common.runtime.collector_base import Collector
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..api.rate_limit import Usage
from ..extract.progress import MESSAGES, ROWS, WINDOWS

SECONDS_BETWEEN_LINES = 5.0


class ProgressBar(Collector):
    """A dlt collector that shows finished and planned windows, rows, API calls per minute and the time remaining.

    Set it as the pipeline's collector: dlt then reports its steps, and the sync its windows and rows. It shows them
    while its `with` block lasts; dlt's own use of `with`, for a step, is a call first: `with collector("Load"):`.

    Args:
        console: where to write; a bar if it is a terminal, else lines.
        usage: the client's use of the API.
        clock: returns seconds.
    """

    STAGES: ClassVar[Mapping[str, str]] = {"Extract": "reading", "Normalize": "normalizing", "Load": "loading"}

    def __init__(self, console: Console, usage: Usage, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._usage = usage
        self._clock = clock
        self._started = self._last_line = clock()
        self._stage = "connecting"
        self._windows: Counter[str] = Counter()
        self._planned: dict[str, int] = {}
        self._rows: Counter[str] = Counter()
        self._positions: dict[str, str] = {}
        self._current = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def update(
        self,
        name: str,
        inc: int = 1,
        total: int | None = None,
        inc_total: int | None = None,  # noqa: ARG002  # the base class's name
        message: str | None = None,
        label: str | None = None,
    ) -> None:
        """Takes a counter's change; dlt's own counters are left out, since the sync counts more exactly."""
        if label == MESSAGES:
            self._console.print(message, highlight=False)
        elif label == ROWS:
            self._rows[name] += inc
        elif label == WINDOWS:
            self._current = name
            self._windows[name] += inc
            self._planned[name] = total or 0
            self._positions[name] = message or ""
            self._refresh()

    def _start(self, step: str) -> None:
        self._stage = self.STAGES.get(step.split()[0], step)
        self._refresh()

    def _stop(self) -> None:
        if self._stage == self.STAGES["Load"]:
            self._print_line()

    def _refresh(self) -> None:
        if self._bar is not None:
            planned = sum(self._planned.values())
            self._bar.update(
                self._task,
                description=self._stage,
                total=planned or None,
                completed=self._windows.total(),
                figures=self._figures(),
            )
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def _print_line(self) -> None:
        """Prints a line about the current resource, where there is no bar."""
        if self._bar is None and self._current:
            self._last_line = self._clock()
            name = self._current
            position = self._positions[name]
            done = (
                f"{self._windows[name]} of {self._planned[name]} windows, {position}"
                if position
                else f"{self._rows[name]:,} entries"
            )
            self._console.print(f"{name}: {done}; {self._figures()}; {self._stage}", highlight=False)

    def _figures(self) -> str:
        minutes = max(self._clock() - self._started, 1.0) / 60
        return f"{self._rows.total():,} rows, {self._usage.total / minutes:,.0f} API calls a minute"

    def show(self) -> None:
        """Shows the bar, if there is a terminal."""
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description:<11}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("windows"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._stage, total=None, figures="")

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
