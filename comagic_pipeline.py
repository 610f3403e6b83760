"""Loads call tracking data from CoMagic, UIS, CallGear or Novofon into your warehouse.

    python comagic_pipeline.py --demo    try it: a synthetic account, a DuckDB file, no account needed
    python comagic_pipeline.py check     is the access right?
    python comagic_pipeline.py           load what is new since the last run
    python comagic_pipeline.py --help    all that it can do

Settings are in .dlt/config.toml, the access in .dlt/secrets.toml, or both in environment variables.
"""

import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple, cast

import click
import dlt
import pendulum
from dlt import Pipeline
from dlt.common.destination import Destination
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.exceptions import PipelineStepFailed
from rich.console import Console

from comagic import KeyCredentials, comagic_source
from comagic.catalog import reports
from comagic.check import check as findings
from comagic.client import DataApiClient, open_client
from comagic.display import Display
from comagic.explaining import EXIT_FAILED, exit_code, explain
from comagic.journal import Journal
from comagic.settings import configured_settings, forget_bare_variables, parse_moment
from comagic.summary import count_rows, new_columns, show_answer, show_load, show_new_columns

DATABASE = "comagic_pipeline.duckdb"
DEMO_DATABASE = "comagic_demo.duckdb"
DEMO_DAYS = 120

DUCKDB_MEMORY = {"memory_limit": "200MB", "threads": 1, "preserve_insertion_order": False}
"""Settings of DuckDB under which a load takes as much memory for a million calls as for a hundred thousand, and as
long as without them: by default DuckDB keeps what it has read and buffers for every thread. It uses disk beyond."""

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
    Exit codes:  0  all loaded (check: all is right)
                 1  failed
                 2  wrong usage or configuration
               130  interrupted; what was loaded is kept
    """  # noqa: D301


@cli.command()
@click.option(
    "--since", metavar="DATE", help="Load from this day or time on, again if need be; the cursor stays where it is."
)
@click.option(
    "--until", metavar="DATE", help="With --since: up to and including this day, or up to this time. Default: now."
)
@click.option(
    "--resource", "names", metavar="NAME", multiple=True, help="What to load; repeatable. Default: all there is."
)
@click.option(
    "--destination",
    metavar="NAME",
    help="duckdb, bigquery or another dlt destination. Default: dlt's setting destination_type, else duckdb.",
)
@click.option("--demo", is_flag=True, help=f"Load a synthetic account, served on this machine, into {DEMO_DATABASE}.")
def load(
    since: Optional[str], until: Optional[str], names: Tuple[str, ...], destination: Optional[str], demo: bool
) -> None:
    """Load what is new since the last run, and the lookback again.

    The first run begins at sources.comagic.start_date. DATE is YYYY-MM-DD or
    "YYYY-MM-DD HH:MM:SS", in the account's time zone.
    """
    chosen = chosen_resources(names)
    begin, end = chosen_period(since, until)
    with ExitStack() as stack:
        access = stack.enter_context(demo_account()) if demo else {}
        client = open_client(**{name: access[name] for name in ("credentials", "base_url") if name in access})
        pipeline = dlt.pipeline(
            pipeline_name="comagic_demo" if demo else "comagic",
            destination=chosen_destination(destination, DEMO_DATABASE if demo else DATABASE, demo),
            dataset_name="comagic",
        )
        keep_to_this_folder(pipeline)
        load_period(pipeline, client, chosen, begin, end, access)
    if demo:
        show_next_steps(pipeline)


@cli.command()
def check() -> None:
    """Check the access: one cheap call a resource, one sentence a problem."""
    settings = configured_settings()
    client = open_client()
    failed = False
    for finding in findings(client, settings, list(reports().values())):
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


def load_period(
    pipeline: Pipeline,
    client: DataApiClient,
    names: List[str],
    since: Optional[datetime],
    until: Optional[datetime],
    access: Dict[str, Any],
) -> None:
    """Runs the pipeline, a bounded load package at a time, until the whole period is loaded, and shows the summary."""
    began = time.monotonic()
    journal = Journal()
    package_rows = configured_settings().load_package_rows
    tables: Counter[str] = Counter()
    added: List[str] = []
    place = ""
    with Display(err, journal, client.usage) as display:
        pipeline.collector = display.collector
        finish_interrupted(pipeline)
        for name in names:
            at = since
            while name not in journal.passes or not journal.passes[name].is_complete:
                source = comagic_source(
                    since=at, until=until, journal=journal, client=client, stop_after_rows=package_rows, **access
                )
                info = pipeline.run(source.with_resources(name), loader_file_format=file_format(pipeline))
                info.raise_on_failed_jobs()
                count_rows(pipeline, tables)
                added += new_columns(info, list(reports().values()))
                place = f"{info.destination_displayable_credentials}, dataset {info.dataset_name}"
                display.line()
                at = since and journal.passes[name].position
    show_load(out, journal, tables, place, client.usage, time.monotonic() - began)
    show_new_columns(out, added)


def keep_to_this_folder(pipeline: Pipeline) -> None:
    """Makes dlt's working folder anew if the last run was started in another folder.

    dlt has one working folder for a pipeline's name, wherever it is started. Two copies of this project would go on
    from each other's cursor, and miss what the other loaded; made anew, it takes the cursor from the destination.
    """
    if pipeline.get_local_state_val("initial_cwd") != str(this_folder()):
        pipeline.drop()


def this_folder() -> Path:
    """Where the program was started, as dlt sees it (DLT_LOCAL_DIR may say otherwise): the DuckDB file's folder."""
    return Path(dlt.current.run_context().local_dir).absolute()


def finish_interrupted(pipeline: Pipeline) -> None:
    """Brings home the load package that an interrupted run left on this disk: dlt's next run would do nothing else.

    A package with rows that dlt cannot prepare would stand in the way of every run to come. It never reached the
    destination, nor did its cursor; so it goes, and its rows are read again.
    """
    if not pipeline.has_pending_data:
        return
    err.print("Finishing the load package of an interrupted run first.")
    try:
        pipeline.run()
    except PipelineStepFailed as failed:
        if failed.step != "normalize":
            raise
        err.print("It cannot be finished; its rows are read again.")
        pipeline.drop()


def chosen_resources(names: Tuple[str, ...]) -> List[str]:
    """Checks names of resources; all there are if none is given."""
    for name in names:
        if name not in reports():
            raise click.BadParameter(
                f"there is no resource {name!r}; there are: {', '.join(reports())}", param_hint="--resource"
            )
    return list(dict.fromkeys(names)) or list(reports())


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


def chosen_destination(name: Optional[str], database: str, fixed: bool) -> Destination[Any, Any]:
    """The destination by name, or by dlt's own configuration; DuckDB by default.

    Args:
        name: what --destination says.
        database: file for DuckDB, relative to the current folder, where the configuration names none.
        fixed: use that file whatever the configuration says.
    """
    configured: Any = dlt.config.get("destination_type")
    chosen = str(name or ("duckdb" if fixed else configured or "duckdb"))
    if chosen.split(".")[-1] != "duckdb":
        return cast(Destination[Any, Any], Destination.from_reference(chosen))
    places: List[Any] = [of.get("destination.duckdb.credentials") for of in (dlt.config, dlt.secrets)]
    # Without supports_transactions a merge is several commits, and a reader in between sees half of it.
    how: Dict[str, Any] = {"supports_transactions": True, "max_parallel_load_jobs": 1}
    if any(places) and not fixed:
        return dlt.destinations.duckdb(**how)
    # A file named like the dataset would make DuckDB's names ambiguous, so dlt's default, comagic.duckdb, is out.
    return dlt.destinations.duckdb(DuckDbCredentials(str(this_folder() / database), global_config=DUCKDB_MEMORY), **how)


def file_format(pipeline: Pipeline) -> Any:
    """Parquet for DuckDB, where dlt's default is a hundred times slower; dlt's choice elsewhere."""
    return "parquet" if pipeline.destination.destination_name == "duckdb" else None


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


def show_next_steps(pipeline: Pipeline) -> None:
    """Shows what the demo's rows are good for, and what to do next."""
    show_answer(out, pipeline)
    out.print("\nRun it again: only what is new or may have changed is read. Then your own account:")
    python = Path(sys.executable)
    shown = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else "python"
    out.print("  1. cp .dlt/example.secrets.toml .dlt/secrets.toml   and put your key in", highlight=False)
    out.print(f"  2. {shown} comagic_pipeline.py check", highlight=False)
    out.print(f"  3. {shown} comagic_pipeline.py", highlight=False)


def main() -> None:
    """Runs the command line; a person's mistake ends in a sentence, not in a traceback."""
    forget_bare_variables()
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        end_with(KeyboardInterrupt())
    except (Exception, KeyboardInterrupt) as error:
        end_with(error)


def end_with(error: BaseException) -> None:
    """Ends the program with a sentence and the exit code, or lets a fault of its own end it with a traceback."""
    sentence = explain(error)
    if not sentence:
        raise error
    err.print("Error:", style="red", end=" ")
    err.print(sentence, markup=False, highlight=False)
    sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
