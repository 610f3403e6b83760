"""What the pipeline's last load package brought, from dlt's trace."""

from collections import Counter
from functools import cache

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo

from ..catalog import LIST, PARTITION_DATE, resources
from ..extract.accounts import TABLE as ACCOUNTS
from ..extract.load_windows import TABLE as LOAD_WINDOWS
from ..extract.schema import USER_ID, flatten
from ..extract.transform import VARIANT

VARIANT_SUFFIX = VARIANT.format(name="")
RESERVE = 1.5
"""The next load package may take this much longer than the last."""


def row_counts(pipeline: Pipeline) -> Counter[str]:
    """Rows of the last package by table, without bookkeeping."""
    trace = pipeline.last_trace
    counts = trace.last_normalize_info.row_counts if trace and trace.last_normalize_info else {}
    return Counter(
        {
            name: rows
            for name, rows in counts.items()
            if name not in (LOAD_WINDOWS, ACCOUNTS) and not name.startswith("_dlt")
        }
    )


def undocumented_columns(info: LoadInfo) -> list[str]:
    """Columns that a load added and the catalog does not have, as `table.column`: the API sent a new key.

    A child table that the catalog does not have comes alone, without its columns.
    """
    updates = [(table, update) for package in info.load_packages for table, update in package.schema_update.items()]
    new_tables = {table for table, update in updates if _is_stranger(table) and "_dlt_id" in update.get("columns", {})}
    return [
        *sorted(new_tables),
        *(
            f"{table}.{column}"
            for table, update in updates
            for column in update.get("columns", {})
            if (table in _known_columns() or _is_stranger(table))
            and table not in new_tables
            and column not in _known_columns().get(table, [])
            and not column.startswith("_dlt")
            and not column.endswith(VARIANT_SUFFIX)
        ),
    ]


def _is_stranger(table: str) -> bool:
    """True for a child table of a resource that the catalog does not have."""
    return table not in _known_columns() and table.partition("__")[0] in resources()


def finishing_seconds(pipeline: Pipeline) -> float:
    """How long the last package took after it had been read, with a reserve."""
    steps = pipeline.last_trace.steps if pipeline.last_trace else []
    durations = [step.finished_at - step.started_at for step in steps if step.step in ("normalize", "load")]
    return sum(duration.total_seconds() for duration in durations) * RESERVE


@cache
def _known_columns() -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for resource in resources().values():
        known[resource.name] = [
            USER_ID.name,
            *(field.name for field in flatten(resource.fields.values())),
            *resource.computed,
        ]
        for name, field in resource.fields.items():
            if field.type == LIST:
                known[f"{resource.name}__{name}"] = [*field.children, "value", PARTITION_DATE]
    return known
