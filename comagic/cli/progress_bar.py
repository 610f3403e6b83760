"""Progress of a load: a bar on a terminal, a line now and then elsewhere."""

import time
from typing import Callable, ClassVar, Mapping, Optional

from dlt.common.runtime.collector_base import Collector
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..api.client import Usage
from ..extract.progress import Journal

SECONDS_BETWEEN_LINES = 5.0


class Display:
    """Shows windows done of all, rows, calls of the API a minute and the time left, while its `with` block lasts.

    Args:
        console: where to; a bar if it is a terminal, else lines.
        journal: what is shown.
        usage: the client's use of the API.
        clock: seconds.

    Attributes:
        collector: to be set as the pipeline's, so that dlt's steps are shown.
    """

    def __init__(
        self, console: Console, journal: Journal, usage: Usage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._journal = journal
        self._usage = usage
        self._clock = clock
        self._began = clock()
        self._last_line = clock()
        self._stage = "connecting"
        self._progress: Optional[Progress] = None
        self._task: Optional[TaskID] = None
        self.collector = _Steps(self.show_stage)
        journal.on_change = self.refresh

    def refresh(self) -> None:
        """Shows the present state; called after each note of the journal and at each step of dlt."""
        if self._progress is not None and self._task is not None:
            planned = sum(of.planned for of in self._journal.passes.values())
            finished = sum(of.finished for of in self._journal.passes.values())
            self._progress.update(
                self._task, description=self._stage, total=planned or None, completed=finished, told=self._told()
            )
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self.line()

    def line(self) -> None:
        """Writes the state of the resource that is being loaded as a line, where there is no bar."""
        if self._progress is None and self._journal.passes:
            self._last_line = self._clock()
            name, of = list(self._journal.passes.items())[-1]
            reached = f"{of.finished} of {of.planned} windows, up to {of.position:%Y-%m-%d} of {of.end:%Y-%m-%d}"
            done = f"{of.rows:,} entries" if of.is_dictionary else reached
            self._console.print(f"{name}: {done}; {self._told()}; {self._stage}", highlight=False)

    def show_stage(self, stage: str) -> None:
        """Shows what is being done with the rows."""
        self._stage = stage
        self.refresh()

    def _told(self) -> str:
        rows = sum(of.rows for of in self._journal.passes.values())
        minutes = max(self._clock() - self._began, 1.0) / 60
        return f"{rows:,} rows, {self._usage.total / minutes:,.0f} API calls a minute"

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("windows"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[told]}"),
                console=self._console,
                transient=True,
            )
            self._progress.start()
            self._task = self._progress.add_task(self._stage, total=None, told="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _Steps(Collector):
    """dlt's own progress collector, of which only the steps are of interest: the journal counts better."""

    STAGES: ClassVar[Mapping[str, str]] = {"Extract": "reading", "Normalize": "preparing", "Load": "loading"}

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def update(
        self,
        name: str,
        inc: int = 1,
        total: Optional[int] = None,
        inc_total: Optional[int] = None,
        message: Optional[str] = None,
        label: Optional[str] = None,
    ) -> None:
        """Called for each batch of rows."""

    def _start(self, step: str) -> None:
        self._show(self.STAGES.get(step.split()[0], step))

    def _stop(self) -> None:
        """Called at the end of a step; the next one follows at once."""
