"""The table `load_windows`: what was read, window by window, in the same load package as the rows.

It proves completeness in SQL: for each window the rows that the API announced, those that came, and those that were
handed to the report's table, where they can be counted. `status` reads it, too.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

import dlt
import pendulum
from dlt.extract import DltResource
from dlt.extract.items import DataItemWithMeta

from ..catalog import Field
from .reader import DictionaryResult, WindowResult
from .rows import RejectedRow
from .schema import ROOT_COLUMNS, columns, describe_columns, table_description
from .transform import MAX_PROBLEMS, Misfits
from .windows import to_utc

TABLE = "load_windows"

SHAPE = 4
"""Number of the shape of datasets that this release loads; see `comagic.load.shape`."""
SHAPE_HINT = "x-comagic-shape"
"""Hint of this table in dlt's schema, which carries the number."""

DESCRIPTION = "One row per window of time, or dictionary, read from the API; _dlt_load_id is its load package."

FIELDS = (
    Field("resource", "text", "Name of the resource that was read, and of its table."),
    Field("window_start", "timestamp", "First instant of the window; null for a dictionary."),
    Field("window_end", "timestamp", "First instant after the window."),
    Field("user_id", "bigint", "Client of the agency, where several are loaded; else null."),
    Field("site_id", "bigint", "Site that was requested, where a report is read site by site; else null."),
    Field("rows_announced", "bigint", "Rows that the API announced; the request has a second more on either side."),
    Field(
        "rows_received", "bigint", "Different rows received for that request; fewer than announced: some are missing."
    ),
    Field("rows_loaded", "bigint", "Rows of the window itself, each handed once to the resource's table."),
    Field("rows_rejected", "bigint", "Rows without a key or time; they are in rejected_rows."),
    Field("values_not_converted", "bigint", "Values that do not fit their column; they are in columns named __v_text."),
    Field("problems", "text", "The first of these rows and values, with field and id."),
    Field("requests", "bigint", "API calls that the window took."),
    Field("read_at", "timestamp", "When the window had been read."),
    Field("run_started_at", "timestamp", "When the run began that read it; null for loads by your own code."),
    Field("read_seconds", "double", "Seconds that reading it took."),
    Field("loaded_up_to", "timestamp", "Instant up to which all is loaded, other sites included."),
    Field(
        "period_end", "timestamp", "End of the period that the run was to load; equal to loaded_up_to if it got there."
    ),
    Field("is_incremental", "bool", "False for a period of a report that was loaded with --since, else true."),
    Field("lookback_days", "bigint", "Days before the last run that the sync read again; else null."),
)


def load_window(
    result: WindowResult,
    misfits: Misfits,
    period_end: datetime,
    is_incremental: bool,
    zone: tzinfo,
    run_started_at: datetime | None = None,
    lookback_days: int | None = None,
) -> DataItemWithMeta:
    """The row of a finished window, marked for its table.

    Args:
        result: the window.
        misfits: values of the window that do not fit their columns.
        period_end: local time at which the period ends.
        is_incremental: whether the run is incremental.
        zone: the account's time zone.
        run_started_at: when the run began, if that is known.
        lookback_days: the lookback of an incremental sync.
    """
    row: dict[str, Any] = {
        "resource": result.resource,
        "window_start": to_utc(result.window.start, zone),
        "window_end": to_utc(result.window.end, zone),
        **result.parameters,
        "rows_announced": result.announced,
        "rows_received": result.received,
        "rows_loaded": result.loaded,
        **_problems(result.rejected, misfits),
        "requests": result.requests,
        "read_at": pendulum.now("UTC"),
        "run_started_at": run_started_at,
        "read_seconds": round(result.seconds, 3),
        "loaded_up_to": to_utc(result.reached, zone),
        "period_end": to_utc(period_end, zone),
        "is_incremental": is_incremental,
        "lookback_days": lookback_days if is_incremental else None,
    }
    return dlt.mark.with_table_name(row, TABLE)


def load_dictionary(
    resource: str, result: DictionaryResult, misfits: Misfits, run_started_at: datetime | None = None
) -> DataItemWithMeta:
    """The row of a dictionary that was read whole, marked for its table.

    Args:
        resource: name of the dictionary.
        result: its entries.
        misfits: values that do not fit their columns.
        run_started_at: when the run began, if that is known.
    """
    row: dict[str, Any] = {
        "resource": resource,
        **result.parameters,
        "rows_announced": result.received,
        "rows_received": result.received,
        "rows_loaded": len(result.rows),
        **_problems(result.rejected, misfits),
        "requests": result.requests,
        "read_at": result.read_at,
        "run_started_at": run_started_at,
        "read_seconds": round(result.seconds, 3),
        "loaded_up_to": result.read_at,
        "period_end": result.read_at,
        "is_incremental": True,
    }
    return dlt.mark.with_table_name(row, TABLE)


def _problems(rejected: Sequence[RejectedRow], misfits: Misfits) -> dict[str, Any]:
    first = [*(row.reason for row in rejected[:MAX_PROBLEMS]), *map(str, misfits.first)][:MAX_PROBLEMS]
    return {
        "rows_rejected": len(rejected),
        "values_not_converted": misfits.number,
        "problems": "; ".join(first) or None,
    }


def declare_load_windows(resource: DltResource) -> None:
    """Declares the table as a second one of a resource that has no hints of its own yet: dlt would copy them."""
    resource.apply_hints(
        table_name=TABLE,
        write_disposition="append",
        columns={**columns(FIELDS), **describe_columns(ROOT_COLUMNS)},
        additional_table_hints={**table_description(DESCRIPTION), SHAPE_HINT: SHAPE},
        create_table_variant=True,
    )
