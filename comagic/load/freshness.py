"""How fresh the destination is, read from the destination itself, so that any machine can check it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ..extract.load_windows import TABLE
from .destinations import AnyDestination, is_missing_file

FRESHNESS = """
SELECT
    resource,
    user_id,
    MAX(CASE WHEN is_incremental THEN window_end END) AS loaded_up_to,
    MAX(read_at) AS last_read_at
FROM {load_windows}
GROUP BY resource, user_id
ORDER BY resource, user_id
"""
LAST_WINDOW = """
SELECT window_end, period_end, rows_announced, rows_received
FROM {load_windows}
WHERE resource = '{resource}' AND {client_filter}
ORDER BY read_at DESC
LIMIT 1
"""


@dataclass(frozen=True)
class Freshness:
    """How fresh one report is.

    Attributes:
        resource: its name.
        user_id: the client of an agency, where several are loaded.
        loaded_up_to: the instant up to which incremental runs have loaded it; None if there was none.
        rows: rows of its table.
        last_read_at: when the last window was read.
        is_complete: whether the last run reached the end of its period.
        missing: rows of the last window that were announced and not received.
    """

    resource: str
    user_id: int | None
    loaded_up_to: datetime | None
    rows: int
    last_read_at: datetime
    is_complete: bool
    missing: int

    @property
    def age(self) -> timedelta | None:
        """Time since `loaded_up_to`."""
        return datetime.now(UTC) - self.loaded_up_to if self.loaded_up_to else None


def read_freshness(destination: AnyDestination, dataset_name: str) -> list[Freshness]:
    """Reads how fresh each report is that was ever loaded; none if nothing was.

    Args:
        destination: the destination.
        dataset_name: the dataset.
    """
    found = []
    if is_missing_file(destination, dataset_name):
        return []
    with dlt.dataset(destination, dataset_name).sql_client as client:
        windows = client.make_qualified_table_name(TABLE)
        try:
            freshness = client.execute_sql(FRESHNESS.format(load_windows=windows)) or []
        except DestinationUndefinedEntity:
            return []
        for resource, user_id, loaded_up_to, last_read_at in freshness:
            client_filter = "user_id IS NULL" if user_id is None else f"user_id = {user_id}"
            last_window = LAST_WINDOW.format(load_windows=windows, resource=resource, client_filter=client_filter)
            ((window_end, period_end, announced, received), *_) = client.execute_sql(last_window) or []
            table = client.make_qualified_table_name(resource)
            where = "" if user_id is None else f" WHERE {client_filter}"
            ((rows,),) = client.execute_sql(f"SELECT COUNT(*) FROM {table}{where}") or []  # noqa: S608
            is_complete, missing = window_end >= period_end, announced - received
            found.append(Freshness(resource, user_id, loaded_up_to, rows, last_read_at, is_complete, missing))
    return found
