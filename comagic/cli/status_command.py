"""The command status."""

import sys
from datetime import timedelta

import click

from ..load.freshness import read_freshness
from ..load.shape import check_shape, stored_schema
from ..load.verifications import last_verifications
from ..settings import resolve_settings
from ..values import resolve_resources
from .errors import EXIT_FAILED
from .options import demo_option, destination_option, read_target
from .output import print_freshness

MAX_AGE_MINUTES = 1_000_000
"""The largest maximal age of status, in minutes and in hours."""


@click.command()
@destination_option
@click.option("--max-age-hours", metavar="H", type=float, help="Exit with 1 if the data is older than this many hours.")
@click.option("--max-age-minutes", metavar="M", type=float, help="The same in minutes.")
@click.option(
    "--lookback-days",
    metavar="N",
    type=click.IntRange(min=1),
    help="With a maximal age: that of finished runs which read so many days again, or more.",
)
@click.option(
    "--resource",
    "names",
    metavar="NAME",
    multiple=True,
    help="What the maximal age applies to, as for load.",
)
@demo_option
def status(
    destination: str | None,
    max_age_hours: float | None,
    max_age_minutes: float | None,
    lookback_days: int | None,
    names: tuple[str, ...],
    is_demo: bool,
) -> None:
    """Show how fresh the destination is: last loaded moment, age, rows, last run.

    It queries the destination and nothing else, so it works on any machine that can read it.
    """
    if max_age_hours is not None and max_age_minutes is not None:
        raise click.UsageError("--max-age-hours and --max-age-minutes exclude each other.")
    max_age = parse_age(max_age_hours, max_age_minutes)
    if lookback_days is not None and max_age is None:
        raise click.UsageError("--lookback-days goes with --max-age-hours or --max-age-minutes.")
    wanted = resolve_resources("--resource", names) or list(resolve_settings().resources)
    target = read_target(destination, is_demo, is_checked=False)
    schema = stored_schema(*target)
    check_shape(schema, target[1])
    verified = last_verifications(*target, schema)
    if not print_freshness(read_freshness(*target, schema), max_age, lookback_days, wanted, verified):
        sys.exit(EXIT_FAILED)


def parse_age(hours: float | None, minutes: float | None) -> timedelta | None:
    """Reads the maximal age of status."""
    name, value = ("--max-age-hours", hours) if hours is not None else ("--max-age-minutes", minutes)
    if value is None:
        return None
    if not 0 < value <= MAX_AGE_MINUTES:
        raise click.UsageError(f"{name} {value:g} is not a number above 0 and up to {MAX_AGE_MINUTES:,}.")
    return timedelta(hours=value) if hours is not None else timedelta(minutes=value)
