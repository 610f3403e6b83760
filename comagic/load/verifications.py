"""The table `verifications`: what each `verify` has found, by report; `status` shows the last of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dlt
import pendulum
from dlt import Schema
from dlt.common.typing import TDataItems
from dlt.extract import DltResource, DltSource

from ..catalog import Field
from ..extract.resources import SOURCE_NAME
from ..extract.schema import ROOT_COLUMNS, columns, describe_columns, table_description
from .destinations import AnyDestination
from .runner import Load
from .verify_results import ReportResult

TABLE = "verifications"
DESCRIPTION = "One row per report and run of the command verify: what the API has, compared with what is loaded."
MAX_DAYS = 100
"""Days that a row names, at most."""

FIELDS = (
    Field("resource", "text", "Name of the report, and of its table."),
    Field("user_id", "bigint", "Client of the agency, where several are loaded; else null."),
    Field("verified_at", "timestamp", "When the comparison ended."),
    Field("period_start", "date", "First day that was compared, in the account's time zone; null: none."),
    Field("period_end", "date", "Last day that was compared."),
    Field("is_deep", "bool", "True if all values were compared, false if counts and keys."),
    Field("is_complete", "bool", "False if an error, a quota or the time limit stopped it."),
    Field("agrees", "bool", "True if the destination has what the API has, after repairs."),
    Field("rows_api", "bigint", "Rows in the API."),
    Field("rows_destination", "bigint", "Rows in the destination."),
    Field("rows_missing", "bigint", "Rows of the API that the destination lacks."),
    Field("rows_extra", "bigint", "Rows of the destination that the API does not have."),
    Field("rows_doubled", "bigint", "Rows with a key that another row has, too."),
    Field("rows_changed", "bigint", "Rows with other values; null if values were not compared."),
    Field("rows_deleted", "bigint", "Rows that were deleted since the API does not have them."),
    Field("days_repaired", "bigint", "Days that were loaded again."),
    Field("days_differing", "bigint", "Days that do not agree."),
    Field("days", "text", f"The first {MAX_DAYS} of these days."),
    Field("requests", "bigint", "API calls that it took."),
)

LAST = """
SELECT resource, user_id, verified_at, period_start, period_end, is_deep, is_complete, agrees, days_differing FROM (
    SELECT v.*, ROW_NUMBER() OVER (PARTITION BY v.resource, v.user_id ORDER BY v.verified_at DESC) AS nth
    FROM {verifications} AS v
    JOIN {loads} AS l ON l.load_id = v._dlt_load_id AND l.status = 0
) AS numbered
WHERE nth = 1
"""
"""The last verification of each resource and client, by load packages that ended."""


@dataclass(frozen=True)
class LastVerification:
    """When a resource was last verified, and what was found; see `FIELDS`."""

    verified_at: datetime
    period_start: date | None
    period_end: date | None
    is_deep: bool
    is_complete: bool
    agrees: bool
    days_differing: int


def last_verifications(
    destination: AnyDestination, dataset_name: str, schema: Schema | None
) -> dict[tuple[str, int | None], LastVerification]:
    """When each resource, and client of an agency, was last verified.

    Args:
        destination: the destination.
        dataset_name: the dataset.
        schema: dlt's schema as the last load stored it in the destination; None if nothing was loaded.
    """
    if schema is None or TABLE not in schema.data_table_names(seen_data_only=True):
        return {}
    with dlt.dataset(destination, dataset_name).sql_client as client:
        query = LAST.format(
            verifications=client.make_qualified_table_name(TABLE),
            loads=client.make_qualified_table_name(schema.loads_table_name),
        )
        found = client.execute_sql(query) or []
    return {(resource, user_id): LastVerification(*values) for resource, user_id, *values in found}


def verification_row(result: ReportResult) -> dict[str, Any]:
    """A row of the table."""
    differing = result.differing
    first, last = result.days_compared
    return {
        "resource": result.resource,
        "user_id": result.user_id,
        "verified_at": pendulum.now("UTC"),
        "period_start": first,
        "period_end": last,
        "is_deep": result.is_deep,
        "is_complete": result.error is None,
        "agrees": result.agrees,
        "rows_api": result.api_rows,
        "rows_destination": result.destination_rows,
        "rows_missing": sum(day.missing for day in differing),
        "rows_extra": sum(day.extra for day in differing),
        "rows_doubled": sum(day.doubled for day in differing),
        "rows_changed": sum(day.changed for day in differing) if result.is_deep else None,
        "rows_deleted": result.deleted,
        "days_repaired": len(result.repaired),
        "days_differing": len(differing),
        "days": ", ".join(str(day.day) for day in differing[:MAX_DAYS]) or None,
        "requests": result.requests,
    }


def make_rows(rows: Sequence[Mapping[str, Any]]) -> DltResource:
    """Makes the dlt resource that appends to the table.

    Args:
        rows: the rows.
    """
    # as for all tables of the dataset: dlt would take text that looks like a time to be one
    dlt.current.source_schema().remove_type_detection("iso_timestamp")

    def verifications() -> Iterator[TDataItems]:
        yield list(rows)

    resource = dlt.resource(verifications, name=TABLE)
    resource.apply_hints(
        table_name=TABLE,
        write_disposition="append",
        columns={**columns(FIELDS), **describe_columns(ROOT_COLUMNS)},
        additional_table_hints=table_description(DESCRIPTION),
    )
    return resource


make_rows_source = dlt.source(make_rows, name=SOURCE_NAME, section=SOURCE_NAME, max_table_nesting=1)


@dataclass
class NotedVerification(Load):
    """A load of nothing but rows of `verifications`: under the lease on the dataset, and with its checks.

    Args:
        rows: the rows.
    """

    rows: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def needed_tables(self) -> Collection[str]:
        """This table alone: the next load is to report others that were dropped."""
        return (TABLE,)

    def _sources(self, *_: object) -> Iterator[DltSource]:
        yield make_rows_source(self.rows)
