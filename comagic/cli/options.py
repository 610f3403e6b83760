"""What several commands share: options, periods, and the destination that they read."""

from collections.abc import Callable
from datetime import datetime

import click

from ..load.destinations import DATASET, AnyDestination, choose_dataset, choose_destination, read_only
from ..load.preflight import check_destination
from ..load.runner import Load
from ..load.shape import check_shape, stored_schema
from ..values import parse_end, parse_local_time
from . import demo as demos

RunLoad = Callable[[Load], None]
"""Gives each source of a load to a pipeline."""

destination_option = click.option("--destination", metavar="NAME", help="As for load.")
demo_option = click.option("--demo", "is_demo", is_flag=True, help=f"Use the demo's {demos.DATABASE}.")


def parse_period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Reads --since and --until as a half-open range of local times; a day as --until is included."""
    if until and not since:
        raise click.UsageError("--until goes with --since.")
    return parse_bounds(since, until)


def parse_bounds(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The same, where each can be given without the other."""
    start = parse_local_time("--since", since) if since else None
    end = parse_end("--until", until) if until else None
    if start and end and start >= end:
        raise click.UsageError(f"--since {since} is not before --until {until}.")
    return start, end


def read_target(
    name: str | None, is_demo: bool, is_checked: bool = True, is_read_only: bool = False
) -> tuple[AnyDestination, str]:
    """The destination and dataset that a command reads; BigQuery is checked first, and the dataset's shape."""
    destination = demos.choose_demo_destination(name) if is_demo else choose_destination(name)
    dataset_name = DATASET if is_demo else choose_dataset()
    if is_read_only:
        read_only(destination)
    check_destination(destination, dataset_name)
    if is_checked:
        check_shape(stored_schema(destination, dataset_name), dataset_name)
    return destination, dataset_name
