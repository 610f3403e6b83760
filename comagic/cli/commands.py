"""The command line: load, check, status, verify, views, report, describe, migrate, make-key."""

import sys
from functools import partial
from pathlib import Path
from secrets import token_hex

import click

from .. import __version__
from ..catalog import resources
from ..extract.context import open_client
from ..load.descriptions import update_descriptions
from ..load.shape import migrate as migrate_dataset
from ..load.views import create_views, write_dbt_package
from ..settings import resolve_settings
from ..values import parse_day
from .check import check_access
from .errors import EXIT_FAILED
from .load_command import load
from .options import RunLoad, demo_option, destination_option, read_target
from .output import out, print_report, print_views
from .process import run_program
from .program import version_text
from .renamed import RenamingGroup
from .report import LANGUAGES, REPORT, write_report
from .status_command import status
from .verify_command import verify

SPANS = ("day", "hour", "minute")
"""What the API has quotas for."""


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


for command in (load, status, verify):
    cli.add_command(command)


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
    target, settings = read_target(destination, is_demo), resolve_settings()
    done = write_dbt_package(*target, settings, dbt_folder) if dbt_folder else create_views(*target, settings)
    if not print_views(done):
        sys.exit(EXIT_FAILED)


@cli.command()
@click.option("--since", metavar="DATE", help="First day. Default: 30 days with the last one.")
@click.option("--until", metavar="DATE", help="Last day. Default: the last whole day that is loaded.")
@destination_option
@click.option(
    "--output",
    metavar="FILE",
    default=REPORT,
    help=f"Where to write it: a file, or an address such as gs://bucket/report.html. Default: {REPORT}.",
)
@click.option(
    "--language", type=click.Choice(LANGUAGES), help="Language of the report. Default: the setting language, else en."
)
@click.option("--with-names", "are_names_shown", is_flag=True, help="Show telephone numbers and persons' names, too.")
@demo_option
def report(
    since: str | None,
    until: str | None,
    destination: str | None,
    output: str,
    language: str | None,
    are_names_shown: bool,
    is_demo: bool,
) -> None:
    """Write a report of calls as one HTML file: it opens anywhere, and makes no request.

    Missed calls and what became of them, campaigns, costs, employees, tags, and whether the data can be trusted. DATE
    is YYYY-MM-DD, in the account's time zone. It needs permission to read the dataset, nothing else, and no views.
    """
    first = parse_day("--since", since) if since else None
    last = parse_day("--until", until) if until else None
    target, settings = read_target(destination, is_demo, is_read_only=True), resolve_settings()
    figures = write_report(*target, settings, output, first, last, language, are_names_shown)
    print_report(figures, output)


@cli.command()
@destination_option
@demo_option
def describe(destination: str | None, is_demo: bool) -> None:
    """Update the descriptions of existing tables and columns.

    In BigQuery, new tables and columns are described when they are created; use this for existing ones, and for DuckDB.
    """
    changed = update_descriptions(*read_target(destination, is_demo))
    out.print(f"Described {', '.join(changed)}" if changed else "All descriptions are up to date.", highlight=False)


@cli.command()
@destination_option
@demo_option
def migrate(destination: str | None, is_demo: bool) -> None:
    """Bring a dataset that an earlier release loaded to the shape of this one.

    Needed when a load says so. Nothing is read from the API.
    """
    done = migrate_dataset(*read_target(destination, is_demo, is_checked=False))
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


def run_command_line(run: RunLoad) -> None:
    """Runs the command line; a user's mistake ends with a message, not with a traceback."""
    run_program(partial(cli, standalone_mode=False, obj=run))
