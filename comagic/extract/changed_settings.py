"""Notices settings that changed since a report was loaded, in dlt's state of the resource: none is ignored silently."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import ConfigurationError
from ..settings import SOURCE_SECTION
from .windows import API_TIME, day_start

STATE_KEY = "loaded_with"


class LoadedWith:
    """What earlier runs loaded a report with: from when on, in which time zone, which fields.

    Args:
        state: the resource's state.
        name: name of the dlt resource.
    """

    def __init__(self, state: dict[str, Any], name: str) -> None:
        self._state = state
        self._name = name

    @property
    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = self._state.get(STATE_KEY, {})
        return known

    @property
    def timezone(self) -> str | None:
        """Name of the time zone of the loaded rows; None if nothing was loaded."""
        name: str | None = self._known.get("timezone")
        return name

    @property
    def _start(self) -> datetime:
        return datetime.fromisoformat(self._known["start"])

    def check_zone(self, zone: str, since: datetime | None) -> None:
        """Checks that the time zone is the one of the loaded rows, unless all of them are loaded again.

        Raises:
            ConfigurationError: it is another one: the table would have local days of two time zones.
        """
        known = self._known
        if not known or known["timezone"] == zone or (since and since <= self._start):
            return
        raise ConfigurationError(
            f"{SOURCE_SECTION}.timezone: {self._name} was loaded with {known['timezone']}, and the time zone is {zone} "
            f'now. Load all of it again: load --since "{self._start:{API_TIME}}".'
        )

    def describe_changes(
        self, start: datetime, fields: Collection[str], now: datetime, lookback_days: int
    ) -> list[str]:
        """What changed, and the command that repairs it.

        Args:
            start: the setting `start_date`.
            fields: the fields that are requested.
            now: local time.
            lookback_days: the setting of that name.
        """
        known = self._known
        if not known:
            return []
        changes = []
        if start < self._start:
            changes.append(
                f"{self._name}: start_date is {start:%Y-%m-%d}, and rows are loaded from {self._start:%Y-%m-%d} on. "
                f"Load the days before: load --since {start:%Y-%m-%d} --until {_day_before(self._start):%Y-%m-%d}."
            )
        reread = day_start(now - timedelta(days=lookback_days))
        if added := sorted(set(fields) - set(known["fields"])):
            changes.append(
                f"{self._name}: {', '.join(added)} {_was(added)} not loaded before; rows before {reread:%Y-%m-%d} lack "
                f"{'it' if len(added) == 1 else 'them'}. Load them again: load --since {self._start:%Y-%m-%d}."
            )
        if removed := sorted(set(known["fields"]) - set(fields)):
            changes.append(
                f"{self._name}: {', '.join(removed)} {_was(removed)} loaded before, and no more: rows keep the values "
                f"that they have, new rows have none. To get those, select the field again and: "
                f"load --since {reread:%Y-%m-%d}."
            )
        return changes

    def save(self, start: datetime, zone: str, fields: Collection[str]) -> None:
        """Saves what an incremental run loads with.

        Args:
            start: local time from which on the first run loads.
            zone: the time zone's name.
            fields: the fields that are requested.
        """
        known = self._known
        self._state[STATE_KEY] = {
            "start": known.get("start", start.isoformat()),
            "timezone": known.get("timezone", zone),
            "fields": sorted(fields),
        }

    def save_backfill(self, since: datetime, end: datetime, zone: str) -> None:
        """Saves that a backfill is finished.

        Args:
            since: local time at which it started.
            end: local time before which it ended.
            zone: the time zone's name.
        """
        known = self._known
        if known and since <= self._start <= end:
            self._state[STATE_KEY] = {**known, "start": since.isoformat(), "timezone": zone}


def _was(names: Collection[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _day_before(moment: datetime) -> datetime:
    return moment - timedelta(seconds=1)
