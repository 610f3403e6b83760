"""Loads call tracking data from CoMagic, UIS, CallGear or Novofon into your warehouse.

    python comagic_pipeline.py --demo    try it: a synthetic account, a DuckDB file, no account needed
    python comagic_pipeline.py check     is the access right?
    python comagic_pipeline.py           load what is new since the last run
    python comagic_pipeline.py status    how fresh is the destination?
    python comagic_pipeline.py --help    all that it can do

`main` is the entry point of a Cloud Function that Pub/Sub triggers, `main_http` of one that is called by HTTP; see
deploy/README.md.

Settings are in .dlt/config.toml, the access in .dlt/secrets.toml, or both in environment variables.
"""

import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

import click
import dlt
import pendulum
from dlt import Pipeline
from dlt.common.exceptions import SignalReceivedException
from dlt.pipeline.exceptions import PipelineStepFailed
from rich.console import Console

from comagic import KeyCredentials, comagic_source
from comagic.api.client import DataApiClient, open_client
from comagic.api.deadline import Deadline
from comagic.catalog import reports, resources
from comagic.cli.check import check as findings
from comagic.cli.cloud_function import (
    EVENT_MINUTES,
    HTTP_MINUTES,
    alone,
    entry_point,
    log,
    logged,
    order_of_event,
    order_of_text,
    prepare,
    time_limit,
)
from comagic.cli.errors import EXIT_EARLY, EXIT_FAILED, EXIT_INTERRUPTED, exit_code, explain, is_lasting
from comagic.cli.notifications import Notifier, configured_notifier
from comagic.cli.output import (
    count_rows,
    new_columns,
    show_answer,
    show_bill,
    show_load,
    show_new_columns,
    show_refused,
    show_status,
    summary_line,
)
from comagic.cli.progress_bar import Display
from comagic.exceptions import BusyError
from comagic.extract.context import chosen_clients, runs
from comagic.extract.progress import Journal
from comagic.extract.windows import share
from comagic.load.descriptions import bring_descriptions
from comagic.load.destinations import (
    ask_first,
    billed_bytes,
    chosen_destination,
    chosen_staging,
    file_format,
    refuse_other_shapes,
)
from comagic.load.freshness import statuses
from comagic.load.views import create_flat_view
from comagic.load.workdir import finish_interrupted, keep_to_this_place, sole_run
from comagic.settings import (
    Settings,
    configured_settings,
    forget_bare_variables,
    minutes,
    parse_moment,
    resolved_resources,
)

DATABASE = "comagic_pipeline.duckdb"
DEMO_DATABASE = "comagic_demo.duckdb"
DEMO_DAYS = 120
DATASET = "comagic"
RESERVE = 1.5
"""The next load package may take so much longer than the last, where there is a deadline."""

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


class LoadByDefault(click.Group):
    """Takes a command line without a command as `load`."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Puts `load` before options that stand alone."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["load", *args]
        return super().parse_args(ctx, args)


@click.group(cls=LoadByDefault, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Load call tracking data from CoMagic, UIS, CallGear or Novofon into your warehouse.

    Without a command: load. Settings are in .dlt/config.toml, the access in .dlt/secrets.toml; environment variables
    of the same names override both (SOURCES__COMAGIC__START_DATE, say).

    \b
    Exit codes:  0  all loaded (check: all is right; status: fresh enough)
                 1  failed (status: too old)
                 2  wrong usage or configuration
                75  stopped early, by --max-minutes, a spent budget of API calls or SIGTERM;
                    what was loaded is kept, the next run goes on
               130  interrupted; the same
    """  # noqa: D301


@cli.command()
@click.option(
    "--since", metavar="DATE", help="Load from this day or time on, again if need be; the cursor stays where it is."
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
    help="duckdb, bigquery or another dlt destination. Default: dlt's setting destination_type, else duckdb.",
)
@click.option(
    "--staging",
    metavar="URL",
    help="A bucket through which files are loaded, gs://bucket/folder. Default: dlt's setting staging_type, else none.",
)
@click.option(
    "--max-minutes",
    metavar="N",
    type=float,
    help="Stop in time to be done after so many minutes, keep what was loaded, end with 75. "
    "Default: the setting max_minutes, else no limit.",
)
@click.option(
    "--task-count",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    envvar="CLOUD_RUN_TASK_COUNT",
    help="With --since and --until: share the period between so many tasks that run at once, in BigQuery. "
    "Default: CLOUD_RUN_TASK_COUNT, else 1.",
)
@click.option(
    "--task-index",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    envvar="CLOUD_RUN_TASK_INDEX",
    help="Which of them this one is, from 0. Default: CLOUD_RUN_TASK_INDEX.",
)
@click.option("--demo", is_flag=True, help=f"Load a synthetic account, served on this machine, into {DEMO_DATABASE}.")
def load(
    since: Optional[str],
    until: Optional[str],
    names: Tuple[str, ...],
    destination: Optional[str],
    staging: Optional[str],
    max_minutes: Optional[float],
    task_count: int,
    task_index: int,
    demo: bool,
) -> None:
    """Load what is new since the last run, and the lookback again.

    The first run begins at sources.comagic.start_date. DATE is YYYY-MM-DD or
    "YYYY-MM-DD HH:MM:SS", in the account's time zone.
    """
    named = resolved_resources("--resource", names)
    begin, end = chosen_period(since, until)
    task = ""
    if task_count > 1:
        begin, end = chosen_share(begin, end, task_index, task_count)
        task = str(task_index)
    journal = Journal()
    with ExitStack() as stack:
        stack.enter_context(told(journal, configured_notifier()))
        settings = configured_settings()
        chosen = named or list(settings.resources)
        if task_index > 0:  # the dictionaries have no period to share
            chosen = [name for name in chosen if name in reports()]
        limit = minutes("--max-minutes", max_minutes) if max_minutes is not None else settings.max_minutes
        access = stack.enter_context(demo_account()) if demo else {}
        client = open_client(
            deadline=Deadline(limit), **{name: access[name] for name in ("credentials", "base_url") if name in access}
        )
        pipeline = opened_pipeline(destination, demo, staging, task)
        stack.enter_context(sole_run(pipeline))
        ask_first(pipeline)
        refuse_other_shapes(pipeline, [resources()[name] for name in chosen], bool(settings.user_ids))
        keep_to_this_place(pipeline)
        load_period(pipeline, client, journal, settings, chosen, begin, end, access)
    if demo:
        show_next_steps(pipeline, "calls" in chosen)


@cli.command()
@click.option("--destination", metavar="NAME", help="As for load.")
@click.option("--max-age-hours", metavar="H", type=float, help="Exit with 1 if the last loaded moment is older.")
@click.option(
    "--resource",
    "names",
    metavar="NAME",
    multiple=True,
    help="What --max-age-hours is about, as for load; reports only.",
)
@click.option("--demo", is_flag=True, help=f"Of the demo's {DEMO_DATABASE}.")
def status(destination: Optional[str], max_age_hours: Optional[float], names: Tuple[str, ...], demo: bool) -> None:
    """Show how fresh the destination is: last loaded moment, age, rows, the last run.

    It asks the destination and nothing else, so it works on any machine that can read it.
    """
    chosen = resolved_resources("--resource", names) or list(configured_settings().resources)
    wanted = [name for name in chosen if name in reports()]
    pipeline = opened_pipeline(destination, demo)
    ask_first(pipeline)
    is_fresh = show_status(out, statuses(pipeline.destination, pipeline.dataset_name), max_age_hours, wanted)
    if not is_fresh:
        sys.exit(EXIT_FAILED)


@cli.command()
@click.option("--destination", metavar="NAME", help="As for load.")
@click.option("--demo", is_flag=True, help=f"In the demo's {DEMO_DATABASE}.")
def view(destination: Optional[str], demo: bool) -> None:
    """Make the view calls_flat: one row a call, the names of its tags in an array.

    It needs to be made once, and again when columns were added.
    """
    pipeline = opened_pipeline(destination, demo)
    ask_first(pipeline)
    out.print(f"Made {create_flat_view(pipeline.destination, pipeline.dataset_name)}", highlight=False)


@cli.command()
@click.option("--destination", metavar="NAME", help="As for load.")
@click.option("--demo", is_flag=True, help=f"In the demo's {DEMO_DATABASE}.")
def describe(destination: Optional[str], demo: bool) -> None:
    """Bring the descriptions to the tables and columns that are there already.

    New tables and columns of BigQuery have theirs; those of an older release, and DuckDB's, get them so.
    """
    pipeline = opened_pipeline(destination, demo)
    ask_first(pipeline)
    changed = bring_descriptions(pipeline.destination, pipeline.dataset_name)
    out.print(f"Described {', '.join(changed)}" if changed else "Every description is there already.", highlight=False)


@cli.command()
def check() -> None:
    """Check the access: one cheap call a resource, one sentence a problem."""
    settings = configured_settings()
    client = open_client()
    failed = False
    for finding in findings(client, settings, [resources()[name] for name in settings.resources]):
        failed |= finding.problem is not None
        mark = "[red]no[/red]" if finding.problem else "[green]ok[/green]"
        out.print(f"{mark}  {finding.subject}: ", end="")
        out.print(finding.text, markup=False, highlight=False)
    limits = client.usage.limits
    if limits:
        told = ", ".join(
            f"{limits.get(f'{span}_remaining')} of {limits.get(f'{span}_limit')} this {span}"
            for span in ("day", "minute")
        )
        out.print(f"    points left: {told}", highlight=False)
    if failed:
        sys.exit(EXIT_FAILED)


def opened_pipeline(destination: Optional[str], demo: bool, staging: Optional[str] = None, task: str = "") -> Pipeline:
    """The pipeline that the commands share; a task that loads beside others has a state and a staging of its own."""
    dataset: Any = None if demo else dlt.config.get("dataset_name")
    name = "comagic_demo" if demo else "comagic"
    # Not a plain call, of which `dlt deploy` would want a literal name; it takes pipeline_name from .dlt/config.toml.
    opened = partial(
        dlt.pipeline,
        destination=chosen_destination(destination, DEMO_DATABASE if demo else DATABASE, demo, task),
        staging=chosen_staging(staging),
        dataset_name=dataset or DATASET,
    )
    pipeline: Pipeline = opened(pipeline_name=f"{name}_task_{task}" if task else name)
    # A signal ends the run at once: what is under way is done again by the next run.
    pipeline.runtime_config.intercept_signals = False
    return pipeline


def load_period(
    pipeline: Pipeline,
    client: DataApiClient,
    journal: Journal,
    settings: Settings,
    names: List[str],
    since: Optional[datetime],
    until: Optional[datetime],
    access: Dict[str, Any],
) -> None:
    """Runs the pipeline, a bounded load package at a time, until the whole period is loaded, and shows the summary.

    Raises:
        ComagicError: what ended the load before; what was loaded until then is kept and shown.
    """
    began = time.monotonic()
    tables: Counter[str] = Counter()
    added: List[str] = []
    place = ""
    with Display(err, journal, client.usage) as display:
        pipeline.collector = display.collector
        finish_interrupted(pipeline, lambda sentence: err.print(sentence, highlight=False))
        for together, user_id in runs(names, chosen_clients(client, settings.user_ids)):
            done: Set[str] = set()
            while left := [name for name in together if name not in done and journal.can_go_on(name)]:
                source = comagic_source(
                    since=since,
                    until=until,
                    journal=journal,
                    client=client,
                    stop_after_rows=settings.load_package_rows,
                    user_ids=None if user_id is None else [user_id],
                    **access,
                )
                try:
                    info = pipeline.run(source.with_resources(*left), loader_file_format=file_format(pipeline))
                except PipelineStepFailed as failed:
                    # The reading of a dictionary failed: its table stays as it was; those that were read are loaded.
                    if failed.step == "extract" and any(map(journal.has_ended, left)):
                        continue
                    raise
                info.raise_on_failed_jobs()
                done.update(filter(journal.is_complete, left))
                journal.entries.clear()  # they are loaded
                count_rows(pipeline, tables)
                added += new_columns(info, list(resources().values()))
                place = f"{info.destination_displayable_credentials}, dataset {info.dataset_name}"
                client.deadline.keep_back(finishing_seconds(pipeline))
                display.line()
    show_load(out, journal, tables, place, client.usage, time.monotonic() - began)
    show_bill(out, billed_bytes(pipeline))
    show_new_columns(out, added)
    show_refused(out, journal, settings.optional_resources)
    if error := journal.first_error_but(settings.optional_resources):
        raise error


def finishing_seconds(pipeline: Pipeline) -> float:
    """How long the last load package took after it had been read, with a reserve."""
    steps = pipeline.last_trace.steps if pipeline.last_trace else []
    ended = [step for step in steps if step.step in ("normalize", "load")]
    return sum((step.finished_at - step.started_at).total_seconds() for step in ended) * RESERVE


@contextmanager
def told(journal: Journal, notifier: Notifier) -> Iterator[None]:
    """Tells, where the configuration says so, how the `with` block ended; an interruption is somebody's wish."""

    def tell(outcome: str, text: str) -> None:
        message = " ".join(filter(None, (f"CoMagic load {outcome}.", text, summary_line(journal))))
        for problem in notifier.tell(outcome, "comagic", message):
            err.print(f"Warning: {problem}", style="yellow", highlight=False)

    try:
        yield
    except Exception as error:
        code = exit_code(error)
        if code == EXIT_EARLY and notifier.on_success:
            tell("stopped early", explain(error))
        elif code not in (EXIT_EARLY, EXIT_INTERRUPTED):
            tell("failed", explain(error) or type(error).__name__)
        raise
    if notifier.on_success:
        tell("succeeded", "")


def chosen_period(since: Optional[str], until: Optional[str]) -> Tuple[Optional[datetime], Optional[datetime]]:
    """Reads --since and --until as a half-open range of wall times: a day as --until is meant whole."""
    if until and not since:
        raise click.UsageError("--until goes with --since.")
    begin = parse_moment("--since", since) if since else None
    end = parse_moment("--until", until) if until else None
    if end and until and len(until.strip()) == len("YYYY-MM-DD"):
        end += timedelta(days=1)
    if begin and end and begin >= end:
        raise click.UsageError(f"--since {since} is not before --until {until}.")
    return begin, end


def chosen_share(
    begin: Optional[datetime], end: Optional[datetime], index: int, count: int
) -> Tuple[datetime, datetime]:
    """The share of a period that one of several tasks loads; its end is given, so that all see the same one."""
    if not begin or not end:
        raise click.UsageError("--task-count above 1 (CLOUD_RUN_TASK_COUNT) goes with --since and --until.")
    if index >= count:
        raise click.UsageError(f"--task-index {index}: tasks are counted from 0, and --task-count is {count}.")
    own = share(begin, end, index, count)
    return own.start, own.end


@contextmanager
def demo_account() -> Iterator[Dict[str, Any]]:
    """A sandbox on a free port of this machine; yields the settings that lead to it."""
    from comagic.sandbox import SandboxServer, SyntheticAccount
    from comagic.sandbox.switches import KEY

    first_day = pendulum.today().date() - timedelta(days=DEMO_DAYS)
    with SandboxServer(SyntheticAccount(first_day=first_day)) as sandbox:
        err.print(f"A synthetic account answers at {sandbox.base_url}", highlight=False)
        yield {
            "credentials": KeyCredentials(access_token=KEY),
            "base_url": sandbox.base_url,
            "start_date": first_day.isoformat(),
        }


def show_next_steps(pipeline: Pipeline, with_calls: bool) -> None:
    """Shows what the demo's calls are good for, and what to do next."""
    if with_calls:
        show_answer(out, pipeline)
    out.print("\nRun it again: only what is new or may have changed is read. Then your own account:")
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else "python"
    out.print("  1. cp .dlt/example.secrets.toml .dlt/secrets.toml   and put your key in", highlight=False)
    out.print(f"  2. {shown} comagic_pipeline.py check", highlight=False)
    out.print(f"  3. {shown} comagic_pipeline.py", highlight=False)


def run_command_line() -> None:
    """Runs the command line; a person's mistake ends in a sentence, not in a traceback."""
    forget_bare_variables()
    signal.signal(signal.SIGTERM, terminate)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort as abort:  # click's word for a signal, SIGTERM too
        end_with(abort.__cause__ or KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        end_with(error)


@entry_point("cloud_event")
def main(event: Any) -> None:
    """Loads what is new, as a Cloud Function that a Pub/Sub message begins; an early stop leaves the rest to the next.

    Args:
        event: the CloudEvent; the message's data may be JSON with `since`, `until` and `resources`.

    Raises:
        Exception: a fault that passes, so that Pub/Sub sends the message again.
    """
    answered(lambda: order_of_event(event), EVENT_MINUTES)


@entry_point("http")
def main_http(request: Any) -> Tuple[Dict[str, str], int]:
    """The same by an HTTP request, which may take longer; its body is what the message's data is.

    Args:
        request: Flask's request.

    Returns:
        The outcome and a sentence, and the HTTP status: 200 if all is loaded or the next request goes on, 400 for an
        order that cannot be, 500 for a fault.
    """
    try:
        outcome, sentence = answered(lambda: order_of_text(request.get_data(as_text=True)), HTTP_MINUTES)
    except Exception as error:
        return {"outcome": "failed", "message": explain(error) or type(error).__name__}, 500
    return {"outcome": outcome, "message": sentence}, 400 if outcome == "refused" else 200


def answered(order: Callable[[], List[str]], most_minutes: float) -> Tuple[str, str]:
    """Carries an order out and writes the log of it.

    Returns:
        `loaded`, `stopped early`, or `refused` for what would fail again; and the sentence that says why.

    Raises:
        Exception: a fault that passes.
    """
    outcome, sentence = "loaded", ""
    try:
        with alone(), logged(out, err):
            forget_bare_variables()
            prepare()
            cli(["load", *time_limit(most_minutes), *order()], standalone_mode=False)
    except Exception as error:
        sentence = error.format_message() if isinstance(error, click.ClickException) else explain(error)
        if exit_code(error) == EXIT_EARLY or isinstance(error, BusyError):
            outcome = "stopped early"
        elif is_lasting(error):
            outcome = "refused"
        else:
            log("ERROR", sentence or f"{type(error).__name__}: {error}", outcome="failed")
            raise
    severity = {"loaded": "INFO", "stopped early": "WARNING", "refused": "ERROR"}[outcome]
    log(severity, f"{outcome.capitalize()}. {sentence}".strip(), outcome=outcome)
    return outcome, sentence


def terminate(number: int, _: Any) -> None:
    """Ends the run at SIGTERM: what is committed is kept, the rest is done again by the next run."""
    raise SignalReceivedException(number)


def end_with(error: BaseException) -> None:
    """Ends the program with a sentence and the exit code, or lets a fault of its own end it with a traceback."""
    sentence = explain(error)
    if not sentence:
        raise error
    code = exit_code(error)
    title, style = ("Stopped early:", "yellow") if code == EXIT_EARLY else ("Error:", "red")
    err.print(title, style=style, end=" ")
    err.print(sentence, markup=False, highlight=False)
    sys.exit(code)


if __name__ == "__main__":
    run_command_line()
