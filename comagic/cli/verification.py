"""What a user, or a program, reads after `verify`."""

import json
from typing import Any

import click
from rich.table import Table

from ..extract.windows import API_TIME
from ..load.verify import Verification
from ..load.verify_results import DayResult, ReportResult
from ..redaction import mask, one_line, printable
from .errors import EXIT_EARLY, EXIT_FAILED, exit_code
from .output import err, out

SHOWN_KEYS = 2
"""Keys of a day's differing rows that are printed, so that a line fits a terminal; the JSON document has five."""
MAX_DAYS = 50
"""Differing days of a report that are printed; the JSON document has all."""


def print_verification(verification: Verification, is_json: bool) -> None:
    """Prints what was found.

    Args:
        verification: a verification that has ended.
        is_json: as one JSON document.
    """
    if is_json:
        click.echo(json.dumps(_document(verification), ensure_ascii=False, indent=2))
        return
    for result in verification.results:
        _print_result(result)
    for name, reason in verification.not_verified.items():
        out.print(f"[bold]{name}[/bold]: not verified: ", end="", highlight=False)
        out.print(_shown(reason), markup=False, highlight=False)
    if any(day.extra and not day.api for result in verification.results for day in result.differing):
        out.print(
            "Rows of days in which the API has none are kept: the vendor may keep its data for a shorter time. Start "
            "later with --since.",
            highlight=False,
        )
    out.print(f"{verification.client.usage.total} API calls.", highlight=False)
    if verification.error is not None:
        err.print("[yellow]Stopped early:[/yellow]" if _is_early(verification) else "[red]Error:[/red]", end=" ")
        err.print(_shown(str(verification.error)), markup=False, highlight=False)


def exit_code_of(verification: Verification) -> int:
    """0 if all agrees, 1 if something differs, 75 if it stopped early, else the error's code."""
    if verification.error is not None:
        return EXIT_EARLY if _is_early(verification) else exit_code(verification.error)
    return 0 if verification.agrees else EXIT_FAILED


def _is_early(verification: Verification) -> bool:
    return verification.error is not None and verification.error.is_early_stop


def _print_result(result: ReportResult) -> None:
    first, last = result.days_compared
    compared = "all values" if result.is_deep else "counts"
    period = f"{first} .. {last}, {compared}" if first else "nothing to compare: no day was over when it was loaded"
    out.print(
        f"[bold]{result.name}[/bold]: {period}: {result.api_rows:,} rows in the API, {result.destination_rows:,} in "
        f"the destination; {result.requests} API calls",
        highlight=False,
    )
    if result.repaired:
        out.print(f"  loaded again: {_days(result.repaired)}", highlight=False)
    if result.deleted:
        out.print(f"  deleted: {result.deleted:,} rows that the API does not have", highlight=False)
    if result.error is not None:
        out.print("  [red]not finished:[/red] ", end="")
        out.print(_shown(str(result.error)), markup=False, highlight=False)
    elif result.agrees:
        out.print("  [green]all agrees[/green]")
    if differing := result.differing:
        _print_days(result.resource, differing)


def _print_days(resource: str, differing: list[DayResult]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("resource", "day", "API", "destination", "difference"):
        table.add_column(title, justify="right" if title in ("API", "destination") else "left")
    for day in differing[:MAX_DAYS]:
        table.add_row(resource, str(day.day), f"{day.api:,}", f"{day.destination:,}", printable(_differences(day)))
    out.print(table)
    if len(differing) > MAX_DAYS:
        out.print(f"{len(differing) - MAX_DAYS:,} more days differ; --json names all.", highlight=False)


def _differences(day: DayResult) -> str:
    """What differs in a day, in words; never a value, which can be personal data."""
    counts = (("missing", day.missing), ("not in the API", day.extra), ("doubled", day.doubled), ("other", day.changed))
    found = [f"{count:,} {word}" for word, count in counts if count]
    if day.columns:
        found[-1] += f" values ({', '.join(name for name, _ in day.columns.most_common(5))})"
    return ", ".join(found) + (f"; {', '.join(map(str, day.keys[:SHOWN_KEYS]))}" if day.keys else "")


def _days(days: list[Any]) -> str:
    listed = ", ".join(map(str, days[:MAX_DAYS]))
    return listed + (f" and {len(days) - MAX_DAYS} more" if len(days) > MAX_DAYS else "")


def _document(verification: Verification) -> dict[str, Any]:
    return {
        "agrees": verification.agrees,
        "error": _error(verification.error),
        "requests": verification.client.usage.total,
        "noted": verification.is_noted,
        "resources": [_result(result) for result in verification.results],
        "not_verified": [
            {"resource": name, "reason": _shown(reason)} for name, reason in verification.not_verified.items()
        ],
    }


def _result(result: ReportResult) -> dict[str, Any]:
    return {
        "resource": result.resource,
        "user_id": result.user_id,
        "agrees": result.agrees,
        "deep": result.is_deep,
        "periods": [[f"{part.start:{API_TIME}}", f"{part.end:{API_TIME}}"] for part in result.periods],
        "windows": result.windows,
        "requests": result.requests,
        "api": result.api_rows,
        "destination": result.destination_rows,
        "days": [_day(day) for day in result.differing],
        "repaired": [str(day) for day in result.repaired],
        "deleted": result.deleted,
        "error": _error(result.error),
    }


def _day(day: DayResult) -> dict[str, Any]:
    counts = {name: getattr(day, name) for name in ("api", "destination", "missing", "extra", "doubled", "changed")}
    return {"day": str(day.day), **counts, "columns": dict(day.columns), "keys": day.keys}


def _error(error: Exception | None) -> str | None:
    return None if error is None else _shown(str(error))


def _shown(text: str) -> str:
    return one_line(mask(text))
