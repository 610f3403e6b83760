"""The time limit of a run: serverless platforms and schedules kill whatever takes longer."""

import time
from collections.abc import Callable
from math import inf

from ..exceptions import DeadlineError

INITIAL_RESERVE = 30.0
"""Seconds reserved for loading what was read, before it is known how long that takes."""
MAX_RESERVED_SHARE = 0.5
"""Share of the time limit that can be reserved for loading, so that each run reads something."""


class Deadline:
    """Says when to stop reading, so that what was read can still be loaded; also the clock for all waiting.

    Args:
        minutes: time limit of the run, from now; None for no limit.
        clock: returns seconds.
        sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.now = clock
        self._sleep = sleep
        self._minutes = minutes
        self._seconds = inf if minutes is None else minutes * 60
        self._end = clock() + self._seconds
        self._reserved = 0.0
        self.reserve(INITIAL_RESERVE)

    def reserve(self, seconds: float) -> None:
        """Reserves time for loading; a smaller value than before changes nothing."""
        self._reserved = min(max(seconds, self._reserved), self._seconds * MAX_RESERVED_SHARE)

    @property
    def left(self) -> float:
        """Seconds left for reading; infinite without a limit."""
        return inf if self._end == inf else self._end - self._reserved - self.now()

    def check(self) -> float:
        """Returns the seconds left for reading.

        Raises:
            DeadlineError: there are none.
        """
        left = self.left
        if left <= 0:
            raise DeadlineError(f"The time limit of {self._minutes:g} minutes is reached.")
        return left

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            DeadlineError: the wait would exceed the time limit; nothing is waited for then.
        """
        if seconds >= self.left:
            raise DeadlineError(
                f"The time limit of {self._minutes:g} minutes does not allow a wait of {seconds:.0f} seconds."
            )
        self._sleep(seconds)
