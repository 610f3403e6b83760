"""What a load adds to dlt's merges, in any destination, by dlt's own job client in a subclass.

- No merge without the lease on the dataset.
- What was not requested stays as it is in the destination.
- What was read whole and did not come is deleted.
- Each staged key is looked up before dlt notes that the load package ended. A package that fails here does not count:
  not in `status`, and its cursor is not restored.

In BigQuery nothing is merged before everything is staged; see `bigquery_merge`.
"""

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from dlt.destinations.job_client_impl import SqlJobClientBase

from ..catalog import PARTITION_DATE
from ..exceptions import MergeError
from ..extract.manifest import Manifest, current_manifests
from .bounds import delete_with_lists, in_days_of, in_scopes, near_days
from .destinations import BIGQUERY, DUCKDB, POSTGRES, AnyDestination
from .dialects import adapt_dates
from .lease import Lease
from .postgres import create_indexes

STAGED_KEYS = """
SELECT
    '{table}' AS resource,
    COALESCE(SUM(copies), 0) AS copies,
    COALESCE(SUM(CASE WHEN matches = 0 THEN 1 ELSE 0 END), 0) AS missing,
    COALESCE(SUM(CASE WHEN matches > 1 THEN 1 ELSE 0 END), 0) AS doubled
FROM (
    SELECT {staged_keys}, MAX(staged.copies) AS copies, COUNT(loaded._dlt_id) AS matches
    FROM (
        SELECT {keys}, COUNT(*) AS copies FROM {staged} WHERE _dlt_load_id = '{load_id}' GROUP BY {keys}
    ) AS staged
    LEFT JOIN {loaded} AS loaded ON {same_key}{bounds}
    GROUP BY {staged_keys}
) AS found
"""
"""Rows staged, keys missing in the table, keys there more than once."""


@contextmanager
def guard_merges(destination: AnyDestination, lease: Lease) -> Iterator[None]:
    """Makes a destination check each merge: before it the lease, after it every staged key. BigQuery's does so itself.

    Args:
        destination: the destination; its job client becomes a subclass of dlt's.
        lease: raises an error if the lease on the dataset is lost.
    """
    kind: Any = type(destination)
    client_class: Any = destination.client_class
    if destination.destination_type == BIGQUERY or not issubclass(client_class, SqlJobClientBase):
        yield
        return
    held = ExitStack()  # a DuckDB file is open while a package is loaded: to open and write it costs as much as a job

    class Client(client_class):  # type: ignore[misc]
        def update_stored_schema(self, *args: Any, **kwargs: Any) -> Any:
            if destination.destination_type == DUCKDB:
                held.close()
                pool = self.sql_client.credentials.conn_pool
                held.callback(pool.return_conn, pool.borrow_conn())
            return super().update_stored_schema(*args, **kwargs)

        def create_table_chain_completed_followup_jobs(self, table_chain: Any, *args: Any, **kwargs: Any) -> Any:
            lease()
            release_memory()
            return super().create_table_chain_completed_followup_jobs(requested_part(table_chain), *args, **kwargs)

        def complete_load(self, load_id: str) -> None:
            lease()
            manifests = current_manifests()
            delete_absent(self, manifests, load_id)
            check_merges(self, manifests, load_id)
            if destination.destination_type == POSTGRES:
                create_indexes(self)
            super().complete_load(load_id)
            held.close()

    class Guarded(kind):  # type: ignore[misc]
        destination_type = destination.destination_type
        client_class = Client

    destination.__class__ = Guarded
    with held:
        yield


def release_memory() -> None:
    """Returns to the system what was freed: 70 to 130 MB after dlt has normalized, when the merge needs as much."""
    if pyarrow := sys.modules.get("pyarrow"):  # not installed with PostgreSQL alone
        pyarrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with suppress(AttributeError):  # a C library other than glibc
            ctypes.CDLL(None).malloc_trim(0)


def requested_part(table_chain: Any) -> Any:
    """A table and its child tables without what the load did not request, where rows are merged one by one.

    A dictionary, and a report of which whole days are replaced, have what was read last.
    """
    root, *children = table_chain
    manifest = current_manifests().get(root["name"])
    if manifest is None or root.get("x-merge-strategy") != "upsert":
        return table_chain
    left = manifest.not_requested
    columns = {name: column for name, column in root["columns"].items() if name not in left}
    lists = {f"{root['name']}__{name}" for name in left}
    return [{**root, "columns": columns}, *(child for child in children if child["name"] not in lists)]


def delete_absent(client: Any, manifests: Mapping[str, Manifest], load_id: str) -> None:
    """Deletes rows that did not come although all that there is was read; see `absent_rows`."""
    statements = absent_rows(client, manifests, load_id)
    if statements:
        with client.sql_client.begin_transaction() if client.capabilities.supports_transactions else nullcontext():
            for statement in statements:
                client.sql_client.execute_sql(adapt_dates(statement, client.sql_client))


def absent_rows(client: Any, manifests: Mapping[str, Manifest], load_id: str) -> list[str]:
    """The statements that delete rows which did not come although all that there is was read.

    They are of an earlier load package.

    Args:
        client: dlt's job client, connected.
        manifests: the load package's manifests by table.
        load_id: the load package.
    """
    sql, tables = client.sql_client, client.schema.data_table_names(seen_data_only=True)
    statements: list[str] = []
    for table, manifest in manifests.items():
        if not manifest.scopes or table not in tables:
            continue
        lists = [
            (sql.make_qualified_table_name(child), PARTITION_DATE in client.schema.tables[child]["columns"])
            for child in tables
            if client.schema.tables[child].get("parent") == table
        ]
        absent = f"{in_scopes(manifest.scopes)} AND _dlt_load_id <> '{load_id}'"
        name, days = sql.make_qualified_table_name(table), in_days_of(manifest.scopes)
        statements += delete_with_lists(name, lists, absent, days)
    return statements


def check_merges(client: Any, manifests: Mapping[str, Manifest], load_id: str) -> None:
    """Looks up every staged key of the merged tables, in one query: it has to be there once.

    Staged rows are there until the next load. They are counted, too: as many as were read have to have been staged.

    Args:
        client: dlt's job client, connected.
        manifests: the load package's manifests by table.
        load_id: the load package.

    Raises:
        MergeError: a key is missing or there more than once, or rows were not staged.
    """
    tables = client.schema.tables
    merged = [
        name
        for name, manifest in manifests.items()
        if manifest.rows and tables.get(name, {}).get("write_disposition") == "merge"
    ]
    if not merged:
        return
    query = "UNION ALL".join(_staged_keys(client, name, manifests[name], load_id) for name in merged)
    for table, *counts in client.sql_client.execute_sql(adapt_dates(query, client.sql_client)):
        copies, missing, doubled = (int(value) for value in counts)
        problems = [f"{missing:,} of their keys are missing"] * bool(missing)
        problems += [f"{doubled:,} of their keys are there more than once"] * bool(doubled)
        read = manifests[table].rows
        problems += [f"{read:,} rows were read and {copies:,} staged"] * (copies < read)
        if problems:
            raise MergeError(
                f"The merge into {table} is wrong: {', '.join(problems)}. Did another program change the dataset or "
                "its staging dataset? The next load reads these rows again."
            )


def _staged_keys(client: Any, table: str, manifest: Manifest, load_id: str) -> str:
    sql, columns = client.sql_client, client.schema.tables[table]["columns"]
    keys = [sql.escape_column_name(name) for name, column in columns.items() if column.get("primary_key")]
    loaded, staged = sql.get_qualified_table_names(table)
    bounds = near_days(manifest.days, "loaded.") if PARTITION_DATE in columns else ""
    return STAGED_KEYS.format(
        table=table,
        keys=", ".join(keys),
        staged_keys=", ".join(f"staged.{key}" for key in keys),
        same_key=" AND ".join(f"loaded.{key} = staged.{key}" for key in keys),
        staged=staged,
        loaded=loaded,
        bounds=f" AND {bounds}" if bounds else "",
        load_id=load_id,
    )
