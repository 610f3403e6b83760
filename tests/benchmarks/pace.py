"""Measures how fast calls are loaded into DuckDB against other ways to load them, side by side.

    .venv/bin/python -m tests.benchmarks.pace --repetitions 3
    .venv/bin/python -m tests.benchmarks.pace --latency 1 --minute-limit 60 --method script --method pipeline
    .venv/bin/python -m tests.benchmarks.pace --with "LOAD__WORKERS=1" --checkout ../before

Each method loads the same calls from the same server into an empty folder, in a process of its own:

fetch:    requests the pages one after another and drops them: what the server and the connection take.
script:   what a script in the manner of the 2019 article has to do: windows of 7 days, pages of 10,000, one after
          another, through pyarrow into one flat DuckDB table, lists as JSON text; appended, without child tables, merge
          or state.
rest_api: dlt's own source for any REST API, with a key, a merge and Parquet files; nothing else is tuned.
pipeline: this project, as `python comagic_pipeline.py` runs it: typed columns, child tables, merge by id.

The server costs almost nothing, refuses what is beyond the limit, and gives each measurement a full quota. Other work
on the machine disturbs: compare within a run, and look at the CPU time, which is disturbed less. Memory is that of the
whole process tree, with shared pages counted once. A first round, with few calls, is not counted: it compiles modules.
The exit code is 1 if the tables differ.
"""

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from math import ceil
from pathlib import Path
from shutil import copy
from threading import Event, Thread
from typing import Any

import click
import duckdb
import pendulum
from rich.console import Console
from rich.table import Table

from comagic.catalog import LIST, reports
from tests.benchmarks.rivals import DATABASE, RIVALS, Task, week_windows
from tests.support.article import ARTICLE_FIELDS
from tests.support.kept_rows import Served

ROOT = Path(__file__).parent.parent.parent
CALLS = reports()["calls"]
CALLS_PER_DAY = 7_000
"""So many that a week is half of what one query can reach."""
WORKING_DAYS_PER_WEEK = 6.35
FIELDS = {"article": ARTICLE_FIELDS, "default": list(CALLS.selected)}
SCRIPT, REST_API, PIPELINE = "script", "rest_api", "pipeline"
METHODS = (*RIVALS, PIPELINE)
SECONDS_BETWEEN_SAMPLES = 0.2
COMPARED = (
    "id", "talk_duration", "visits_count", "is_lost", "finish_reason", "campaign_name", "contact_phone_number",
    "utm_source", "visitor_device",
)  # fmt: skip
"""Columns of calls whose values are compared, beside the start."""
TITLES = (
    "method", "seconds", "to script", "to rest_api", "CPU s", "peak MB", "requests", "refused", "server CPU s", "rows",
    "tables",
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """One way to load: a row of the table.

    Attributes:
        name: its title.
        method: the method.
        checkout: folder of this project, or of another version of it.
        environment: more environment variables.
    """

    name: str
    method: str
    checkout: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, task: Task) -> list[str]:
        """The command line of its process."""
        if self.method == PIPELINE:
            return [sys.executable, str(self.checkout / "comagic_pipeline.py")]
        return [sys.executable, "-m", "tests.benchmarks.rivals", self.method, json.dumps(asdict(task))]


@dataclass(frozen=True)
class Measured:
    """One measurement.

    Attributes:
        seconds: from the start of the process to its end.
        cpu: seconds of CPU time of it and its children.
        peak: most memory of the process tree, in MB.
        server: what the server counted.
        tables: rows by table, and a hash of the compared columns; empty if nothing is loaded.
    """

    seconds: float
    cpu: float
    peak: float
    server: dict[str, Any]
    tables: dict[str, Any]


def tree_memory(root: int) -> float:
    """Memory of a process and its descendants in MB: the sum of their proportional shares of each page."""
    kilobytes, pids = 0, [root]
    while pids:
        process = Path(f"/proc/{pids.pop()}")
        try:
            for task in (process / "task").iterdir():
                pids += map(int, (task / "children").read_text().split())
            share = (process / "smaps_rollup").read_text().partition("\nPss:")[2]
            kilobytes += int(share.split()[0])
        except (OSError, IndexError):
            continue  # has just ended
    return kilobytes / 1024


def run_measured(command: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Runs a process to its end; returns seconds, seconds of CPU and the peak of its memory."""
    output, ended, samples = folder / "output", Event(), [0.0]
    with output.open("wb") as file:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)

        def sample() -> None:
            while not ended.wait(SECONDS_BETWEEN_SAMPLES):
                samples.append(tree_memory(process.pid))

        sampler = Thread(target=sample)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        ended.set()
        sampler.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{shlex.join(command[:5])} failed:\n{output.read_text()[-3000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, max(samples)


def read_tables(folder: Path, fields: Sequence[str]) -> dict[str, Any]:
    """Rows by table, and a hash of compared columns; of a flat table, items of the lists instead of child rows."""
    files = list(folder.glob("*.duckdb"))
    if not files:
        return {}
    lists = [name for name in fields if CALLS.fields[name].type == LIST]
    columns = ", ".join(f"{name}::VARCHAR" for name in COMPARED)
    with duckdb.connect(str(files[0]), read_only=True) as connection:
        if files[0].name != DATABASE:  # an aware time: back to the local one
            start, dataset = "epoch(start_time) + 3 * 3600", "comagic."
        else:
            dataset = "comagic." if connection.sql("FROM duckdb_schemas() WHERE schema_name = 'comagic'") else ""
            start = "epoch(start_time::TIMESTAMP)"
        rows = {"calls": f"count(*) FROM {dataset}calls"}
        for name in lists:
            items = f"sum(json_array_length({name})) FROM calls"
            rows[name] = f"count(*) FROM {dataset}calls__{name}" if dataset else items
        rows["hash"] = f"sum(hash(({start})::BIGINT, {columns})) FROM {dataset}calls"
        return {name: int(connection.sql(f"SELECT {what}").fetchall()[0][0] or 0) for name, what in rows.items()}


class Server:
    """A server process; see `tests.support.kept_rows`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def answer(self) -> dict[str, Any]:
        """The next line that it writes."""
        assert self._process.stdout
        answered: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answered

    def turn(self) -> dict[str, Any]:
        """Starts a server with a full quota and returns how to reach it, or stops it and returns what it did."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.answer()


@contextmanager
def serve(served: Served) -> Iterator[Server]:
    """A server process, which ends with the `with` block."""
    command = [sys.executable, "-m", "tests.support.kept_rows", json.dumps(asdict(served))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            server = Server(process)
            server.answer()
            yield server
        finally:
            process.kill()


def measure(load: Load, server: Server, served: Served, bytecode: str) -> Measured:
    """Loads into an empty folder.

    Args:
        load: how.
        server: the server.
        served: what it serves.
        bytecode: folder of Python's compiled modules.
    """
    access = server.turn()
    first_day = datetime.fromisoformat(served.first_day)
    end = datetime.fromisoformat(served.last_day) + timedelta(days=1)
    types = {name: CALLS.fields[name].type for name in served.fields}
    task = Task(**access, fields=types, windows=week_windows(first_day, end))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if load.method == PIPELINE:
            (folder / ".dlt").mkdir()  # its configuration turns compression off, among others
            copy(load.checkout / ".dlt" / "config.toml", folder / ".dlt")
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": bytecode,
            "PYTHONPATH": str(load.checkout),
            "DLT_DATA_DIR": str(folder / "dlt"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "SOURCES__COMAGIC__BASE_URL": access["base_url"],
            "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": access["access_token"],
            "SOURCES__COMAGIC__START_DATE": served.first_day,
            "SOURCES__COMAGIC__FIELDS": json.dumps(served.fields),
            **load.environment,
        }
        seconds, cpu, peak = run_measured(load.command(task), folder, environment)
        return Measured(seconds, cpu, peak, server.turn(), read_tables(folder, served.fields))


def table_rows(measured: dict[str, list[Measured]]) -> Iterator[list[str]]:
    """The rows of the table: medians, and in brackets the least and the most."""
    medians = {name: statistics.median(one.seconds for one in found) for name, found in measured.items()}
    loaded = [one.tables for found in measured.values() for one in found if one.tables]
    for name, found in measured.items():
        seconds = sorted(one.seconds for one in found)
        spread = f" ({seconds[0]:.1f}–{seconds[-1]:.1f})" if len(found) > 1 else ""
        ratios = [f"{medians[name] / medians[to]:.2f}" if to in medians else "" for to in (SCRIPT, REST_API)]
        counts, server = found[-1].tables, found[-1].server
        rows = f"{sum(counts.values()) - counts['hash']:,}" if counts else ""
        agree = "equal" if all(one.tables == loaded[0] for one in found) else "DIFFERENT"
        yield [
            name,
            f"{medians[name]:.1f}{spread}",
            *ratios,
            f"{statistics.median(one.cpu for one in found):.1f}",
            f"{max(one.peak for one in found):.0f}",
            str(server["requests"]),
            str(server["refused"]),
            f"{statistics.median(one.server['cpu'] for one in found):.1f}",
            rows,
            agree if counts else "",
        ]


def print_table(rows: Sequence[Sequence[str]], is_markdown: bool) -> None:
    """Prints the table."""
    if is_markdown:
        for row in (TITLES, ["---"] * len(TITLES), *rows):
            click.echo(f"| {' | '.join(row)} |")
        return
    table = Table(box=None)
    for title in TITLES:
        table.add_column(title, justify="left" if title == "method" else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


@click.command()
@click.option("--calls", type=int, default=210_000, show_default=True, help="Number of calls, about.")
@click.option(
    "--fields", type=click.Choice(list(FIELDS)), default="article", show_default=True, help="31 or 51 fields."
)
@click.option(
    "--list-share",
    type=float,
    default=0.58,
    show_default=True,
    help="Share of the items of the sandbox's lists; 0.58 gives 1.9 child rows a call of 31 fields.",
)
@click.option("--latency", type=float, default=0.0, show_default=True, help="Seconds before each response.")
@click.option("--minute-limit", type=int, default=100_000, show_default=True, help="Requests a minute.")
@click.option("--repetitions", type=int, default=1, show_default=True, help="Measurements of each; prints medians.")
@click.option("--method", "methods", type=click.Choice(METHODS), multiple=True, default=METHODS, help="Default: all.")
@click.option("--with", "settings", multiple=True, metavar="'NAME=VALUE ...'", help="One more pipeline, so configured.")
@click.option("--checkout", "checkouts", type=click.Path(path_type=Path), multiple=True, help="One more pipeline: its.")
@click.option("--markdown", "is_markdown", is_flag=True, help="Print the table in Markdown.")
def main(
    calls: int,
    fields: str,
    list_share: float,
    latency: float,
    minute_limit: int,
    repetitions: int,
    methods: tuple[str, ...],
    settings: tuple[str, ...],
    checkouts: tuple[Path, ...],
    is_markdown: bool,
) -> None:
    """Measure each method, and print a table."""
    days = ceil(calls / CALLS_PER_DAY)
    last_day: date = pendulum.today("UTC").date() - timedelta(days=1)
    first_day = last_day - timedelta(days=days - 1)
    per_day = calls / days * 7 / WORKING_DAYS_PER_WEEK
    served = Served(str(first_day), str(last_day), per_day, FIELDS[fields], list_share, latency, minute_limit)
    loads = [Load(name, name) for name in methods]
    loads += [
        Load(f"with {one}", PIPELINE, ROOT, dict(pair.split("=", 1) for pair in shlex.split(one))) for one in settings
    ]
    loads += [Load(f"in {path}", PIPELINE, path.resolve()) for path in checkouts]
    measured: dict[str, list[Measured]] = {load.name: [] for load in loads}
    with tempfile.TemporaryDirectory() as bytecode:
        small = replace(served, calls_per_day=10, latency=0, minute_limit=1_000)
        with serve(small) as server:
            for load in loads:
                measure(load, server, small, bytecode)  # compiles the modules
        with serve(served) as server:
            for load in loads * repetitions:
                measured[load.name].append(measure(load, server, served, bytecode))
    rows = list(table_rows(measured))
    print_table(rows, is_markdown)
    sys.exit(any("DIFFERENT" in row for row in rows))


if __name__ == "__main__":
    main()
