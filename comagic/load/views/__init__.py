"""Views over the loaded tables, one SQL file each."""

from pathlib import Path

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ...exceptions import ComagicError
from ..destinations import AnyDestination, is_missing_file

HERE = Path(__file__).parent
EMPTY = {"bigquery": "ARRAY<STRING>[]", "postgres": "ARRAY[]::text[]"}
"""An empty array of texts, by dlt's name of the SQL dialect."""
FIRST_LOOK = "SELECT * FROM {view} LIMIT 0"
"""BigQuery plans a view when it is queried, not when it is created."""
TABLES = {"view": "calls_flat", "calls": "calls", "tags": "calls__tags"}


def create_flat_view(destination: AnyDestination, dataset_name: str) -> str:
    """Creates the view `calls_flat`, or recreates it with the columns that the table has by now.

    Args:
        destination: the destination.
        dataset_name: the dataset.

    Returns:
        The view's full name.

    Raises:
        ComagicError: no calls with tags are loaded yet.
    """
    missing = ComagicError("There is no table of calls, or of their tags, yet: load first, then create the view.")
    if is_missing_file(destination, dataset_name):
        raise missing
    statement = (HERE / "calls_flat.sql").read_text("utf-8")
    with dlt.dataset(destination, dataset_name).sql_client as client:
        names = {name: client.make_qualified_table_name(table) for name, table in TABLES.items()}
        empty = EMPTY.get(str(client.capabilities.sqlglot_dialect), "[]")
        try:
            client.execute_sql(statement.format(**names, empty=empty))
            client.execute_sql(FIRST_LOOK.format(**names))
        except DestinationUndefinedEntity:
            raise missing from None
    return names["view"]
