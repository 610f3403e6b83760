"""The account's quota: requests per minute and per day."""

from collections.abc import Callable
from datetime import datetime

from .errors import RejectedError
from .switches import Switches


class Quota:
    """Counts requests against the limits of a minute and of a day. Only requests that get a result count.

    Args:
        switches: the limits, `minute_limit` and `day_limit`; they may change while the sandbox runs.
        clock: seconds.
    """

    def __init__(self, switches: Switches, clock: Callable[[], float]) -> None:
        self._switches = switches
        self._clock = clock
        self._recent: list[float] = []
        self._today = 0

    def charge(self) -> None:
        """Counts one request."""
        self._recent.append(self._clock())
        self._today += 1

    def check(self) -> None:
        """Rejects the request if the quota is exhausted.

        Raises:
            RejectedError: `limit_exceeded`, with the type of the limit.
        """
        for kind, used, limit in (
            ("day", self._today, self._switches.day_limit),
            ("minute", self._last_minute(), self._switches.minute_limit),
        ):
            if used >= limit:
                message = f"{kind.capitalize()} limit exceeded"
                raise RejectedError("limit_exceeded", message, params={"limit_type": kind, "limit": limit})

    def limits(self, local_time: datetime) -> dict[str, int]:
        """`metadata.limits` of a response.

        Args:
            local_time: the present in the account's time zone; the day's quota is reset at its midnight.
        """
        used = self._last_minute()
        return {
            "day_limit": self._switches.day_limit,
            "day_remaining": max(self._switches.day_limit - self._today, 0),
            "day_reset": 86_400 - (local_time.hour * 3600 + local_time.minute * 60 + local_time.second),
            "minute_limit": self._switches.minute_limit,
            "minute_remaining": max(self._switches.minute_limit - used, 0),
            "minute_reset": int(self._recent[0] + 60 - self._clock()) + 1 if used else 60,
        }

    def _last_minute(self) -> int:
        since = self._clock() - 60
        self._recent = [moment for moment in self._recent if moment > since]
        return len(self._recent)
