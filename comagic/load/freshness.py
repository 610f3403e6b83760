"""How fresh the destination is, read from the destination itself, so that any machine can check it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ..catalog import resources
from ..extract.load_windows import TABLE
from .destinations import AnyDestination, is_missing_file

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
    latest.period_end,
    latest.loaded_up_to,
    latest.rows_announced - latest.rows_received AS missing,
    latest.rows_rejected,
    latest.read_at,
    incremental.loaded_up_to AS incremental_up_to
FROM latest
LEFT JOIN incremental
    ON incremental.resource = latest.resource AND COALESCE(incremental.user_id, -1) = COALESCE(latest.user_id, -1)
WHERE latest.nth = 1
ORDER BY latest.resource, latest.user_id
"""
"""The last window of each resource and client, and how far incremental runs have come.

Only load packages that ended count: `load_windows` is committed before the merge. Windows that a run with a wrong clock
read in the future count only if there are no others.
"""


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
    """

    resource: str
    user_id: int | None
    loaded_up_to: datetime | None
    rows: int
    last_read_at: datetime
    is_complete: bool
    missing: int
    rejected: int

    @property
    def age(self) -> timedelta | None:
        """Time since `loaded_up_to`."""
        return datetime.now(UTC) - self.loaded_up_to if self.loaded_up_to else None


def read_freshness(destination: AnyDestination, dataset_name: str) -> list[Freshness]:
    """Reads how fresh each resource is that was ever loaded; none if nothing was.

    Args:
        destination: the destination.
        dataset_name: the dataset.
    """
    if is_missing_file(destination, dataset_name):
        return []
    with dlt.dataset(destination, dataset_name).sql_client as client:
        tables = {"load_windows": TABLE, "loads": "_dlt_loads"}
        names = {name: client.make_qualified_table_name(table) for name, table in tables.items()}
        try:
            found = client.execute_sql(FRESHNESS.format(**names)) or []
        except DestinationUndefinedEntity:
            return []
        return [_freshness(row, _count_rows(client, row[0], row[1])) for row in found if row[0] in resources()]


def _freshness(row: Sequence[Any], rows: int) -> Freshness:
    resource, user_id, period_end, last_up_to, missing, rejected, read_at, loaded_up_to = row
    is_complete = last_up_to >= period_end
    return Freshness(resource, user_id, loaded_up_to, rows, read_at, is_complete, missing, rejected or 0)


def _count_rows(client: Any, resource: str, user_id: int | None) -> int:
    """Rows of a resource's table, whose name is the catalog's; none if there is no table yet."""
    table = client.make_qualified_table_name(resource)
    where, values = ("", []) if user_id is None else (" WHERE user_id = %s", [user_id])
    try:
        ((rows,),) = client.execute_sql(f"SELECT COUNT(*) FROM {table}{where}", *values) or [(0,)]  # noqa: S608
    except DestinationUndefinedEntity:
        return 0
    return int(rows)
