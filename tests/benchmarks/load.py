"""Measures how fast calls are loaded into DuckDB, and the peak memory.

    .venv/bin/python -m tests.benchmarks.load --calls 200000 --calls 1000000

Each row is a separate process, with the sandbox in another, so that peak memory is that of the loader alone.
Methods to load the same calls from the same server, with the default fields:

pipeline: this project, as `python comagic_pipeline.py` runs it: typed columns, child tables, merge by id.
narrow:   the same with 31 fields.
wide:     the same with all 105 fields and all nested lists.

Rates exclude the time spent waiting for the server. `tests.benchmarks.pace` compares with other ways to load.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.support.article import ARTICLE_FIELDS

FIRST_DAY = datetime(2025, 1, 6)
CALLS_PER_DAY = 20_000
CALLS_PER_WEEK = CALLS_PER_DAY * 6.35
METHODS = ("pipeline", "narrow", "wide")
FIELDS = {"narrow": ARTICLE_FIELDS, "wide": "all"}
STEPS = ("extract", "normalize", "load")


def peak_memory() -> float:
    """Returns the peak memory of this process in MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found.group(1)) / 1024 if found else float("nan")


def measure_pipeline(access: dict[str, str], folder: Path, until: datetime, fields: Any = None) -> dict[str, float]:
    """Loads as the command line does, and measures the time of dlt's steps."""
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    import dlt

    from comagic import KeyCredentials
    from comagic.api.client import DataApiClient
    from comagic.load.destinations import choose_destination
    from comagic.load.runner import Load
    from comagic.settings import resolve_settings

    client = DataApiClient(KeyCredentials(access_token=access["access_token"]), access["base_url"])
    settings = resolve_settings(start_date=FIRST_DAY, window_days=1, **({"fields": fields} if fields else {}))
    destination = choose_destination("duckdb", str(folder / "b.duckdb"))
    seconds = dict.fromkeys(STEPS, 0.0)
    with Load(settings, client, ["calls"], until=until) as load:
        pipeline = dlt.pipeline("comagic", destination=destination, dataset_name="comagic")
        for source in load.sources(pipeline):
            pipeline.run(source)
            for step in pipeline.last_trace.steps if pipeline.last_trace else ():
                if step.step in STEPS:
                    seconds[step.step] += (step.finished_at - step.started_at).total_seconds()
    seconds["extract"] -= client.usage.seconds
    calls = load.progress.syncs["calls"].rows
    return {"calls": calls, "rows": load.tables.total(), "server": client.usage.seconds, **seconds}


@click.group(invoke_without_command=True)
@click.option(
    "--calls",
    "sizes",
    type=int,
    multiple=True,
    default=(200_000,),
    show_default=True,
    help="Number of calls to load, at least one day; repeatable.",
)
@click.option(
    "--method", "methods", type=click.Choice(METHODS), multiple=True, default=METHODS, help="Default: all; repeatable."
)
@click.pass_context
def main(context: click.Context, sizes: tuple[int, ...], methods: tuple[str, ...]) -> None:
    """Measure each method and print a table."""
    if context.invoked_subcommand:
        return
    table = Table(box=None)
    for title in (
        "method",
        "calls",
        "rows",
        "server s",
        "extract s",
        "normalize s",
        "load s",
        "calls/s",
        "rows/s",
        "peak MB",
    ):
        table.add_column(title, justify="left" if title == "method" else "right")
    for size in sizes:
        for method in methods:
            with tempfile.TemporaryDirectory() as folder:
                output = subprocess.run(
                    [sys.executable, "-m", "tests.benchmarks.load", "one", method, str(size), folder],
                    check=True, capture_output=True, text=True,
                ).stdout  # fmt: skip
            result = json.loads(output.splitlines()[-1])
            seconds = sum(result[name] for name in STEPS)
            times = (f"{result[name]:.1f}" for name in ("server", *STEPS))
            rates = (f"{result['calls'] / seconds:,.0f}", f"{result['rows'] / seconds:,.0f}", f"{result['peak']:,.0f}")
            table.add_row(method, f"{result['calls']:,}", f"{result['rows']:,}", *times, *rates)
    Console(width=120).print(table)


@main.command()
@click.argument("method", type=click.Choice(METHODS))
@click.argument("size", type=int)
@click.argument("folder", type=click.Path(path_type=Path))
def one(method: str, size: int, folder: Path) -> None:
    """Print one measurement as JSON."""
    command = [
        sys.executable,
        "-m",
        "comagic.sandbox",
        "--first-day",
        f"{FIRST_DAY:%Y-%m-%d}",
        "--calls-per-day",
        str(CALLS_PER_DAY),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            access = json.loads(server.stdout.readline()) if server.stdout else {}
            until = FIRST_DAY + timedelta(days=max(1, round(size / CALLS_PER_WEEK * 7)))
            measured = measure_pipeline(access, folder, until, FIELDS.get(method))
        finally:
            server.terminate()
    click.echo(json.dumps({**measured, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
