"""The command verify."""

import sys
from contextlib import ExitStack
from functools import partial

import click

from ..api.deadline import Deadline
from ..extract.context import open_client
from ..load.runner import PIPELINE
from ..load.verify import Verification
from ..settings import resolve_settings
from ..values import resolve_resources
from . import demo as demos
from .options import RunLoad, demo_option, destination_option, parse_bounds, read_target
from .output import err
from .verification import exit_code_of, print_verification


@click.command()
@click.option(
    "--since", metavar="DATE", help="From this day or time on, even if not loaded. Default: all that was loaded."
)
@click.option(
    "--until",
    metavar="DATE",
    help="Up to and including this day, or up to this time. Default: the last day that was over when it was loaded.",
)
@click.option(
    "--resource",
    "names",
    metavar="NAME",
    multiple=True,
    help="What to verify, as for load; repeatable. Default: all reports that were loaded.",
)
@destination_option
@click.option("--deep", "is_deep", is_flag=True, help="Read everything, and compare all values, not only counts.")
@click.option("--repair", "repairs", is_flag=True, help="Load days again that differ, and compare them again.")
@click.option(
    "--delete-extra",
    "deletes",
    is_flag=True,
    help="Delete rows that the API does not have any more, but for those of days in which it has no rows at all.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the result as one JSON document.")
@demo_option
@click.pass_obj
def verify(
    run: RunLoad,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    destination: str | None,
    is_deep: bool,
    repairs: bool,
    deletes: bool,
    is_json: bool,
    is_demo: bool,
) -> None:
    """Compare what was loaded with the API: is everything there?

    It counts, and reads only where the counts differ. Exit code 0: all agrees; 1: something
    differs; 75: stopped early.
    """
    start, end = parse_bounds(since, until)
    requested = resolve_resources("--resource", names)
    with ExitStack() as stack:
        account = stack.enter_context(demos.serve_demo_account()) if is_demo else demos.DemoAccount({}, {})
        settings = resolve_settings(**account.settings)
        client = open_client(settings, Deadline(settings.max_minutes), **account.connection)
        target = read_target(destination, is_demo, is_checked=False)
        run, pipeline_name = (demos.load_demo, demos.PIPELINE) if is_demo else (run, PIPELINE)
        verification = Verification(
            settings,
            client,
            *target,
            run,
            pipeline_name,
            destination_name=destination,
            names=requested,
            since=start,
            until=end,
            is_deep=is_deep,
            repairs=repairs,
            deletes=deletes,
            report=partial(err.print, highlight=False, markup=False),
        )
        verification.verify()
        print_verification(verification, is_json)
        if code := exit_code_of(verification):
            sys.exit(code)
