"""Notes of a load, for its progress, its loop and its summary."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Dict, List, Optional

from comagic.exceptions import ComagicError
from comagic.reading import WindowResult


@dataclass
class Pass:
    """One resource's way through its period, over as many runs as it takes.

    Attributes:
        begin: wall time at which the pass began.
        end: wall time at which it will end.
        position: wall time up to which it has come.
        planned: windows that the pass has in all.
        finished: windows finished so far.
        rows: rows read so far.
        stopped: what ended the pass before its end, if anything did.
        goes_on: whether the pass began in an earlier load that was stopped.
    """

    begin: datetime
    end: datetime
    position: datetime
    planned: int = 0
    finished: int = 0
    rows: int = 0
    stopped: Optional[ComagicError] = None
    goes_on: bool = False

    @property
    def is_complete(self) -> bool:
        """True when the whole period was read."""
        return self.position >= self.end


@dataclass
class Journal:
    """What a load has read so far.

    Whoever hands a journal to the source has to look at it after each run: an error in the middle of a pass does not
    fail the run then, so that dlt keeps what was read before; it stands in `Pass.stopped`, and `first_error` finds it.

    Attributes:
        passes: by resource.
        results: all finished windows.
        on_change: called after each note, for a display of the progress.
    """

    passes: Dict[str, Pass] = field(default_factory=dict)
    results: List[WindowResult] = field(default_factory=list)
    on_change: Optional[Callable[[], None]] = None

    def plan(self, resource: str, begin: datetime, end: datetime, windows: int, goes_on: bool = False) -> None:
        """Notes what a run is going to read; a later run of the same load extends its pass."""
        current = self.passes.setdefault(resource, Pass(begin, end, begin, goes_on=goes_on))
        current.end = max(end, begin)
        current.position = begin
        current.planned = current.finished + windows
        self._changed()

    def finish(self, result: WindowResult) -> None:
        """Notes a finished window."""
        current = self.passes[result.resource]
        current.position = result.window.end
        current.finished += 1
        current.planned = current.finished + result.waiting
        current.rows += result.loaded
        self.results.append(result)
        self._changed()

    def stop(self, resource: str, error: ComagicError) -> None:
        """Notes what ended a pass before its end."""
        self.passes[resource].stopped = error
        self._changed()

    def is_complete(self, resource: str) -> bool:
        """True when the whole period of a resource was read."""
        return resource in self.passes and self.passes[resource].is_complete

    @property
    def first_error(self) -> Optional[ComagicError]:
        """What ended a pass before its end, if anything did."""
        return next((of.stopped for of in self.passes.values() if of.stopped), None)

    @property
    def differences(self) -> List[WindowResult]:
        """Windows for which the API announced another number of rows than came."""
        return [result for result in self.results if result.difference]

    def _changed(self) -> None:
        if self.on_change:
            self.on_change()
