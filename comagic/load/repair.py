"""Tables and columns that were dropped by hand: dlt would never look for them again, and fail at every load."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from dlt import Pipeline, Schema
from dlt.common.schema.utils import get_root_table, get_write_disposition

from ..catalog import dictionaries, reports
from ..extract.accounts import TABLE as ACCOUNTS
from ..extract.accounts import WRITTEN_KEY
from ..extract.resources import SOURCE_NAME
from ..extract.windows import API_TIME
from .destinations import BIGQUERY, open_client
from .workdir import reset


def restore_missing(
    pipeline: Pipeline,
    schema: Schema | None,
    start: datetime,
    report: Callable[[str], None],
    only: Collection[str] | None = None,
) -> list[str]:
    """Creates again what the dataset and its staging dataset lack of what dlt noted that it created there.

    A report's whole table is read again from its beginning: its cursors are dropped first, so that a load that is
    killed in between does the same again. Values of a column or child table have to be loaded again by the user.

    Args:
        pipeline: the pipeline.
        schema: dlt's schema as the last load stored it in the destination; None if nothing was loaded.
        start: local time from which on reports are loaded.
        report: takes a message for the user.
        only: the tables to look for beside dlt's own; None for all.

    Returns:
        Warnings that name the command which loads the values again.
    """
    if schema is None:
        return []
    with open_client(pipeline.destination, pipeline.dataset_name, schema) as client:
        created = schema.data_table_names(seen_data_only=True)  # dlt creates no table for a list without an element
        created = [name for name in created if only is None or name in only]
        missing = _missing(client, [*created, *schema.dlt_table_names()])
        staged = [name for name in created if get_write_disposition(schema.tables, name) != "append"]
        with client.with_staging_dataset():
            keeps_tables = pipeline.destination.destination_type != BIGQUERY
            staging = _missing(client, staged) if keeps_tables and client.is_storage_initialized() else {}
            if staging:
                client.update_stored_schema(only_tables=list(staging), force=True)
    if not missing:
        return []
    whole = [name for name, columns in missing.items() if not columns and name in reports()]
    roots = {name: str(get_root_table(schema.tables, name)["name"]) for name in missing}
    forgotten = (root for root in roots.values() if root in dictionaries() or root == ACCOUNTS)
    _forget(pipeline, {*whole, *forgotten})
    with open_client(pipeline.destination, pipeline.dataset_name, schema) as client:
        client.update_stored_schema(only_tables=list(missing), force=True)
    listed = ", ".join(f"{name} ({', '.join(columns)})" if columns else name for name, columns in missing.items())
    report(f"The dataset {pipeline.dataset_name} lacked {listed}: created again.")
    if whole:
        report(f"{', '.join(whole)}: read again from the beginning.")
    return [
        f"{name}: values that were dropped by hand are empty. Load them again: load --since {start:{API_TIME}} "
        f"--resource {root}."
        for name, root in roots.items()
        if root in reports() and root not in whole
    ]


def _missing(client: Any, names: Collection[str]) -> dict[str, list[str]]:
    """Missing columns by table; none for a table that is missing whole."""
    missing: dict[str, list[str]] = {}
    is_sensitive = client.capabilities.generates_case_sensitive_identifiers()
    for name, existing in client.get_storage_tables(names):
        lacking = client.schema.get_new_table_columns(name, existing, is_sensitive)
        if lacking:
            missing[name] = [column["name"] for column in lacking] if existing else []
    return missing


def _forget(pipeline: Pipeline, tables: Collection[str]) -> None:
    """Drops the states of reports and dictionaries (cursors, hashes), of all clients, in the destination too."""
    if not tables:
        return
    reset(pipeline)  # a package that an interrupted run left goes on where the dropped rows ended
    pipeline.sync_destination()
    with pipeline.managed_state(extract_state=True) as state:
        source = state.get("sources", {}).get(SOURCE_NAME, {})
        resources = source.get("resources", {})
        if ACCOUNTS in tables:
            source.pop(WRITTEN_KEY, None)
        for name in list(resources):
            if name in tables or name.rpartition("_")[0] in tables:
                del resources[name]
    pipeline.normalize()
    pipeline.load()
