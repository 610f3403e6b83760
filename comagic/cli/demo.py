"""The demo: a synthetic account, served on this machine, loaded into a DuckDB file of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import pendulum

from ..api.credentials import KeyCredentials
from ..exceptions import ComagicError
from ..load.destinations import DATASET, AnyDestination, choose_destination, choose_staging
from ..load.runner import Load
from .output import err, out, print_calls_by_campaign
from .program import COMMAND, is_installed_command
from .report import write_report

DATABASE = "comagic_demo.duckdb"
PIPELINE = "comagic_demo"
REPORT = "comagic_demo.html"
DAYS = 120
RESOURCES = ("calls", "campaign_daily_stat")
"""What the demo loads: calls, and what they cost."""


@dataclass(frozen=True)
class DemoAccount:
    """What overrides the configuration in a demo.

    Attributes:
        connection: credentials and endpoint.
        settings: settings of the source.
    """

    connection: dict[str, Any]
    settings: dict[str, Any]


@contextmanager
def serve_demo_account() -> Iterator[DemoAccount]:
    """Serves a synthetic account on a free port of this machine while its `with` block lasts."""
    from ..sandbox import SandboxServer, SyntheticAccount
    from ..sandbox.callbacks import add_callbacks
    from ..sandbox.switches import KEY

    first_day = pendulum.today().date() - pendulum.duration(days=DAYS)
    account = SyntheticAccount(first_day=first_day)
    now = pendulum.now(account.timezone).naive()
    add_callbacks(account, datetime(first_day.year, first_day.month, first_day.day), now)
    with SandboxServer(account) as sandbox:
        err.print(f"A synthetic account is served at {sandbox.base_url}", highlight=False)
        yield DemoAccount(
            {"credentials": KeyCredentials(access_token=KEY), "base_url": sandbox.base_url},
            {"start_date": first_day.isoformat(), "views": True, "resources": list(RESOURCES)},
        )


def choose_demo_destination(name: str | None) -> AnyDestination:
    """Returns the demo's DuckDB file, or the destination by name; never the configured one."""
    return choose_destination(name, DATABASE)


def load_demo(load: Load) -> None:
    """Runs the demo's pipeline."""
    pipeline = dlt.pipeline(
        load.pipeline_name,
        destination=choose_demo_destination(load.destination),
        staging=choose_staging(load.staging),
        dataset_name=DATASET,
    )
    for source in load.sources(pipeline):
        pipeline.run(source)


def print_next_steps(load: Load) -> None:
    """Prints a table of the demo's calls, and how to load an account of one's own."""
    if load.views and "sources_daily" in load.views.created:
        print_calls_by_campaign(choose_demo_destination(load.destination), DATASET)
    _write_report(load)
    out.print("\nRun it again: only what is new or may have changed is read. Then load your own account:")
    python = Path(sys.executable)
    shown = str(python.relative_to(Path.cwd())) if python.is_relative_to(Path.cwd()) else "python"
    command = f"{shown} comagic_pipeline.py"
    key = "cp .dlt/example.secrets.toml .dlt/secrets.toml   and add your key"
    if is_installed_command():
        command, key = COMMAND, "export SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN=...   with your key"
    for number, step in enumerate((key, f"{command} check", command), 1):
        out.print(f"  {number}. {step}", highlight=False, markup=False)


def _write_report(load: Load) -> None:
    """Writes the demo's report; in a destination that has no views there is none."""
    if not load.views or not load.views.created:
        return
    try:
        write_report(choose_demo_destination(load.destination), DATASET, load.settings, REPORT)
    except ComagicError as error:  # a demo of other resources
        out.print(f"\nWithout a report: {error}", markup=False, highlight=False)
        return
    out.print(f"\nThese calls with charts: open {Path(REPORT).absolute()} in a browser.", markup=False, highlight=False)
