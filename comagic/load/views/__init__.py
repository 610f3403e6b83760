"""The flat shape that people come with: one row a call, the names of its tags in an array."""

from typing import Any

import dlt
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ...exceptions import ComagicError
from ..destinations import is_file_to_be

TABLES = {"view": "calls_flat", "calls": "calls", "tags": "calls__tags"}

STATEMENT = """
CREATE OR REPLACE VIEW {view} AS
SELECT
    calls.*,
    ARRAY(
        SELECT tags.tag_name FROM {tags} AS tags
        WHERE tags._dlt_root_id = calls._dlt_id AND tags.tag_name IS NOT NULL
        ORDER BY tags._dlt_list_idx
    ) AS tags
FROM {calls} AS calls
"""
"""Works in DuckDB and in BigQuery."""


def create_flat_view(destination: Destination[Any, Any], dataset_name: str) -> str:
    """Makes the view, or makes it anew with the columns that the table has by now.

    Args:
        destination: the destination.
        dataset_name: the dataset.

    Returns:
        The view's full name.

    Raises:
        ComagicError: there are no calls with tags yet, so there is nothing to see.
    """
    nothing = ComagicError("There is no table of calls, or none of their tags, yet: load first, then make the view.")
    if is_file_to_be(destination, dataset_name):
        raise nothing
    with dlt.dataset(destination, dataset_name).sql_client as client:
        named = {name: client.make_qualified_table_name(table) for name, table in TABLES.items()}
        try:
            client.execute_sql(STATEMENT.format(**named))
        except DestinationUndefinedEntity:
            raise nothing from None
    return named["view"]
