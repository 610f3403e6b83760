"""The command load."""

from contextlib import ExitStack
from datetime import datetime
from functools import partial

import click

from ..api.deadline import Deadline
from ..api.rate_limit import Usage
from ..catalog import reports
from ..extract.context import open_client
from ..extract.progress import Progress
from ..extract.windows import share
from ..load.runner import PIPELINE, Load
from ..load.tasks import load_task
from ..settings import resolve_settings
from ..values import parse_minutes, resolve_resources
from . import demo as demos
from .cloud_log import outcome_in_job
from .nightly import finish_night
from .notifications import configured_notifier, notify_outcome
from .options import RunLoad, parse_period
from .output import err, print_summary, summary_line, warnings
from .progress_bar import ProgressBar


@click.command()
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
        usage, notifier = Usage(), configured_notifier()
        stack.enter_context(outcome_in_job())
        stack.enter_context(
            notify_outcome(notifier, lambda: summary_line(progress), lambda: warnings(progress, usage), err)
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
        if lookback_days is None and task_count == 1 and not is_demo:
            finish_night(plan, notifier)
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


def _task_period(start: datetime | None, end: datetime | None, index: int, count: int) -> tuple[datetime, datetime]:
    """One task's share of a period; its end is given, so that all tasks see the same one."""
    if not start or not end:
        raise click.UsageError("--task-count above 1 (CLOUD_RUN_TASK_COUNT) goes with --since and --until.")
    own = share(start, end, index, count)
    return own.start, own.end
