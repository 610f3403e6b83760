"""Notes of a load, for its progress, its loop and its summary."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Collection, Dict, List, Optional

from comagic.exceptions import ComagicError, ComponentError, ForbiddenError
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
        is_dictionary: whether it is a dictionary, which has no period and is read whole.
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
    is_dictionary: bool = False

    @property
    def is_refused(self) -> bool:
        """True if the account lacks the right or the component that the resource needs; others can be read."""
        return isinstance(self.stopped, (ForbiddenError, ComponentError))

    @property
    def is_complete(self) -> bool:
        """True when the whole period was read."""
        return self.position >= self.end and (bool(self.finished) or not self.is_dictionary)


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
        current.position = result.reached
        current.finished += 1
        current.planned = current.finished + result.waiting
        current.rows += result.loaded
        self.results.append(result)
        self._changed()

    def begin_dictionary(self, resource: str) -> None:
        """Notes that a dictionary is going to be read."""
        now = datetime.now()  # noqa: DTZ005  # a dictionary has no period; nothing is made of it
        self.passes[resource] = Pass(now, now, now, planned=1, is_dictionary=True)
        self._changed()

    def finish_dictionary(self, resource: str, rows: int) -> None:
        """Notes that a dictionary was read whole."""
        self.passes[resource].finished = 1
        self.passes[resource].rows = rows
        self._changed()

    def stop(self, resource: str, error: ComagicError) -> None:
        """Notes what ended a pass before its end."""
        self.passes[resource].stopped = error
        self._changed()

    def is_complete(self, resource: str) -> bool:
        """True when the whole period of a resource was read."""
        return resource in self.passes and self.passes[resource].is_complete

    def has_stopped(self, resource: str) -> bool:
        """True if something ended the resource's pass before its end."""
        return resource in self.passes and self.passes[resource].stopped is not None

    def is_over(self, resource: str) -> bool:
        """True when nothing more is to be read of a resource: it is complete, or it or the load was stopped.

        A right or a component that one resource lacks stops that resource alone.
        """
        current = self.passes.get(resource)
        if current and (current.is_complete or current.stopped):
            return True
        return any(of.stopped and not of.is_refused for of in self.passes.values())

    def first_error_but(self, optional: Collection[str]) -> Optional[ComagicError]:
        """What ended the load, or a resource of it, except for optional resources that the account may not read."""
        ended = [of for name, of in self.passes.items() if of.stopped and not (of.is_refused and name in optional)]
        return next((of.stopped for of in sorted(ended, key=lambda of: of.is_refused)), None)

    @property
    def first_error(self) -> Optional[ComagicError]:
        """What ended a pass before its end, if anything did."""
        return self.first_error_but(())

    @property
    def differences(self) -> List[WindowResult]:
        """Windows for which the API announced another number of rows than came."""
        return [result for result in self.results if result.difference]

    def _changed(self) -> None:
        if self.on_change:
            self.on_change()
