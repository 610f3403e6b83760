"""What a user reads after a load or from `status`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from rich.console import Console
from rich.table import Table

from ..api.rate_limit import Usage
from ..extract.progress import Progress, Sync
from ..extract.windows import API_TIME
from ..load.destinations import AnyDestination
from ..load.figures import Figures
from ..load.freshness import Freshness
from ..load.runner import Load
from ..load.verifications import LastVerification
from ..load.views import CreatedViews
from ..redaction import mask, one_line, printable

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

CALLS_BY_CAMPAIGN = """
SELECT
    campaign,
    SUM(calls) AS calls,
    100.0 * SUM(missed) / SUM(calls) AS missed_percent,
    100.0 * SUM(target) / SUM(calls) AS target_percent
FROM {sources_daily}
GROUP BY campaign
ORDER BY SUM(calls) DESC
LIMIT 12
"""
"""Works in every destination that has the views."""

MAX_DIFFERENCES = 5
MAX_CLOCK_DIFFERENCE = 60.0
"""Seconds by which the clocks of this machine and the API may differ."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""By how much the clocks of two machines may differ."""


NOT_COUNTED = (
    "{name}: the API sent no rows, and did not say that there are none. Compare with the vendor's web interface; if "
    "there are some, load the period again with --since."
)


def print_summary(load: Load) -> None:
    """Prints what was loaded: periods, rows per table, where, API calls, quota left, time, and all warnings."""
    for name, sync in load.progress.syncs.items():
        _print_sync(name, sync)
    _print_tables(load)
    usage = load.client.usage
    out.print(f"{usage.total} API calls{_quota_left(usage)}, {load.seconds:.1f} s.", highlight=False)
    for warning in warnings(load.progress, usage):
        out.print("[yellow]Warning:[/yellow] ", end="")
        out.print(warning, markup=False, highlight=False)
    if load.billed_bytes is not None:
        out.print(f"BigQuery bills the run's queries as {load.billed_bytes / 2**30:,.2f} GiB.", highlight=False)
    for column in load.new_columns:
        out.print(f"[yellow]New {'column' if '.' in column else 'table'}:[/yellow] ", end="")
        out.print(
            f"{printable(column)}, which the API sends although it is not documented.", markup=False, highlight=False
        )
    _print_skipped(load.progress, load.optional_resources)
    if load.views:
        _print_refreshed(load.views)


def _print_refreshed(views: CreatedViews) -> None:
    """Reports in few lines what became of the views after a load."""
    out.print(f"Views: {', '.join(views.created) or 'none'}.", highlight=False)
    if views.left_out:
        out.print(f"Without a view, since a table is not loaded: {', '.join(views.left_out)}.", highlight=False)
    for name, error in views.failed.items():
        out.print("[yellow]Warning:[/yellow] ", end="")
        out.print(f"The view {name} was not created: {one_line(mask(error))}", markup=False, highlight=False)


def warnings(progress: Progress, usage: Usage) -> list[str]:
    """What a load noticed and loaded all the same, for the summary and notifications."""
    found = list(progress.warnings)
    differences = progress.differences
    for result in differences[:MAX_DIFFERENCES]:
        found.append(
            f"{result.resource} {result.window}: the API announced {result.announced:,} rows and sent "
            f"{result.received:,}. Load the period again with --since and --until to see whether that changes."
        )
    if len(differences) > MAX_DIFFERENCES:
        found.append(f"{len(differences) - MAX_DIFFERENCES} more windows with a difference.")
    found += [NOT_COUNTED.format(name=name) for name in progress.uncounted]
    for name, sync in progress.syncs.items():
        counts = (
            [f"{sync.rejected:,} rows without a key or time are in the table rejected_rows"] if sync.rejected else []
        )
        if sync.misfits:
            counts.append(f"{sync.misfits:,} values do not fit their column and are in columns named field__v_text")
        if counts:
            found.append(f"{name}: {', '.join(counts)}: {'; '.join(sync.problems)}.")
    if strangers := progress.strangers:
        first, rows = strangers[0], sum(result.outside for result in strangers)
        found.append(
            f"{first.resource} {first.window}: the API sent rows of other times than were requested, {rows:,} in all "
            f"{len(strangers):,} such windows. They are not loaded; ask the vendor, since it may have answered another "
            "question than was asked."
        )
    if abs(usage.clock_difference) > MAX_CLOCK_DIFFERENCE:
        found.append(
            f"The API's clock differs from this machine's by {usage.clock_difference:+,.0f} seconds. Set this "
            "machine's clock: the period of a load ends at its present time."
        )
    if usage.repairs:
        found.append(
            f"{usage.repairs:,} characters or numbers in responses are not valid JSON, or mark types in dlt's files; "
            "they were replaced by U+FFFD or null."
        )
    return [one_line(mask(warning)) for warning in found]


def summary_line(progress: Progress) -> str:
    """The load in one line of plain text, for a notification."""
    return " ".join(
        f"{name}: {sync.rows:,} entries."
        if sync.is_dictionary
        else f"{name}: {sync.rows:,} rows, {sync.start:{API_TIME}} up to {sync.position:{API_TIME}}."
        for name, sync in progress.syncs.items()
    )


def print_freshness(
    found: Sequence[Freshness],
    max_age: timedelta | None,
    lookback_days: int | None,
    wanted: Collection[str],
    verified: Mapping[tuple[str, int | None], LastVerification] | None = None,
) -> bool:
    """Prints how fresh the destination is, and when it was last verified.

    Returns:
        True unless a wanted report is older than it may be, or was never loaded.
    """
    if not found:
        out.print("Nothing has been loaded yet.")
        return max_age is None
    is_fresh = True
    for name in sorted(set(wanted) - {report.resource for report in found}):
        out.print(f"[bold]{name}[/bold]: never loaded", highlight=False)
        is_fresh &= max_age is None
    for report in found:
        _print_report(report)
        if last := (verified or {}).get((report.resource, report.user_id)):
            _print_verified(last)
        problem = _staleness(report, max_age, lookback_days) if report.resource in wanted else ""
        if report.doubled:
            problem = (
                f"{report.doubled:,} rows of the last days have a key that another row has, too: is something else "
                f"writing into the table? Delete one of each, or load them again after deleting both"
            )
        if problem:
            out.print(f"  [red]{problem}[/red]", highlight=False)
            is_fresh = False
    return is_fresh


def print_views(views: CreatedViews) -> bool:
    """Prints what became of the views.

    Returns:
        True unless the destination did not accept one.
    """
    for full_name in views.created.values():
        out.print(f"Created {full_name}", markup=False, highlight=False)
    for name, reason in views.left_out.items():
        out.print(f"Left out {name}: {reason}", markup=False, highlight=False)
    for name, error in views.failed.items():
        err.print("Error:", style="red", end=" ")
        err.print(f"{name}: {one_line(mask(error))}", markup=False, highlight=False)
    return not views.failed


def print_report(figures: Figures, output: str) -> None:
    """Prints where a report is and what it is about."""
    period = f"{figures.days.since} to {figures.days.until}"
    out.print(
        f"Wrote {_place(output)}: {figures.totals['calls'] or 0:,} calls, {period}.", markup=False, highlight=False
    )
    for part, one in figures.left_out.items():
        reason = {"columns": "not loaded: ", "tables": "not loaded: "}.get(one.reason, f"no {one.reason}")
        out.print(f"Left out {part}: {reason}{', '.join(one.names)}", markup=False, highlight=False)


def _place(output: str) -> str:
    """The full path of a file, so that it can be opened; an address as it is."""
    return output if "://" in output else str(Path(output).absolute())


def _staleness(report: Freshness, max_age: timedelta | None, lookback_days: int | None) -> str:
    """Why a resource is not fresh; empty if it is. Data from the future is never fresh: a clock is wrong."""
    if max_age is None:
        return ""
    with_lookback = f" with a lookback of {lookback_days} days" if lookback_days else ""
    age = report.age_with(lookback_days) if lookback_days else report.age
    if age is None:
        return f"no finished run{with_lookback} yet" if report.age else "no incremental run yet"
    if age < -CLOCK_TOLERANCE:
        return "loaded up to a time in the future: the clock of this machine, or of the one that loaded, is wrong"
    return f"older than {_duration(max_age)}{with_lookback}" if age > max_age else ""


def _duration(length: timedelta) -> str:
    """`90 minutes`, `26 hours`."""
    minutes = length.total_seconds() / 60
    return f"{minutes:g} minutes" if minutes % 60 and minutes < 600 else f"{minutes / 60:g} hours"


def print_calls_by_campaign(destination: AnyDestination, dataset_name: str) -> None:
    """Answers a marketer's question from a view: calls, and shares of missed and of target ones, by campaign."""
    with dlt.dataset(destination, dataset_name).sql_client as client:
        view = client.make_qualified_table_name("sources_daily")
        rows: Any = client.execute_sql(CALLS_BY_CAMPAIGN.format(sources_daily=view))
    table = Table(title="Calls by campaign, all periods loaded", title_justify="left", box=None, pad_edge=False)
    for title in ("campaign", "calls", "missed, %", "target, %"):
        table.add_column(title, justify="left" if title == "campaign" else "right")
    for campaign, calls, missed, target in rows or []:
        table.add_row(campaign or "(none)", f"{int(calls):,}", f"{float(missed or 0):.1f}", f"{float(target or 0):.1f}")
    out.print()
    out.print(table)


def _print_sync(name: str, sync: Sync) -> None:
    if sync.is_dictionary:
        if sync.is_complete:
            out.print(f"[bold]{name}[/bold]: read whole, {sync.entries}", highlight=False)
        return
    if sync.error and sync.end <= sync.start:  # it stopped before its period was known
        return
    period = f"{sync.start:{API_TIME}} up to {sync.end:{API_TIME}}" if sync.end > sync.start else "nothing to load"
    out.print(f"\n[bold]{name}[/bold]: {period}, account's time ({sync.finished} windows)", highlight=False)
    if sync.is_resumed:
        out.print("An earlier load of this period had stopped; this one resumed it.")
    if sync.is_paused:
        out.print(
            f"Loaded up to {sync.position:{API_TIME}}; {sync.planned - sync.finished} days are left to the next runs "
            "(setting day_requests).",
            highlight=False,
        )
    elif not sync.is_complete:
        out.print(
            f"[yellow]Not finished:[/yellow] loaded up to {sync.position:{API_TIME}}, "
            f"{sync.planned - sync.finished} windows are left.",
            highlight=False,
        )


def _print_tables(load: Load) -> None:
    if not load.tables:
        out.print("No rows were loaded.")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("table")
    table.add_column("rows", justify="right")
    for name, rows in load.tables.items():
        table.add_row(name, f"{rows:,}")
    out.print(table)
    out.print(f"in {load.place}", markup=False, highlight=False)


def _print_skipped(progress: Progress, optional: Collection[str]) -> None:
    """Reports what was not loaded while the rest was: a permission or component is missing, or a client has errors."""
    for name, sync in progress.syncs.items():
        if sync.error and sync.stops_alone:
            title = "Skipped" if sync.is_unavailable and sync.resource in optional else "Not loaded"
            out.print(f"[yellow]{title}:[/yellow] {name}. ", end="", highlight=False)
            out.print(str(sync.error), markup=False, highlight=False)


def _print_report(report: Freshness) -> None:
    client = "" if report.user_id is None else f" of client {report.user_id}"
    up_to = "no incremental run yet"
    if report.loaded_up_to:
        up_to = f"loaded up to {report.loaded_up_to:{API_TIME}} UTC, {_hours_since(report.loaded_up_to):.1f} hours ago"
    out.print(f"[bold]{report.resource}[/bold]{client}: {up_to}; {report.rows:,} rows", highlight=False)
    notes = ["reached its end" if report.is_complete else "stopped before its end"]
    if report.missing > 0:
        notes.append(f"{report.missing:,} announced rows of its last window are missing")
    if report.rejected:
        notes.append(f"{report.rejected:,} rows of its last window were rejected")
    if len(report.lookbacks) > 1:
        ages = [
            f"{days} {'day' if days == 1 else 'days'} {_hours_since(moment):.1f} hours ago"
            for days, moment in sorted(report.lookbacks.items(), reverse=True)
        ]
        out.print(f"  lookback of finished runs: {', '.join(ages)}", highlight=False)
    out.print(f"  last run: read at {report.last_read_at:{API_TIME}} UTC, {', '.join(notes)}", highlight=False)


def _hours_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds() / 3600


def _print_verified(last: LastVerification) -> None:
    compared = "values" if last.is_deep else "counts"
    period = f"{compared} of {last.period_start} .. {last.period_end}" if last.period_start else "nothing to compare"
    found = "all agrees" if last.agrees else f"{last.days_differing:,} days differ"
    if not last.is_complete:
        found = f"stopped before its end; {last.days_differing:,} days differ"
    out.print(f"  last verified: at {last.verified_at:{API_TIME}} UTC, {period}: {found}", highlight=False)


def _quota_left(usage: Usage) -> str:
    found = []
    for span, when in (("day", "today"), ("hour", "this hour")):
        left, limit = usage.limit(f"{span}_remaining"), usage.limit(f"{span}_limit")
        if left is not None and limit is not None:
            found.append(f"{left:,} of {limit:,} left {when}")
    return f" ({', '.join(found)})" if found else ""
