"""How fresh the destination is, asked of the destination itself, so that any machine can ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, List, Optional

import dlt
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ..extract.load_windows import TABLE
from .destinations import is_file_to_be

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
WHERE resource = '{resource}' AND {of_client}
ORDER BY read_at DESC
LIMIT 1
"""


@dataclass(frozen=True)
class Status:
    """What is known of one resource.

    Attributes:
        resource: its name.
        user_id: the client of an agency, where several are loaded.
        loaded_up_to: the instant up to which runs have come that go on from each other; None if there was none.
        rows: rows of its table.
        last_read_at: when the last window was read.
        is_complete: whether the last run came to the end of its period.
        missing: rows of the last window that were announced and did not come.
    """

    resource: str
    user_id: Optional[int]
    loaded_up_to: Optional[datetime]
    rows: int
    last_read_at: datetime
    is_complete: bool
    missing: int

    def age(self) -> Optional[timedelta]:
        """Time since the moment up to which all is loaded."""
        return datetime.now(timezone.utc) - self.loaded_up_to if self.loaded_up_to else None


def statuses(destination: Destination[Any, Any], dataset_name: str) -> List[Status]:
    """The resources that were ever loaded; none if nothing was.

    Args:
        destination: the destination.
        dataset_name: the dataset.
    """
    found = []
    if is_file_to_be(destination, dataset_name):
        return []
    with dlt.dataset(destination, dataset_name).sql_client as client:
        windows = client.make_qualified_table_name(TABLE)
        try:
            freshness = client.execute_sql(FRESHNESS.format(load_windows=windows)) or []
        except DestinationUndefinedEntity:
            return []
        for resource, user_id, loaded_up_to, last_read_at in freshness:
            of_client = "user_id IS NULL" if user_id is None else f"user_id = {user_id}"
            rows_of = "" if user_id is None else f" WHERE {of_client}"
            where = {"load_windows": windows, "resource": resource, "of_client": of_client}
            ((window_end, period_end, announced, received), *_) = client.execute_sql(LAST_WINDOW.format(**where)) or []
            table = client.make_qualified_table_name(resource)
            ((rows,),) = client.execute_sql(f"SELECT COUNT(*) FROM {table}{rows_of}") or []  # noqa: S608
            is_complete, missing = window_end >= period_end, announced - received
            found.append(Status(resource, user_id, loaded_up_to, rows, last_read_at, is_complete, missing))
    return found
