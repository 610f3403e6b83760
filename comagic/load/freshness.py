"""How fresh the destination is, read from the destination itself, so that any machine can check it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from dlt import Schema
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ..catalog import BY_PARENT, PARTITION_DATE, Report, Resource, resources
from ..extract.load_windows import TABLE
from ..extract.schema import USER_ID
from .destinations import AnyDestination, is_missing_file
from .dialects import adapt_dates

FRESHNESS = """
WITH ended AS (
    SELECT w.*, CASE WHEN w.read_at > CURRENT_TIMESTAMP THEN 1 ELSE 0 END AS is_future
    FROM {load_windows} AS w
    JOIN {loads} AS l ON l.load_id = w._dlt_load_id AND l.status = 0
),
latest AS (
    SELECT
        ended.*,
        ROW_NUMBER() OVER (PARTITION BY resource, user_id ORDER BY is_future, read_at DESC, loaded_up_to DESC) AS nth
    FROM ended
),
incremental AS (
    SELECT
        resource,
        user_id,
        COALESCE(MAX(CASE WHEN is_future = 0 THEN loaded_up_to END), MAX(loaded_up_to)) AS loaded_up_to
    FROM ended
    WHERE is_incremental
    GROUP BY resource, user_id
)
SELECT
    latest.resource,
    latest.user_id,
    counted.row_count,
    counted.doubled,
    latest.period_end,
    latest.loaded_up_to,
    latest.rows_announced - latest.rows_received AS missing,
    latest.rows_rejected,
    latest.read_at,
    incremental.loaded_up_to AS incremental_up_to
FROM latest
LEFT JOIN incremental
    ON incremental.resource = latest.resource AND COALESCE(incremental.user_id, -1) = COALESCE(latest.user_id, -1)
LEFT JOIN ({counts}) AS counted
    ON counted.resource = latest.resource AND COALESCE(counted.user_id, -1) = COALESCE(latest.user_id, -1)
WHERE latest.nth = 1
ORDER BY latest.resource, latest.user_id
"""
"""The last window of each resource and client, and how far incremental runs have come.

Only load packages that ended count: `load_windows` is committed before the merge. Windows that a run with a wrong clock
read in the future count only if there are no others.
"""

LOOKBACKS = """
SELECT w.resource, w.user_id, w.lookback_days, MAX(w.loaded_up_to) AS loaded_up_to
FROM {load_windows} AS w
JOIN {loads} AS l ON l.load_id = w._dlt_load_id AND l.status = 0
WHERE w.lookback_days IS NOT NULL AND w.loaded_up_to >= w.period_end AND w.read_at <= CURRENT_TIMESTAMP
GROUP BY w.resource, w.user_id, w.lookback_days
"""
"""How far finished syncs have come, by their lookback."""

COUNT = """
SELECT '{resource}' AS resource, {client} AS user_id, COUNT(*) AS row_count, {doubled} AS doubled FROM {table}{group}
"""
NO_COUNT = "SELECT '' AS resource, CAST(NULL AS BIGINT) AS user_id, 0 AS row_count, 0 AS doubled"
RECENT_DAYS = 31
"""Days in which keys are looked for that occur twice; those of all days would make a status dearer each year."""


@dataclass(frozen=True)
class Freshness:
    """How fresh one resource is.

    Attributes:
        resource: its name.
        user_id: the client of an agency, where several are loaded.
        loaded_up_to: the instant up to which incremental runs have loaded it; None if there was none.
        rows: rows of its table.
        last_read_at: when the last window was read.
        is_complete: whether the last run reached the end of its period, at every site.
        missing: rows of the last window that were announced and not received.
        rejected: rows of the last window that were rejected.
        doubled: rows of a report too many in the last 31 days: with a key that another row has, too.
        lookbacks: the instants up to which finished syncs have loaded it, by the days that they read again.
    """

    resource: str
    user_id: int | None
    loaded_up_to: datetime | None
    rows: int
    last_read_at: datetime
    is_complete: bool
    missing: int
    rejected: int
    doubled: int
    lookbacks: Mapping[int, datetime] = field(default_factory=dict)

    @property
    def age(self) -> timedelta | None:
        """Time since `loaded_up_to`."""
        return datetime.now(UTC) - self.loaded_up_to if self.loaded_up_to else None

    def age_with(self, lookback_days: int) -> timedelta | None:
        """Time since the instant that finished syncs have come to which read so many days again, or more.

        A dictionary is read whole each time.
        """
        resource = resources()[self.resource]
        if not isinstance(resource, Report) or resource.period == BY_PARENT:
            return self.age
        reached = [moment for days, moment in self.lookbacks.items() if days >= lookback_days]
        return datetime.now(UTC) - max(reached) if reached else None


def read_freshness(destination: AnyDestination, dataset_name: str, schema: Schema | None) -> list[Freshness]:
    """Reads how fresh each resource is that was ever loaded, in two queries; none if nothing was.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        schema: dlt's schema as the last load stored it in the destination; None if nothing was loaded.
    """
    if schema is None or is_missing_file(destination, dataset_name):
        return []
    with dlt.dataset(destination, dataset_name).sql_client as client:
        loaded = [name for name in schema.data_table_names(seen_data_only=True) if name in resources()]
        counts = [_count(client, resources()[name], schema.tables[name]["columns"]) for name in loaded]
        tables = {
            "load_windows": client.make_qualified_table_name(TABLE),
            "loads": client.make_qualified_table_name(schema.loads_table_name),
        }
        has_lookbacks = "lookback_days" in schema.tables.get(TABLE, {}).get("columns", {})
        try:
            query = FRESHNESS.format(**tables, counts=" UNION ALL ".join(counts or [NO_COUNT]))
            found = client.execute_sql(adapt_dates(query, client)) or []
            reached = client.execute_sql(LOOKBACKS.format(**tables)) if has_lookbacks else []
        except DestinationUndefinedEntity:
            return []
    lookbacks: dict[Any, dict[int, datetime]] = {}
    for resource, user_id, days, loaded_up_to in reached or []:
        lookbacks.setdefault((resource, user_id), {})[int(days)] = _known_instant(loaded_up_to)
    return [_freshness(row, lookbacks.get((row[0], row[1]), {})) for row in found if row[0] in resources()]


def _freshness(row: Sequence[Any], lookbacks: Mapping[int, datetime]) -> Freshness:
    resource, user_id, rows, doubled, period_end, last_up_to, missing, rejected, read_at, loaded_up_to = row
    is_complete = last_up_to >= period_end
    return Freshness(
        resource,
        user_id,
        _instant(loaded_up_to),
        rows=rows or 0,
        last_read_at=_known_instant(read_at),
        is_complete=is_complete,
        missing=missing,
        rejected=rejected or 0,
        doubled=int(doubled or 0),
        lookbacks=lookbacks,
    )


def _instant(value: datetime | str | None) -> datetime | None:
    """An instant as the destination returns it; SQLite returns a text without a zone, which is UTC."""
    if not isinstance(value, str):
        return value
    parsed = datetime.fromisoformat(value)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _known_instant(value: datetime | str | None) -> datetime:
    return _instant(value) or datetime.min.replace(tzinfo=UTC)


def _count(client: Any, resource: Resource, columns: Collection[str]) -> str:
    """The query for a table's rows, by client of an agency."""
    has_clients = USER_ID.name in columns and not resource.is_agency_level
    doubled, key = "0", resource.primary_key
    if PARTITION_DATE in columns:
        day = f"CASE WHEN {PARTITION_DATE} >= DATE '{datetime.now(UTC) - timedelta(days=RECENT_DAYS):%Y-%m-%d}' THEN"
        doubled = f"COUNT({day} {key} END) - COUNT(DISTINCT {day} {key} END)"
    return COUNT.format(
        resource=resource.name,
        client=USER_ID.name if has_clients else "CAST(NULL AS BIGINT)",
        doubled=doubled,
        table=client.make_qualified_table_name(resource.name),
        group=f" GROUP BY {USER_ID.name}" if has_clients else "",
    )
