"""Notes of a load, for its progress, its loop and its summary."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Dict, List, Optional

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
    """

    begin: datetime
    end: datetime
    position: datetime
    planned: int = 0
    finished: int = 0
    rows: int = 0

    @property
    def is_complete(self) -> bool:
        """True when the whole period was read."""
        return self.position >= self.end


@dataclass
class Journal:
    """What a load has read so far.

    Attributes:
        passes: by resource.
        results: all finished windows.
        on_change: called after each note, for a display of the progress.
    """

    passes: Dict[str, Pass] = field(default_factory=dict)
    results: List[WindowResult] = field(default_factory=list)
    on_change: Optional[Callable[[], None]] = None

    def plan(self, resource: str, begin: datetime, end: datetime, windows: int) -> None:
        """Notes what a run is going to read; a later run of the same load extends its pass."""
        current = self.passes.setdefault(resource, Pass(begin, end, begin))
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

    @property
    def differences(self) -> List[WindowResult]:
        """Windows for which the API announced another number of rows than came."""
        return [result for result in self.results if result.difference]

    def _changed(self) -> None:
        if self.on_change:
            self.on_change()
