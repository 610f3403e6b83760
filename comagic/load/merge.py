"""What a load adds to dlt's merges, in any destination: no merge without the lease, and each staged key is looked up.

Both are done by dlt's own job client, in a subclass: before a table's merge starts, and before dlt notes that the load
package ended. A package that fails here does not count: not in `status`, and its cursor is not restored.
"""

import ctypes
import sys
from contextlib import suppress
from typing import Any

import pyarrow
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.job_client_impl import SqlJobClientBase

from ..exceptions import MergeError
from ..extract.load_windows import TABLE as LOAD_WINDOWS
from .destinations import AnyDestination
from .lease import Lease

STAGED_DAYS = "SELECT MIN(partition_date), MAX(partition_date) FROM {staged}"

STAGED_KEYS = """
WITH staged AS (
    SELECT {keys}, COUNT(*) AS copies FROM {staged} WHERE _dlt_load_id = '{load_id}' GROUP BY {keys}
),
found AS (
    SELECT {staged_keys}, MAX(staged.copies) AS copies, COUNT(loaded._dlt_id) AS matches
    FROM staged LEFT JOIN {loaded} AS loaded ON {same_key}{bounds}
    GROUP BY {staged_keys}
)
SELECT
    COALESCE(SUM(copies), 0),
    COALESCE(SUM(CASE WHEN matches = 0 THEN 1 ELSE 0 END), 0),
    COALESCE(SUM(CASE WHEN matches > 1 THEN 1 ELSE 0 END), 0),
    (SELECT COALESCE(SUM(rows_loaded), 0) FROM {load_windows} WHERE resource = '{table}' AND _dlt_load_id = '{load_id}')
FROM found
"""
"""Rows staged, keys missing in the table, keys there more than once, rows handed to dlt."""


def guard_merges(destination: AnyDestination, lease: Lease) -> None:
    """Makes a destination check each merge: before it the lease, after it every staged key.

    Args:
        destination: the destination; its job client becomes a subclass of dlt's.
        lease: raises an error if the lease on the dataset is lost.
    """
    kind: Any = type(destination)
    client_class: Any = destination.client_class
    if not issubclass(client_class, SqlJobClientBase):
        return

    class Client(client_class):  # type: ignore[misc]
        def create_table_chain_completed_followup_jobs(self, table_chain: Any, *args: Any, **kwargs: Any) -> Any:
            lease()
            release_memory()
            return super().create_table_chain_completed_followup_jobs(table_chain, *args, **kwargs)

        def complete_load(self, load_id: str) -> None:
            lease()
            for table in _merged_tables(self, load_id):
                check_merge(self, table, load_id)
            super().complete_load(load_id)

    class Guarded(kind):  # type: ignore[misc]
        destination_type = destination.destination_type
        client_class = Client

    destination.__class__ = Guarded


def release_memory() -> None:
    """Returns to the system what was freed: 70 to 130 MB after dlt has normalized, when the merge needs as much."""
    pyarrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with suppress(AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def _merged_tables(client: Any, load_id: str) -> list[str]:
    """Root tables that the load package merged."""
    windows = client.sql_client.make_qualified_table_name(LOAD_WINDOWS)
    try:
        rows = client.sql_client.execute_sql(
            f"SELECT DISTINCT resource FROM {windows} WHERE _dlt_load_id = '{load_id}' AND rows_loaded > 0"  # noqa: S608
        )
    except DestinationUndefinedEntity:  # nothing was read yet
        return []
    tables = client.schema.tables
    return [name for (name,) in rows if tables.get(name, {}).get("write_disposition") == "merge"]


def check_merge(client: Any, table: str, load_id: str) -> None:
    """Looks up every staged key of a table: it has to be there once.

    dlt keeps staged rows until the next load. They are counted, too: as many as were read have to have been staged.

    Args:
        client: dlt's job client, connected.
        table: name of the table.
        load_id: the load package.

    Raises:
        MergeError: a key is missing or there more than once, or rows were not staged.
    """
    sql = client.sql_client
    columns = client.schema.tables[table]["columns"]
    keys = [sql.escape_column_name(name) for name, column in columns.items() if column.get("primary_key")]
    with sql.with_staging_dataset():
        staged = sql.make_qualified_table_name(table)
    bounds = ""
    if "partition_date" in columns:
        first, last = sql.execute_sql(STAGED_DAYS.format(staged=staged))[0]
        if first:
            bounds = f" AND loaded.partition_date BETWEEN DATE '{first}' AND DATE '{last}'"
    query = STAGED_KEYS.format(
        keys=", ".join(keys),
        staged_keys=", ".join(f"staged.{key}" for key in keys),
        same_key=" AND ".join(f"loaded.{key} = staged.{key}" for key in keys),
        staged=staged,
        loaded=sql.make_qualified_table_name(table),
        load_windows=sql.make_qualified_table_name(LOAD_WINDOWS),
        bounds=bounds,
        table=table,
        load_id=load_id,
    )
    count, missing, doubled, read = (int(value) for value in sql.execute_sql(query)[0])
    problems = [f"{missing:,} of their keys are missing"] * bool(missing)
    problems += [f"{doubled:,} of their keys are there more than once"] * bool(doubled)
    problems += [f"{read:,} rows were read and {count:,} staged"] * (count != read)
    if problems:
        raise MergeError(
            f"The merge into {table} is wrong: {', '.join(problems)}. Did another program change the dataset or its "
            "staging dataset? The next load reads these rows again."
        )
