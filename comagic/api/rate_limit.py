"""The API's quotas: what was used, what is left, and how long to wait so that no request is rejected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from .deadline import Deadline

MINUTE = 60.0
"""Seconds after which the minute's quota has been reset at the latest."""
MAX_LIMIT = 10**12
"""A larger number of calls or seconds is none."""
LONG_SPANS = ("day", "hour")
"""What a quota may be for beside a minute; nobody waits for these."""
SLOW_SHARE = 0.25
"""Share of the minute's quota from which on requests are spread over the rest of the minute."""


@dataclass
class Usage:
    """What was requested from the API so far.

    Attributes:
        calls: completed calls by method, errors included.
        seconds: time spent waiting for the API: on the wire, between attempts, for the minute's quota.
        limits: the last `metadata.limits` seen: what is left of the day's and the minute's quota.
        clock_difference: by how many seconds the server's clock is ahead of this machine's.
        repairs: characters and numbers in responses that JSON does not allow, and that were replaced.
    """

    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    limits: Mapping[str, Any] = field(default_factory=dict)
    repairs: int = 0
    clock_difference: float = 0.0

    def note_clock(self, date: str | None, received: datetime | None = None) -> None:
        """Takes the header `Date` of a response, and when it came; None for now."""
        try:
            server = parsedate_to_datetime(date or "")
            aware = server if server.tzinfo else server.replace(tzinfo=UTC)
            self.clock_difference = (aware - (received or datetime.now(UTC))).total_seconds()
        except (ValueError, OverflowError, TypeError, IndexError):
            return  # the header is damaged

    @property
    def total(self) -> int:
        """All calls."""
        return sum(self.calls.values())

    def limit(self, name: str) -> int | None:
        """One of the limits, if it was reported."""
        value = self.limits.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_LIMIT else None


class RateLimiter:
    """Waits before a request if the minute's quota is exhausted, and spreads the last requests of a minute.

    A rejected request costs only the server's patience; but what is left of the minute, other clients of the same
    account may need.

    Args:
        usage: where calls, waits and limits are counted.
        deadline: the time limit, and the clock for all waiting.
    """

    def __init__(self, usage: Usage, deadline: Deadline) -> None:
        self._usage = usage
        self._deadline = deadline
        self._limits_at = 0.0

    def note(self, limits: Mapping[str, Any], at: float | None = None) -> None:
        """Takes the limits of a response, and when it came; None for now."""
        at = self._deadline.now() if at is None else at
        if limits and at >= self._limits_at:
            self._usage.limits, self._limits_at = limits, at

    def has_room(self, outstanding: int) -> bool:
        """Whether a request can be made at once, before its turn.

        Args:
            outstanding: requests that were made and are not in the last limits, as far as one knows.
        """
        spans = [self._usage.limit(f"{span}_remaining") for span in LONG_SPANS]
        if any(left is not None and left <= outstanding for left in spans):
            return False
        remaining, limit = self._usage.limit("minute_remaining"), self._usage.limit("minute_limit")
        if remaining is None or limit is None:  # nobody knows
            return outstanding == 0
        if self._until_reset() <= 0:
            remaining = limit
        return remaining - outstanding > limit * SLOW_SHARE

    def pace(self, outstanding: int = 0) -> None:
        """Waits before a request, if need be.

        Args:
            outstanding: see `has_room`.

        Raises:
            DeadlineError: the wait would exceed the time limit.
        """
        remaining, limit = self._usage.limit("minute_remaining"), self._usage.limit("minute_limit")
        seconds = self._until_reset()
        if remaining is None or limit is None or seconds <= 0:
            return
        remaining = max(0, remaining - outstanding)
        if remaining == 0:
            self.wait(seconds + 1)
        elif remaining <= limit * SLOW_SHARE:
            self.wait(seconds / (remaining + 1))

    def wait_for_reset(self) -> None:
        """Waits until the minute's quota has been reset.

        Raises:
            DeadlineError: the wait would exceed the time limit.
        """
        self.wait(self._until_reset() + 1)

    def wait(self, seconds: float) -> None:
        """Waits, and counts the time as time spent waiting for the API.

        Raises:
            DeadlineError: the wait would exceed the time limit.
        """
        self._deadline.sleep(seconds)
        self._usage.seconds += seconds

    def _until_reset(self) -> float:
        """Seconds until the minute's quota is reset, as far as the last response said."""
        reset = self._usage.limit("minute_reset")
        if reset is None:
            return MINUTE
        return max(0.0, min(reset, MINUTE) - (self._deadline.now() - self._limits_at))
