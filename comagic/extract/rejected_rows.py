"""The table `rejected_rows`: rows without a key or time, which no other table can hold."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import dlt
import pendulum
from dlt.extract import DltResource
from dlt.extract.items import DataItemWithMeta

from ..catalog import Field
from .merge_strategy import merge_by_key
from .rows import RejectedRow
from .schema import ROOT_COLUMNS, columns, describe_columns, table_description
from .windows import Window, to_utc

TABLE = "rejected_rows"

DESCRIPTION = "One row per row of the API that has no key or time; everything else of its resource is loaded."

FIELDS = (
    Field("id", "text", "Key made of the resource and the row's content."),
    Field("resource", "text", "Name of the resource that was read."),
    Field("window_start", "timestamp", "First instant of the window that it came with; null for a dictionary."),
    Field("window_end", "timestamp", "First instant after that window."),
    Field("reason", "text", "What is wrong with the row."),
    Field("content", "text", "The row as JSON; excluded fields are removed, others are pseudonyms."),
    Field("read_at", "timestamp", "When it was read last."),
)


def rejected_rows(
    rejected: Sequence[RejectedRow], resource: str, window: Window | None, zone: tzinfo
) -> DataItemWithMeta:
    """The rows for rejected rows, marked for their table.

    Args:
        rejected: the rejected rows.
        resource: name of their resource.
        window: the window that they came with.
        zone: the account's time zone.
    """
    rows: list[dict[str, Any]] = [
        {
            "id": row.id,
            "resource": resource,
            "window_start": to_utc(window.start, zone) if window else None,
            "window_end": to_utc(window.end, zone) if window else None,
            "reason": row.reason,
            "content": row.content,
            "read_at": pendulum.now("UTC"),
        }
        for row in rejected
    ]
    return dlt.mark.with_table_name(rows, TABLE)


def declare_rejected_rows(resource: DltResource) -> None:
    """Declares the table as another one of a resource that has no hints of its own yet: dlt would copy them."""
    resource.apply_hints(
        table_name=TABLE,
        primary_key="id",
        write_disposition=merge_by_key(False),
        columns={**columns(FIELDS, ("id",)), **describe_columns(ROOT_COLUMNS)},
        additional_table_hints=table_description(DESCRIPTION),
        create_table_variant=True,
    )
