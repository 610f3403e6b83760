"""What a person reads after a load or a check."""

from collections import Counter
from typing import Collection, Dict, Iterable, List, Mapping, Optional, Sequence

from dlt import Pipeline
from dlt.common.pipeline import LoadInfo
from rich.console import Console
from rich.table import Table

from ..api.client import Usage
from ..catalog import LIST, Resource
from ..extract.load_windows import TABLE as LOAD_WINDOWS
from ..extract.progress import Journal
from ..extract.schema import USER_ID, flattened
from ..extract.windows import API_TIME
from ..load.freshness import Status

MARKETERS_QUESTION = """
SELECT
    campaign_name AS campaign,
    COUNT(*) AS calls,
    ROUND(100.0 * SUM(CASE WHEN is_lost THEN 1 ELSE 0 END) / COUNT(*), 1) AS lost_percent,
    ROUND(SUM(talk_duration) / 3600.0, 1) AS talk_hours
FROM {calls}
GROUP BY campaign_name
ORDER BY calls DESC
LIMIT 12
"""
"""Works in DuckDB and in BigQuery."""

DIFFERENCES_SHOWN = 5


def show_load(
    console: Console, journal: Journal, tables: Mapping[str, int], place: str, usage: Usage, seconds: float
) -> None:
    """Shows what was loaded: period, rows a table, where, API calls, what is left of the budget, time, differences."""
    for name, of in journal.passes.items():
        if of.is_dictionary:
            if of.is_complete:
                entries = "1 entry" if of.rows == 1 else f"{of.rows:,} entries"
                console.print(f"[bold]{name}[/bold]: read whole, {entries}", highlight=False)
            continue
        period = f"{of.begin:{API_TIME}} up to {of.end:{API_TIME}}" if of.end > of.begin else "nothing to load"
        console.print(f"\n[bold]{name}[/bold]: {period}, account's time ({of.finished} windows)", highlight=False)
        if of.goes_on:
            console.print("An earlier load of this period had been stopped; this one went on from there.")
        if not of.is_complete:
            console.print(
                f"[yellow]Not finished:[/yellow] it came up to {of.position:{API_TIME}}, "
                f"{of.planned - of.finished} windows are left.",
                highlight=False,
            )
    if tables:
        shown = Table(box=None, pad_edge=False)
        shown.add_column("table")
        shown.add_column("rows", justify="right")
        for table, rows in tables.items():
            shown.add_row(table, f"{rows:,}")
        console.print(shown)
        console.print(f"in {place}", markup=False, highlight=False)
    else:
        console.print("No rows came.")
    console.print(f"{usage.total} API calls{_budget_left(usage)}, {seconds:.1f} s.", highlight=False)
    show_differences(console, journal)


def show_bill(console: Console, billed: Optional[int]) -> None:
    """Shows what the destination billed the run's queries for, where it reports that."""
    if billed is not None:
        console.print(f"BigQuery bills the run's queries as {billed / 2**30:,.2f} GiB.", highlight=False)


def summary_line(journal: Journal) -> str:
    """The load in one line of plain text, for a message to people."""
    return " ".join(
        f"{name}: {of.rows:,} entries."
        if of.is_dictionary
        else f"{name}: {of.rows:,} rows, {of.begin:{API_TIME}} up to {of.position:{API_TIME}}."
        for name, of in journal.passes.items()
    )


def show_status(
    console: Console, found: Sequence[Status], max_age_hours: Optional[float], wanted: Collection[str]
) -> bool:
    """Shows how fresh the destination is; true unless a wanted report is older than it may be, or was never loaded."""
    if not found:
        console.print("Nothing has been loaded yet.")
        return max_age_hours is None
    is_fresh = True
    for name in sorted(set(wanted) - {of.resource for of in found}):
        console.print(f"[bold]{name}[/bold]: never loaded", highlight=False)
        is_fresh &= max_age_hours is None
    for of in found:
        age = of.age()
        hours = age.total_seconds() / 3600 if age else None
        too_old = of.resource in wanted and max_age_hours is not None and (hours is None or hours > max_age_hours)
        is_fresh &= not too_old
        up_to = f"{of.loaded_up_to:{API_TIME}} UTC, {hours:.1f} hours ago" if age else "no moment: only periods by hand"
        result = "came to its end" if of.is_complete else "stopped on the way"
        missing = f", {of.missing:,} announced rows did not come in its last window" if of.missing > 0 else ""
        client = "" if of.user_id is None else f" of client {of.user_id}"
        console.print(f"[bold]{of.resource}[/bold]{client}: loaded up to {up_to}; {of.rows:,} rows", highlight=False)
        console.print(f"  last run: read at {of.last_read_at:{API_TIME}} UTC, {result}{missing}", highlight=False)
        if too_old:
            console.print(f"  [red]older than {max_age_hours:g} hours[/red]", highlight=False)
    return is_fresh


def show_differences(console: Console, journal: Journal) -> None:
    """Warns of windows for which the API announced another number of rows than came."""
    different = journal.differences
    for result in different[:DIFFERENCES_SHOWN]:
        console.print(
            f"[yellow]Warning:[/yellow] {result.resource} {result.window}: the API announced {result.announced:,} rows "
            f"and {result.received:,} came. Load the period again with --since and --until to see whether it stays so.",
            highlight=False,
        )
    if len(different) > DIFFERENCES_SHOWN:
        console.print(
            f"[yellow]Warning:[/yellow] {len(different) - DIFFERENCES_SHOWN} more windows with a difference.",
            highlight=False,
        )


def show_refused(console: Console, journal: Journal, optional: Collection[str]) -> None:
    """Tells of what was not loaded while the rest was: a right or a component lacks, or a client has a fault."""
    for name, of in journal.passes.items():
        if of.stopped and of.stops_itself_alone:
            mark = "Left out" if of.is_refused and of.resource in optional else "Not loaded"
            console.print(f"[yellow]{mark}:[/yellow] {name}. ", end="", highlight=False)
            console.print(str(of.stopped), markup=False, highlight=False)


def show_new_columns(console: Console, columns: Iterable[str]) -> None:
    """Tells of columns that no manual lists: the API sent a new key."""
    for column in columns:
        console.print(
            f"[yellow]New column:[/yellow] {column}, which the API sends although the catalog does not list it.",
            highlight=False,
        )


def show_answer(console: Console, pipeline: Pipeline) -> None:
    """Answers a marketer's question from the loaded calls: calls, lost share and talk time by campaign."""
    with pipeline.sql_client() as client:
        rows = client.execute_sql(MARKETERS_QUESTION.format(calls=client.make_qualified_table_name("calls"))) or []
    table = Table(title="Calls by campaign, all periods loaded", title_justify="left", box=None, pad_edge=False)
    for title in ("campaign", "calls", "lost, %", "talk, hours"):
        table.add_column(title, justify="left" if title == "campaign" else "right")
    for campaign, calls, lost, talk in rows:
        table.add_row(campaign or "(none)", f"{calls:,}", f"{float(lost or 0):.1f}", f"{float(talk or 0):,.1f}")
    console.print()
    console.print(table)


def count_rows(pipeline: Pipeline, tables: Counter[str]) -> None:
    """Adds the rows of the pipeline's last run, by table, without dlt's own tables."""
    trace = pipeline.last_trace
    if trace and trace.last_normalize_info:
        for table, rows in trace.last_normalize_info.row_counts.items():
            if not table.startswith("_dlt") and table != LOAD_WINDOWS:
                tables[table] += rows


def new_columns(info: LoadInfo, of: Sequence[Resource]) -> List[str]:
    """Columns that a load added and the catalog does not know, as `table.column`."""
    known = _known_columns(of)
    added = []
    for package in info.load_packages:
        for table, update in package.schema_update.items():
            for column in update.get("columns", {}):
                if table in known and column not in known[table] and not column.startswith("_dlt"):
                    added.append(f"{table}.{column}")
    return added


def _known_columns(resources: Sequence[Resource]) -> Dict[str, List[str]]:
    known: Dict[str, List[str]] = {}
    for resource in resources:
        known[resource.name] = [
            USER_ID.name,
            *(of.name for of in flattened(resource.fields.values())),
            *resource.computed,
        ]
        for name, of in resource.fields.items():
            if of.type == LIST:
                known[f"{resource.name}__{name}"] = [*of.children, "value"]
    return known


def _budget_left(usage: Usage) -> str:
    left, limit = usage.number("day_remaining"), usage.number("day_limit")
    return "" if left is None or limit is None else f" ({left:,} of {limit:,} left today)"
