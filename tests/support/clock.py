"""A clock for tests that never sleep."""

from comagic.api.deadline import Deadline


class Clock:
    """Seconds that pass only while something sleeps.

    Attributes:
        now: the present, in seconds.
        slept: the length of each sleep, in seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Moves the clock forward at once."""
        self.slept.append(seconds)
        self.now += seconds

    def deadline(self, minutes: float | None = None) -> Deadline:
        """Returns a time limit by this clock; by default none."""
        return Deadline(minutes, self, self.sleep)
