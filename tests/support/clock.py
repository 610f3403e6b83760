"""A clock for tests."""

from comagic.api.deadline import Deadline


class Clock:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def deadline(self, minutes: float | None = None) -> Deadline:
        return Deadline(minutes, self, self.sleep)
