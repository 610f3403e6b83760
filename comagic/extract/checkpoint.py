"""How far syncs of a period have come, kept in dlt's state of the resource: committed with the rows, or not at all."""

from datetime import datetime, timedelta
from typing import Any

import pendulum

STATE_KEY = "checkpoints"
INCREMENTAL = "incremental"
EXPIRES_AFTER = timedelta(days=7)
"""A backfill resumes for this long; a later load of the same period starts from its beginning."""

LOOKBACKS_KEY = "lookbacks"
MOST_MISSED = timedelta(days=31)
"""So far back runs with a long lookback make up for those that did not take place, beside runs with a short one."""


class Checkpoint:
    """The checkpoint of one period's sync: of the incremental one, or of a backfill.

    Args:
        state: the resource's state.
        since: local time at which a backfill starts; None for the incremental sync.
        until: local time before which it ends; None for now.
    """

    def __init__(self, state: dict[str, Any], since: datetime | None, until: datetime | None) -> None:
        self._state = state
        self._is_incremental = since is None
        self._name = INCREMENTAL if since is None else f"{since} .. {until or 'now'}"

    @property
    def stopped_at(self) -> datetime | None:
        """The instant up to which the sync has come; None for a new one."""
        saved = self._state.get(STATE_KEY, {}).get(self._name)
        if not saved or (not self._is_incremental and pendulum.now("UTC") - saved["noted_at"] > EXPIRES_AFTER):
            return None
        stopped_at: datetime = saved["stopped_at"]
        return stopped_at

    @property
    def lookback_days(self) -> int | None:
        """The lookback that the sync began with; None for a new one, and if an earlier release began it."""
        days: int | None = self._state.get(STATE_KEY, {}).get(self._name, {}).get("lookback_days")
        return days

    def save(self, stopped_at: datetime | None, lookback_days: int) -> None:
        """Saves how far the sync has come.

        Args:
            stopped_at: the instant; None when it is finished.
            lookback_days: the lookback that it began with.
        """
        checkpoints = self._state.setdefault(STATE_KEY, {})
        if stopped_at is None:
            checkpoints.pop(self._name, None)
        else:
            now = pendulum.now("UTC")
            checkpoints[self._name] = {"stopped_at": stopped_at, "noted_at": now, "lookback_days": lookback_days}
        if not checkpoints:
            del self._state[STATE_KEY]


class Lookbacks:
    """How far finished syncs have come, by their lookback: runs by the hour can have a shorter one than nightly runs.

    A run reads again what has changed since the last run with its own lookback, or a longer one: if nightly runs fail
    for days, the hourly ones between them have moved the cursor, but have not read what the next nightly run has to.

    Args:
        state: the resource's state.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def start(self, cursor: datetime, days: int) -> datetime:
        """The instant to count the lookback from: the cursor, or what a run with this lookback has come to.

        Args:
            cursor: the instant up to which all runs have come.
            days: the lookback.
        """
        known = self._state.get(LOOKBACKS_KEY, {})
        reached = [moment for lookback, moment in known.items() if int(lookback) >= days]
        return max(min(max(reached, default=cursor), cursor), cursor - MOST_MISSED)

    def save(self, reached: datetime, days: int) -> None:
        """Saves how far a finished sync has come.

        Args:
            reached: the instant.
            days: its lookback.
        """
        known = self._state.get(LOOKBACKS_KEY, {})
        longer = {lookback: moment for lookback, moment in known.items() if int(lookback) > days}
        self._state[LOOKBACKS_KEY] = {**longer, str(days): reached}
