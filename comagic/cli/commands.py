"""The command line: load, check, status, verify, views, describe, migrate, make-key."""

import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import click
from dlt.common.exceptions import SignalReceivedException

from .. import __version__
from ..api.deadline import Deadline
from ..api.rate_limit import Usage
from ..catalog import reports, resources
from ..extract.context import open_client
from ..extract.progress import Progress
from ..extract.windows import share
from ..load.descriptions import update_descriptions
from ..load.destinations import DATASET, AnyDestination, choose_dataset, choose_destination
from ..load.freshness import read_freshness
from ..load.preflight import check_destination
from ..load.runner import PIPELINE, Load
from ..load.shape import check_shape, stored_schema
from ..load.shape import migrate as migrate_dataset
from ..load.tasks import load_task
from ..load.verifications import last_verifications
from ..load.verify import Verification
from ..load.views import create_views, write_dbt_package
from ..redaction import mask, mask_logs
from ..settings import ignore_bare_variables, resolve_settings
from ..values import parse_end, parse_local_time, parse_minutes, resolve_resources
from . import demo as demos
from .check import check_access
from .cloud_log import outcome_in_job
from .defaults import apply_defaults
from .errors import EXIT_EARLY, EXIT_FAILED, exit_code, explain
from .notifications import configured_notifier, notify_outcome
from .output import err, out, print_freshness, print_summary, print_views, summary_line, warnings
from .program import as_started, version_text
from .progress_bar import ProgressBar
from .renamed import RenamingGroup
from .verification import exit_code_of, print_verification

SPANS = ("day", "hour", "minute")
"""What the API has quotas for."""

SECONDS_BETWEEN_TERMINATIONS = 1.0

MAX_AGE_MINUTES = 1_000_000
"""The largest maximal age of status, in minutes and in hours."""

RunLoad = Callable[[Load], None]
"""Gives each source of a load to a pipeline."""

destination_option = click.option("--destination", metavar="NAME", help="As for load.")
demo_option = click.option("--demo", "is_demo", is_flag=True, help=f"Use the demo's {demos.DATABASE}.")


@click.group(
    cls=RenamingGroup,
    default="load",
    default_if_no_args=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message=version_text(), help="Show the version and exit.")
def cli() -> None:
    """Load call tracking data from CoMagic, UIS, CallGear or Novofon into your warehouse.

    Without a command: load. Settings are in .dlt/config.toml, credentials in .dlt/secrets.toml; environment variables
    override both, for example SOURCES__COMAGIC__START_DATE.

    \b
    Exit codes:  0  success (status: fresh enough; verify: all agrees)
                 1  failed (check: a problem was found; status: too old; verify: something differs)
                 2  wrong usage or configuration
                75  stopped early: --max-minutes, API quota exhausted, or SIGTERM;
                    loaded data is kept, the next run resumes;
                    or not started: another load into the dataset is active
               130  interrupted; loaded data is kept, the next run resumes
    """  # noqa: D301


@cli.command()
@click.option(
    "--since", metavar="DATE", help="Load from this day or time on, even if loaded before; the cursor is not moved."
)
@click.option(
    "--until", metavar="DATE", help="With --since: up to and including this day, or up to this time. Default: now."
)
@click.option(
    "--resource",
    "names",
    metavar="NAME",
    multiple=True,
    help="What to load; repeatable: a report, a dictionary, `reports`, `dictionaries` or `all`. "
    "Default: the setting resources, else calls.",
)
@click.option(
    "--destination",
    metavar="NAME",
    help="duckdb, bigquery, postgres or another SQL destination of dlt. Default: dlt's setting destination_type, else "
    "duckdb.",
)
@click.option(
    "--staging",
    metavar="URL",
    help="Bucket to load files through, gs://bucket/folder. Default: dlt's setting staging_type, else none.",
)
@click.option(
    "--lookback-days",
    metavar="N",
    type=int,
    help="Days before the last run that this one reads again. Default: the setting lookback_days, else 14.",
)
@click.option(
    "--max-minutes",
    metavar="N",
    type=float,
    help="Time limit in minutes; loaded data is kept and the exit code is 75. "
    "Default: the setting max_minutes, else no limit.",
)
@click.option(
    "--wait",
    "wait_minutes",
    metavar="MINUTES",
    type=float,
    help="Wait this long for another load into the dataset to end. Default: exit with 75 at once.",
)
@click.option(
    "--task-count",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    envvar="CLOUD_RUN_TASK_COUNT",
    help="With --since and --until: number of parallel tasks that share the period, in BigQuery. "
    "Default: CLOUD_RUN_TASK_COUNT, else 1.",
)
@click.option(
    "--task-index",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    envvar="CLOUD_RUN_TASK_INDEX",
    help="Index of this task, from 0. Default: CLOUD_RUN_TASK_INDEX.",
)
@click.option(
    "--demo", "is_demo", is_flag=True, help=f"Load a synthetic account, served on this machine, into {demos.DATABASE}."
)
@click.pass_obj
def load(
    run: RunLoad,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    destination: str | None,
    staging: str | None,
    lookback_days: int | None,
    max_minutes: float | None,
    wait_minutes: float | None,
    task_count: int,
    task_index: int,
    is_demo: bool,
) -> None:
    """Load what is new since the last run, and the lookback again.

    The first run starts at sources.comagic.start_date. DATE is YYYY-MM-DD or
    "YYYY-MM-DD HH:MM:SS", in the account's time zone.
    """
    requested = resolve_resources("--resource", names)
    start, end = parse_period(since, until)
    if task_index >= task_count:
        raise click.UsageError(
            f"--task-index {task_index}: tasks are counted from 0, and --task-count is {task_count}."
        )
    pipeline_name = PIPELINE
    if task_count > 1:
        if is_demo:
            raise click.UsageError("--demo does not go with --task-count.")
        start, end = _task_period(start, end, task_index, task_count)
        run, pipeline_name = partial(load_task, index=task_index), f"comagic_task_{task_index}"
    elif is_demo:
        run, pipeline_name = demos.load_demo, demos.PIPELINE
    progress = Progress()
    with ExitStack() as stack:
        usage = Usage()
        stack.enter_context(outcome_in_job())
        stack.enter_context(
            notify_outcome(
                configured_notifier(), lambda: summary_line(progress), lambda: warnings(progress, usage), err
            )
        )
        account = stack.enter_context(demos.serve_demo_account()) if is_demo else demos.DemoAccount({}, {})
        own = {} if lookback_days is None else {"lookback_days": lookback_days}
        settings = resolve_settings(**account.settings, **own)
        chosen = requested or list(settings.resources)
        if task_index > 0:  # dictionaries have no period to share
            chosen = [name for name in chosen if name in reports()]
        limit = parse_minutes("--max-minutes", max_minutes) if max_minutes is not None else settings.max_minutes
        client = open_client(settings, Deadline(limit), usage, **account.connection)
        waiting = parse_minutes("--wait", wait_minutes) if wait_minutes is not None else 0.0
        plan = Load(settings, client, chosen, progress, start, end, destination, staging, pipeline_name, waiting)
        run_load(plan, run)
        print_summary(plan)
        plan.raise_error()
    if is_demo:
        demos.print_next_steps(plan)


def run_load(plan: Load, run: RunLoad) -> None:
    """Runs a load and shows its progress."""
    bar = ProgressBar(err, plan.client.usage)
    plan.progress.collector = bar
    bar.show()
    try:
        with plan:
            run(plan)
    finally:
        bar.close()


@cli.command()
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
    target = _target(destination, is_demo, is_checked=False)
    schema = stored_schema(*target)
    check_shape(schema, target[1])
    verified = last_verifications(*target, schema)
    if not print_freshness(read_freshness(*target, schema), max_age, lookback_days, wanted, verified):
        sys.exit(EXIT_FAILED)


@cli.command()
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
        target = _target(destination, is_demo, is_checked=False)
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


@cli.command()
@destination_option
@click.option(
    "--dbt",
    "dbt_folder",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write them as a dbt package into this folder, and create nothing in the destination.",
)
@demo_option
def views(destination: str | None, dbt_folder: Path | None, is_demo: bool) -> None:
    """Create the views that answer the usual questions: calls by day, missed calls, sources, and others.

    Create them once, and again after columns were added, or set views = true. A view whose tables are not loaded is
    left out. docs/definitions.md says how each figure is counted.
    """
    target, settings = _target(destination, is_demo), resolve_settings()
    done = write_dbt_package(*target, settings, dbt_folder) if dbt_folder else create_views(*target, settings)
    if not print_views(done):
        sys.exit(EXIT_FAILED)


@cli.command()
@destination_option
@demo_option
def describe(destination: str | None, is_demo: bool) -> None:
    """Update the descriptions of existing tables and columns.

    In BigQuery, new tables and columns are described when they are created; use this for existing ones, and for DuckDB.
    """
    changed = update_descriptions(*_target(destination, is_demo))
    out.print(f"Described {', '.join(changed)}" if changed else "All descriptions are up to date.", highlight=False)


@cli.command()
@destination_option
@demo_option
def migrate(destination: str | None, is_demo: bool) -> None:
    """Bring a dataset that an earlier release loaded to the shape of this one.

    Needed when a load says so. Nothing is read from the API.
    """
    done = migrate_dataset(*_target(destination, is_demo, is_checked=False))
    for line in done or ["The dataset is up to date."]:
        out.print(line, highlight=False)


@cli.command()
def make_key() -> None:
    """Make a secret key for pseudonyms: 256 random bits, for sources.comagic.pseudonym_key in secrets.toml."""
    click.echo(token_hex(32))


@cli.command()
def check() -> None:
    """Check credentials and permissions for each resource."""
    settings = resolve_settings()
    client = open_client(settings)
    failed = False
    for finding in check_access(client, settings, [resources()[name] for name in settings.resources]):
        failed |= finding.is_problem
        out.print("[red]no[/red]" if finding.is_problem else "[green]ok[/green]", end="")
        out.print(f"  {finding.subject}: {finding.text}", markup=False, highlight=False)
    limits = {span: [client.usage.limit(f"{span}_{kind}") for kind in ("remaining", "limit")] for span in SPANS}
    if known := [f"{left} of {most} this {span}" for span, (left, most) in limits.items() if None not in (left, most)]:
        out.print(f"    API calls left: {', '.join(known)}", markup=False, highlight=False)
    if failed:
        sys.exit(EXIT_FAILED)


def parse_age(hours: float | None, minutes: float | None) -> timedelta | None:
    """Reads the maximal age of status."""
    name, value = ("--max-age-hours", hours) if hours is not None else ("--max-age-minutes", minutes)
    if value is None:
        return None
    if not 0 < value <= MAX_AGE_MINUTES:
        raise click.UsageError(f"{name} {value:g} is not a number above 0 and up to {MAX_AGE_MINUTES:,}.")
    return timedelta(hours=value) if hours is not None else timedelta(minutes=value)


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


def _task_period(start: datetime | None, end: datetime | None, index: int, count: int) -> tuple[datetime, datetime]:
    """One task's share of a period; its end is given, so that all tasks see the same one."""
    if not start or not end:
        raise click.UsageError("--task-count above 1 (CLOUD_RUN_TASK_COUNT) goes with --since and --until.")
    own = share(start, end, index, count)
    return own.start, own.end


def _target(name: str | None, is_demo: bool, is_checked: bool = True) -> tuple[AnyDestination, str]:
    """The destination and dataset that a command reads; BigQuery is checked first, and the dataset's shape."""
    destination = demos.choose_demo_destination(name) if is_demo else choose_destination(name)
    dataset_name = DATASET if is_demo else choose_dataset()
    check_destination(destination, dataset_name)
    if is_checked:
        check_shape(stored_schema(destination, dataset_name), dataset_name)
    return destination, dataset_name


def prepare_process() -> None:
    """Sets what holds for the whole process, before any setting is read."""
    ignore_bare_variables()
    apply_defaults()
    os.umask(0o077)  # new files hold personal data; existing ones keep their mode
    mask_logs()
    if not gc.get_freeze_count():  # once: what a function's earlier run has left may be garbage
        # Rows are not garbage: with Python's own threshold, looking for it takes an eighth of a load's CPU time.
        gc.freeze()
        gc.set_threshold(100_000)


def run_command_line(run: RunLoad) -> None:
    """Runs the command line; a user's mistake ends with a message, not with a traceback."""
    prepare_process()
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show Cyrillic is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGALRM"):  # not on Windows
        signal.signal(signal.SIGALRM, _terminate)
    try:
        try:
            cli(standalone_mode=False, obj=run)
        finally:
            _repeat_termination(0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort as abort:  # click's word for a signal, SIGTERM too
        _exit_with(abort.__cause__ or KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        _exit_with(error)


def _terminate(*_: Any) -> None:
    """Ends the run at SIGTERM: what is committed is kept, the rest is read again by the next run.

    Python drops an exception that is raised in a `__del__`, and libraries swallow some in their imports: so it is
    raised again until it gets through.
    """
    _repeat_termination(SECONDS_BETWEEN_TERMINATIONS)
    raise SignalReceivedException(signal.SIGTERM)


def _repeat_termination(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _exit_with(error: BaseException) -> None:
    """Ends the program with a message and the exit code, or lets a bug end it with a traceback."""
    message = explain(error)
    if not message:
        err.print(mask("".join(traceback.format_exception(error))), markup=False, highlight=False)
        sys.exit(EXIT_FAILED)
    code = exit_code(error)
    title, style = ("Stopped early:", "yellow") if code == EXIT_EARLY else ("Error:", "red")
    err.print(title, style=style, end=" ")
    err.print(as_started(message), markup=False, highlight=False)
    sys.exit(code)
