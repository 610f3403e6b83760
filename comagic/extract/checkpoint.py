"""Where a pass over a period stopped, kept in dlt's state of the resource: committed with the rows, or not at all."""

from datetime import datetime, timedelta
from typing import Any, Dict, Optional

import pendulum

KEY = "unfinished_passes"
INCREMENTAL = "incremental"
FORGOTTEN_AFTER = timedelta(days=7)
"""A period that was given by hand is gone on with for so long; later, who asks for it wants it read anew."""


class UnfinishedPass:
    """The unfinished pass over one period, the incremental one's or one that was given by hand.

    Args:
        state: the resource's state.
        since: wall time at which a period given by hand begins; None for the incremental pass.
        until: wall time before which it ends; None for the present.
    """

    def __init__(self, state: Dict[str, Any], since: Optional[datetime], until: Optional[datetime]) -> None:
        self._state = state
        self._is_incremental = since is None
        self._name = INCREMENTAL if since is None else f"{since} .. {until or 'now'}"

    @property
    def stopped_at(self) -> Optional[datetime]:
        """The instant up to which the pass has come; None for a new one."""
        noted = self._state.get(KEY, {}).get(self._name)
        if not noted or (not self._is_incremental and pendulum.now("UTC") - noted["noted_at"] > FORGOTTEN_AFTER):
            return None
        stopped_at: datetime = noted["stopped_at"]
        return stopped_at

    def note(self, stopped_at: Optional[datetime]) -> None:
        """Notes the instant up to which the pass has come; None when it is finished."""
        passes = self._state.setdefault(KEY, {})
        if stopped_at is None:
            passes.pop(self._name, None)
        else:
            passes[self._name] = {"stopped_at": stopped_at, "noted_at": pendulum.now("UTC")}
        if not passes:
            del self._state[KEY]
