"""How a destination can merge rows by their key: dlt's strategies, from the destination's capabilities.

| strategy | for readers |
| --- | --- |
| `upsert` | one MERGE a table: no reader sees a row missing |
| `delete-insert` | a DELETE and an INSERT a table: without transactions, a reader between them sees a hole |

A destination with neither appends, and says nothing: each load would add the rows of the lookback again.
"""

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.exceptions import DestinationCapabilitiesException
from dlt.common.destination.utils import resolve_merge_strategy
from dlt.common.schema.typing import TLoaderMergeStrategy
from dlt.common.schema.utils import new_table

from ..exceptions import ConfigurationError

UPSERT: TLoaderMergeStrategy = "upsert"
DELETE_INSERT: TLoaderMergeStrategy = "delete-insert"


def choose_strategy(capabilities: DestinationCapabilitiesContext | None = None) -> TLoaderMergeStrategy | None:
    """Returns how rows are merged: by `upsert`, else by `delete-insert`; None if the destination can do neither.

    Args:
        capabilities: what the destination can do; None for that of the active pipeline, without one an `upsert`.
    """
    known = capabilities or _current_capabilities()
    return next((one for one in (UPSERT, DELETE_INSERT) if known is None or _can(one, known)), None)


def can_merge(capabilities: DestinationCapabilitiesContext) -> bool:
    """True if a destination can merge all reports: by their key, and by days that are replaced whole."""
    return choose_strategy(capabilities) is not None and _can(DELETE_INSERT, capabilities)


def merge_by_key(skip_unchanged_rows: bool) -> Any:
    """Returns dlt's write disposition for rows that are merged by their key.

    `upsert` where the destination has it: no reader sees a hole, and a crash between two statements leaves none, where
    a `delete-insert` that died in between left 0 of 5 rows. It wants each key once in a load package, which
    `WindowReader` ensures. What the statements cost: docs/bigquery.md, Cost.

    Args:
        skip_unchanged_rows: leave rows alone that are the same; a `delete-insert` writes all.
    """
    if choose_strategy() == DELETE_INSERT:
        return replace_by_key()
    return {"disposition": "merge", "strategy": UPSERT, "skip_unchanged_rows": skip_unchanged_rows}


def replace_by_key() -> Any:
    """Returns dlt's write disposition for rows of which all with the same merge key are replaced."""
    return {"disposition": "merge", "strategy": DELETE_INSERT}


def check_can_merge(write_disposition: Any) -> None:
    """Checks, before a request is made, that the pipeline that runs can merge as a resource declares it.

    Args:
        write_disposition: what `merge_by_key` or `replace_by_key` returned.

    Raises:
        ConfigurationError: its destination cannot, and would append or fail after everything was read.
    """
    known = _current_capabilities()
    strategy = write_disposition["strategy"]
    if known is None or _can(strategy, known):
        return
    able = choose_strategy(known)
    raise ConfigurationError(
        f"The destination cannot merge by {strategy}. Create the pipeline before the source, which then uses {able}."
        if able
        else "The destination cannot merge rows by their key: each load would add them again. Load into another one: "
        "docs/destinations.md."
    )


def _can(strategy: TLoaderMergeStrategy, capabilities: DestinationCapabilitiesContext) -> bool:
    table = new_table("calls", write_disposition="merge")
    table["x-merge-strategy"] = strategy  # type: ignore[typeddict-unknown-key]
    try:
        return resolve_merge_strategy({"calls": table}, table, capabilities) is not None
    except DestinationCapabilitiesException:
        return False


def _current_capabilities() -> DestinationCapabilitiesContext | None:
    if DestinationCapabilitiesContext not in Container():
        return None
    return Container()[DestinationCapabilitiesContext]
