"""Where a sync of a period stopped, kept in dlt's state of the resource: committed with the rows, or not at all."""

from datetime import datetime, timedelta
from typing import Any

import pendulum

STATE_KEY = "checkpoints"
INCREMENTAL = "incremental"
EXPIRES_AFTER = timedelta(days=7)
"""A backfill resumes for this long; a later load of the same period starts from its beginning."""


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

    def save(self, stopped_at: datetime | None) -> None:
        """Saves the instant up to which the sync has come; None when it is finished."""
        checkpoints = self._state.setdefault(STATE_KEY, {})
        if stopped_at is None:
            checkpoints.pop(self._name, None)
        else:
            checkpoints[self._name] = {"stopped_at": stopped_at, "noted_at": pendulum.now("UTC")}
        if not checkpoints:
            del self._state[STATE_KEY]
