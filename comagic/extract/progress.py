"""What a load has read so far: the state of each resource's sync, reported to a dlt collector."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from dlt.common.runtime.collector import NULL_COLLECTOR
from dlt.common.runtime.collector_base import Collector

from ..exceptions import CONCERNS_ALL, UNAVAILABLE, ComagicError, UnreachableError
from .reader import DictionaryResult, WindowResult
from .rows import RejectedRow
from .transform import MAX_PROBLEMS, Misfits
from .unknown_keys import UnknownKeys
from .windows import Window

WINDOWS = "windows"
"""Label of a resource's counter of windows; a message says how far the resource has come."""
ROWS = "rows"
"""Label of the collector's counter of rows."""
MESSAGES = "messages"
"""Label of an update whose message is for the user."""
NO_MISFITS = Misfits()


@dataclass
class Sync:
    """The sync of one resource's period, over as many runs of the pipeline as it takes.

    Attributes:
        resource: name of the resource in the catalog.
        start: local time at which the sync starts.
        end: local time at which it will end.
        position: local time up to which it has come.
        planned: windows of the whole sync.
        finished: windows finished so far.
        rows: rows read so far.
        rejected: rows without a key or time.
        misfits: values that do not fit their column.
        problems: field and row of the first of these; the values can be personal data.
        error: what stopped the sync before its end, if anything did.
        is_paused: whether the run has spent the requests that it may on this resource; the next run goes on.
        is_dictionary: whether it is a dictionary, which has no period and is read whole.
        is_resumed: whether the sync began in an earlier load that was stopped.
    """

    resource: str
    start: datetime
    end: datetime
    position: datetime
    planned: int = 0
    finished: int = 0
    rows: int = 0
    rejected: int = 0
    misfits: int = 0
    problems: list[str] = field(default_factory=list)
    error: ComagicError | None = None
    is_paused: bool = False
    is_resumed: bool = False
    is_dictionary: bool = False

    @property
    def is_unavailable(self) -> bool:
        """True if the account lacks the permission or component for the resource; others can be read."""
        return isinstance(self.error, UNAVAILABLE)

    @property
    def stops_alone(self) -> bool:
        """True if its error need not stop other resources."""
        return not isinstance(self.error, CONCERNS_ALL)

    @property
    def is_complete(self) -> bool:
        """True when the whole period was read."""
        is_read = bool(self.finished) if self.is_dictionary else self.position >= self.end
        return is_read and self.error is None

    @property
    def entries(self) -> str:
        """Number of entries of a dictionary, in words."""
        return "1 entry" if self.rows == 1 else f"{self.rows:,} entries"

    def describe(self) -> str:
        """How far it has come, in words."""
        if not self.finished and self.error:
            return "not read"
        if self.is_dictionary:
            return f"{self.entries} read" if self.finished else "being read"
        rows, end = f"{self.rows:,} rows read", f"{self.end:%Y-%m-%d}"
        if self.is_complete:
            return f"{self.finished} windows, up to {end}; {rows}"
        if self.is_paused:
            end += "; the next run goes on"
        up_to = "stopped at" if self.error else "up to"
        return f"{self.finished} of {self.planned} windows, {up_to} {self.position:%Y-%m-%d} of {end}; {rows}"


class Progress:
    """The syncs of a load.

    With a `Progress`, an error in the middle of a sync does not fail the pipeline's run, so that dlt keeps what was
    read before it. Check `errors` after each run.

    Args:
        collector: where windows and rows are counted: dlt's own, or one for a terminal.

    Attributes:
        syncs: by name of the dlt resource.
        windows: all finished windows, without their rejected rows.
        warnings: what else the user should know after the load.
        unknown_keys: keys that the catalog does not have, by name of the resource.
    """

    def __init__(self, collector: Collector = NULL_COLLECTOR) -> None:
        self.collector = collector
        self.syncs: dict[str, Sync] = {}
        self.windows: list[WindowResult] = []
        self.warnings: list[str] = []
        self.unknown_keys: dict[str, UnknownKeys] = {}
        self._expected: list[str] = []
        self._left: dict[str, Sequence[Window]] = {}

    def expect(self, windows: Mapping[str, int]) -> None:
        """Takes how many windows each resource is expected to have, by name of the dlt resource, before any is read."""
        self._expected = list(windows)
        for name, count in windows.items():
            self.collector.update(name, inc=0, total=count, label=WINDOWS)

    def plan(self, name: str, new: Sync) -> None:
        """Takes what a run is going to read; a later run of the same load extends the sync."""
        sync = self.syncs.setdefault(name, new)
        sync.end = max(new.end, new.start)
        sync.position = new.start
        sync.planned = sync.finished + new.planned
        self._count_windows(name, 0)

    def leave_windows(self, name: str, left: Sequence[Window]) -> None:
        """Takes the windows that a run leaves to the next one of the load."""
        self._left[name] = left

    def take_windows(self, name: str, planned: Sequence[Window]) -> Sequence[Window]:
        """The windows of a period as the last run has left them, of which some were split and read ahead.

        Args:
            name: name of the dlt resource.
            planned: the windows as they are planned without that.
        """
        left = self._left.pop(name, [])
        is_same = left and planned and (left[0].start, left[-1].end) == (planned[0].start, planned[-1].end)
        return left if is_same else planned

    def finish_window(self, name: str, result: WindowResult, misfits: Misfits = NO_MISFITS) -> None:
        """Takes a finished window, and its values that do not fit."""
        sync = self.syncs[name]
        sync.position = result.reached
        sync.finished += 1
        sync.planned = sync.finished + result.remaining
        sync.rows += result.loaded
        self.windows.append(replace(result, rejected=()))
        self._add_problems(sync, result.rejected, misfits)
        self.collector.update(name, inc=result.loaded, label=ROWS)
        self._count_windows(name, 1)

    def finish_dictionary(self, name: str, result: DictionaryResult, misfits: Misfits) -> None:
        """Takes a dictionary that was read whole, and its values that do not fit."""
        sync = self.syncs[name]
        sync.finished, sync.rows = 1, len(result.rows)
        self._add_problems(sync, result.rejected, misfits)
        self.collector.update(name, inc=sync.rows, label=ROWS)
        self._count_windows(name, 1)

    def report(self, message: str) -> None:
        """Takes a message for the user."""
        self.collector.update(MESSAGES, inc=0, message=message, label=MESSAGES)

    def warn(self, messages: Iterable[str]) -> None:
        """Takes warnings for the summary, each once."""
        self.warnings += [message for message in messages if message not in self.warnings]

    def fail(self, name: str, error: ComagicError, new: Sync) -> None:
        """Takes what stopped a sync before its end, or before it had begun; windows that are left do not count."""
        self.syncs.setdefault(name, new).error = error
        for other in self._expected:
            if other not in self.syncs and self.is_stopped(other):
                self.collector.update(other, inc=0, total=0, label=WINDOWS)
        self._count_windows(name, 0)

    def pause(self, name: str, left: int) -> None:
        """Takes how many windows of a resource this run leaves to the next."""
        sync = self.syncs[name]
        sync.is_paused = left > 0
        sync.planned = sync.finished + left

    def is_done(self, name: str) -> bool:
        """True when this run has no more to read of a resource: all was read, it is paused, or an error stopped it."""
        sync = self.syncs.get(name)
        return self.is_stopped(name) or (sync is not None and (sync.is_complete or sync.is_paused))

    def is_stopped(self, name: str) -> bool:
        """True if an error stopped this resource's sync, or the whole load.

        A server that fails for one resource may work for the others; if it fails for a second one, it is down.
        """
        failed = {key: sync for key, sync in self.syncs.items() if sync.error}
        unreachable = [sync for sync in failed.values() if isinstance(sync.error, UnreachableError)]
        return name in failed or len(unreachable) > 1 or not all(sync.stops_alone for sync in failed.values())

    def errors(self, optional: Collection[str] = ()) -> list[ComagicError]:
        """Returns what stopped the load, or resources of it; what concerns all comes first.

        Args:
            optional: names of resources that may be unavailable to the account.
        """
        failed = [sync for sync in self.syncs.values() if sync.error]
        failed = [sync for sync in failed if not (sync.is_unavailable and sync.resource in optional)]
        return [sync.error for sync in sorted(failed, key=lambda sync: sync.stops_alone) if sync.error]

    @property
    def strangers(self) -> list[WindowResult]:
        """Windows for which the API sent rows of other times."""
        return [result for result in self.windows if result.outside]

    @property
    def uncounted(self) -> list[str]:
        """Reports that have a window without rows, where the API did not say that there are none."""
        return list(dict.fromkeys(result.resource for result in self.windows if result.is_uncounted))

    @property
    def differences(self) -> list[WindowResult]:
        """Windows for which the API announced another number of rows than it sent."""
        return [result for result in self.windows if result.difference]

    def _add_problems(self, sync: Sync, rejected: Sequence[RejectedRow], misfits: Misfits) -> None:
        sync.rejected += len(rejected)
        sync.misfits += misfits.number
        places = [*(row.place for row in rejected[:MAX_PROBLEMS]), *(misfit.place for misfit in misfits.first)]
        sync.problems = [*sync.problems, *places][:MAX_PROBLEMS]

    def _count_windows(self, name: str, inc: int) -> None:
        sync = self.syncs[name]
        total = sync.finished if sync.error else sync.planned
        self.collector.update(name, inc=inc, total=total, message=sync.describe(), label=WINDOWS)
