"""The time that a run may take: serverless platforms and schedules cut off whoever takes longer."""

import time
from math import inf
from typing import Callable, Optional

from ..exceptions import DeadlineError

FINISHING = 30.0
"""Seconds kept back for loading what was read, before it is known how long that takes."""
MOST_KEPT_BACK = 0.5
"""Share of the time that is kept back at most, so that each run reads something."""


class Deadline:
    """Says when to stop reading, so that what was read can still be loaded; also the clock of all waiting.

    Args:
        minutes: time that the run may take, from now on; None for as long as it takes.
        clock: seconds.
        sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        minutes: Optional[float] = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.now = clock
        self._sleep = sleep
        self._minutes = minutes
        self._seconds = inf if minutes is None else minutes * 60
        self._end = clock() + self._seconds
        self._kept_back = 0.0
        self.keep_back(FINISHING)

    def keep_back(self, seconds: float) -> None:
        """Keeps so much time back for loading, or more if more was asked for before."""
        self._kept_back = min(max(seconds, self._kept_back), self._seconds * MOST_KEPT_BACK)

    @property
    def left(self) -> float:
        """Seconds left for reading; infinite without a deadline."""
        return inf if self._end == inf else self._end - self._kept_back - self.now()

    def check(self) -> float:
        """Seconds left for reading.

        Raises:
            DeadlineError: there is none.
        """
        left = self.left
        if left <= 0:
            raise DeadlineError(f"The {self._minutes:g} minutes that the run may take are over.")
        return left

    def sleep(self, seconds: float) -> None:
        """Waits.

        Raises:
            DeadlineError: it would take longer than there is time; nothing is waited for then.
        """
        if seconds >= self.left:
            raise DeadlineError(
                f"The {self._minutes:g} minutes that the run may take do not allow for waiting {seconds:.0f} seconds."
            )
        self._sleep(seconds)
