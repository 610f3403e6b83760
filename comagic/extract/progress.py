"""Notes of a load, for its progress, its loop and its summary."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Callable, Collection, Dict, List, Optional

from ..exceptions import CONCERNS_ALL, ComagicError, ComponentError, ForbiddenError
from .reader import WindowResult
from .transform import Row


@dataclass
class Pass:
    """One resource's way through its period, over as many runs as it takes.

    Attributes:
        resource: name of the resource in the catalog.
        begin: wall time at which the pass began.
        end: wall time at which it will end.
        position: wall time up to which it has come.
        planned: windows that the pass has in all.
        finished: windows finished so far.
        rows: rows read so far.
        stopped: what ended the pass before its end, if anything did.
        is_dictionary: whether it is a dictionary, which has no period and is read whole.
        goes_on: whether the pass began in an earlier load that was stopped.
        is_of_client: whether it is about one client of an agency, of several.
    """

    resource: str
    begin: datetime
    end: datetime
    position: datetime
    planned: int = 0
    finished: int = 0
    rows: int = 0
    stopped: Optional[ComagicError] = None
    goes_on: bool = False
    is_dictionary: bool = False
    is_of_client: bool = False

    @property
    def is_refused(self) -> bool:
        """True if the account lacks the right or the component that the resource needs; others can be read."""
        return isinstance(self.stopped, (ForbiddenError, ComponentError))

    @property
    def stops_itself_alone(self) -> bool:
        """True if what stopped it need not stop the others: a right that lacks, or a fault of one client of several."""
        return self.is_refused or (self.is_of_client and not isinstance(self.stopped, CONCERNS_ALL))

    @property
    def is_complete(self) -> bool:
        """True when the whole period was read."""
        is_read = bool(self.finished) if self.is_dictionary else self.position >= self.end
        return is_read and self.stopped is None


@dataclass
class Journal:
    """What a load has read so far.

    Whoever hands a journal to the source has to look at it after each run: an error in the middle of a pass does not
    fail the run then, so that dlt keeps what was read before; it stands in `Pass.stopped`, and `first_error` finds it.

    Attributes:
        passes: by name of the dlt resource.
        results: all finished windows.
        entries: rows of dictionaries: a run that one of several ended, since it may not be read, is done again.
        on_change: called after each note, for a display of the progress.
    """

    passes: Dict[str, Pass] = field(default_factory=dict)
    results: List[WindowResult] = field(default_factory=list)
    entries: Dict[str, List[Row]] = field(default_factory=dict)
    on_change: Optional[Callable[[], None]] = None

    def plan(self, name: str, new: Pass) -> None:
        """Notes what a run is going to read; a later run of the same load extends its pass."""
        current = self.passes.setdefault(name, new)
        current.end = max(new.end, new.begin)
        current.position = new.begin
        current.planned = current.finished + new.planned
        self._changed()

    def finish(self, name: str, result: WindowResult) -> None:
        """Notes a finished window."""
        current = self.passes[name]
        current.position = result.reached
        current.finished += 1
        current.planned = current.finished + result.waiting
        current.rows += result.loaded
        self.results.append(result)
        self._changed()

    def finish_dictionary(self, name: str, rows: List[Row]) -> None:
        """Notes that a dictionary was read whole, and keeps its rows for a second run."""
        self.entries[name] = rows
        self.passes[name].finished = 1
        self.passes[name].rows = len(rows)
        self._changed()

    def stop(self, name: str, error: ComagicError, new: Pass) -> None:
        """Notes what ended a pass before its end, or as a new pass if it had not begun."""
        self.passes.setdefault(name, new).stopped = error
        self._changed()

    def is_complete(self, name: str) -> bool:
        """True when the whole period of a resource was read."""
        return name in self.passes and self.passes[name].is_complete

    def has_ended(self, name: str) -> bool:
        """True if something ended the resource's pass before its end, or the whole load."""
        return any(of.stopped and (key == name or not of.stops_itself_alone) for key, of in self.passes.items())

    def can_go_on(self, name: str) -> bool:
        """True if nothing has ended the resource's pass, or its rows were read before that: they need loading alone."""
        return name in self.entries or not self.has_ended(name)

    def first_error_but(self, optional: Collection[str]) -> Optional[ComagicError]:
        """What ended the load, or a resource of it, except for optional resources that the account may not read."""
        ended = [of for of in self.passes.values() if of.stopped and not (of.is_refused and of.resource in optional)]
        return next((of.stopped for of in sorted(ended, key=lambda of: of.stops_itself_alone)), None)

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
