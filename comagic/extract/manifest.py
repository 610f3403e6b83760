"""What a load package holds of each table beside its rows, noted while it is read: the merge needs it.

- How many rows there are, and their local days: the merge touches no others.
- What was read whole: rows of it that are in the destination and did not come are gone.
- Columns and lists that were not requested: what the destination has there stays.

It is in dlt's state of the load package, beside the package's files, so it is there when a later run loads what an
interrupted one has left.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from datetime import date, timedelta
from typing import Any

from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.storages.load_package import load_package_state

KEY = "comagic_manifest"
"""Key in dlt's state of the load package."""

MAX_DAYS = 1_000
"""Days of a table in one load package, at most, where packages have a limit. A job in BigQuery changes up to 4,000
partitions; https://cloud.google.com/bigquery/quotas#partitioned_tables."""


class Manifest:
    """The manifest of one table in a load package.

    Args:
        entry: its part of dlt's state.
    """

    def __init__(self, entry: MutableMapping[str, Any]) -> None:
        self._entry = entry
        self._added: set[date] = set()

    @property
    def days(self) -> frozenset[date]:
        """Local days of the rows, by their `partition_date`."""
        return frozenset(date.fromisoformat(day) for day in self._entry.get("days", ()))

    def add_days(self, days: Iterable[date]) -> None:
        """Notes local days of rows."""
        new = set(days) - self._added
        if new:
            self._added |= new
            self._entry["days"] = sorted({*self._entry.get("days", ()), *(day.isoformat() for day in new)})

    @property
    def rows(self) -> int:
        """Rows handed to dlt."""
        return int(self._entry.get("rows", 0))

    def add_rows(self, count: int) -> None:
        """Counts rows handed to dlt."""
        self._entry["rows"] = self.rows + count

    @property
    def scopes(self) -> list[dict[str, Any]]:
        """What was read whole: values of columns, and the days `first` to `last` for a report."""
        return list(self._entry.get("scopes", ()))

    def add_scope(self, parameters: Mapping[str, Any], first: date | None = None, last: date | None = None) -> None:
        """Notes what was read whole; adjacent periods of the same parameters become one.

        Args:
            parameters: columns and their values: the client, the site.
            first: the first local day; None for a dictionary.
            last: the last local day.
        """
        scopes = self._entry.setdefault("scopes", [])
        new: dict[str, Any] = {"parameters": dict(parameters)}
        if first and last:
            new |= {"first": first.isoformat(), "last": last.isoformat()}
            for scope in scopes:
                day_after = date.fromisoformat(scope["last"]) + timedelta(days=1)
                if scope["parameters"] == new["parameters"] and scope["first"] <= new["first"] and first <= day_after:
                    scope["last"] = max(scope["last"], new["last"])
                    return
        if new not in scopes:
            scopes.append(new)

    @property
    def not_requested(self) -> frozenset[str]:
        """Columns of the table, and lists with a child table, that were not requested."""
        return frozenset(self._entry.get("not_requested", ()))

    def set_not_requested(self, names: Iterable[str]) -> None:
        """Notes columns and lists that were not requested."""
        self._entry["not_requested"] = sorted(names)

    @property
    def rewrites(self) -> bool:
        """True if rows are written although they are the same in the destination: in a load with `since`."""
        return bool(self._entry.get("rewrites"))

    def set_rewrites(self) -> None:
        """Notes that rows are written although they are the same in the destination."""
        self._entry["rewrites"] = True


def current_manifest(table: str) -> Manifest:
    """Returns the manifest of a table in dlt's current load package; an empty one outside of a pipeline's run."""
    return Manifest(_entries().setdefault(table, {}))


def current_manifests() -> dict[str, Manifest]:
    """Returns the manifests in dlt's current load package, by table."""
    return {table: Manifest(entry) for table, entry in _entries().items()}


def package_rows() -> int:
    """Rows in dlt's current load package so far."""
    return sum(manifest.rows for manifest in current_manifests().values())


def _entries() -> dict[str, Any]:
    try:
        state: Any = load_package_state()["state"]
    except CurrentLoadPackageStateNotAvailable:
        return {}
    entries: dict[str, Any] = state.setdefault(KEY, {})
    return entries
