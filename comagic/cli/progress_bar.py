"""Progress of a load: one bar over all its resources, or where there is no terminal a line for each resource."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar

from dlt.common.runtime.collector_base import Collector
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from ..api.rate_limit import Usage
from ..extract.progress import MESSAGES, ROWS, WINDOWS

SECONDS_BETWEEN_LINES = 30.0
MIN_BAR_WIDTH = 20
"""Columns of the bar at least; on a narrow terminal the figures beside it are cut."""


class ProgressBar(Collector):
    """A dlt collector that shows what was read and what is left: windows, rows, time, API calls a minute.

    Set it as the pipeline's collector: dlt then reports its steps, and the sync its windows and rows. On a terminal it
    is a bar over the windows of all resources; elsewhere, a line when a resource ends, and now and then before.

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
        self._rows = 0
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
            self._console.print(message, markup=False, highlight=False)
        elif label == ROWS:
            self._rows += inc
        elif label == WINDOWS:
            self._windows[name] += inc
            self._planned[name] = total or 0
            if message is not None:  # else the resource is not being read
                self._current, self._stage = name, self.STAGES["Extract"]  # a dictionary is read before dlt's step
                self._refresh()
                self._print_line(f"{name}: {message}", is_end=self._windows[name] >= self._planned[name])

    def _start(self, step: str) -> None:
        self._stage = self.STAGES.get(step.split()[0], step)
        self._refresh()

    def _stop(self) -> None:
        """Does nothing at the end of a step: the bar goes on with the next."""

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=self._describe(),
                total=sum(self._planned.values()) or None,
                completed=self._windows.total(),
                refresh=True,
            )

    def _describe(self) -> str:
        """The figures beside the bar."""
        done, total = self._windows.total(), sum(self._planned.values())
        if not total:
            return self._stage
        # Not rich's own estimate, which starts again whenever the total changes: when a window is split, for example.
        seconds = (self._clock() - self._started) * (total - done) / max(done, 1)
        left = f", {timedelta(seconds=round(seconds))} left" if 0 < done < total else ""
        doing = f"{self._stage} {self._current}".strip()
        return f"{done:,}/{total:,} windows{left}, {doing}, {self._rows:,} rows, {self._calls_a_minute()}"

    def _print_line(self, text: str, is_end: bool) -> None:
        """Prints a line where there is no bar: if a resource ended, or if the last line was long ago."""
        if self._bar is None and (is_end or self._clock() - self._last_line >= SECONDS_BETWEEN_LINES):
            self._last_line = self._clock()
            line = text if is_end else f"{text}; {self._calls_a_minute()}"
            self._console.print(line, markup=False, highlight=False)

    def _calls_a_minute(self) -> str:
        minutes = max(self._clock() - self._started, 1.0) / 60
        return f"{self._usage.total / minutes:,.0f} API calls a minute"

    def show(self) -> None:
        """Shows the bar, if there is a terminal."""
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(table_column=Column(min_width=MIN_BAR_WIDTH)),
                TextColumn("{task.description}", markup=False),
                console=self._console,
                auto_refresh=False,
                transient=True,
            )
            self._task = self._bar.add_task(self._stage, total=None)
            self._bar.start()

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
