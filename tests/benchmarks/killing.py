"""Kills loads at random moments, and checks each time that the next run leaves correct tables.

    .venv/bin/python -m tests.benchmarks.killing --calls 100000 --kills 20

An undisturbed load is the reference. Then, for each moment: a new folder, a load that is killed at that moment, dlt's
working folder kept or lost, a second load to its end, and every table compared with the reference in every column
except dlt's load ids. `tests/load/test_kills.py` does the same on a small scale with every change.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
import duckdb
import pendulum
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent.parent
DAYS = 40
WORKING_DAYS_PER_WEEK = 6.35
TABLES = ("calls", "calls__tags", "calls__employees", "calls__attributes", "calls__call_records")


def start_load(folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Starts the script in a folder."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "comagic_pipeline.py")],
        cwd=folder,
        env={**environment, "DLT_DATA_DIR": str(folder / "dlt")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def differences(reference: Path, other: Path) -> int:
    """Returns the number of rows that only one of two files has, over all tables."""
    with duckdb.connect() as connection:
        for name, file in (("reference", reference), ("other", other)):
            connection.execute(f"ATTACH '{file / 'comagic_pipeline.duckdb'}' AS {name} (READ_ONLY)")
        found = 0
        for table in TABLES:
            columns = "* EXCLUDE (_dlt_load_id)" if table == "calls" else "*"
            one, two = (f"SELECT {columns} FROM {name}.comagic.{table}" for name in ("reference", "other"))
            both = f"SELECT count(*) FROM (({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one}))"
            found += connection.execute(both).fetchall()[0][0]
    return found


@dataclass(frozen=True)
class Trial:
    """One killed load and the next run.

    Attributes:
        moment: seconds after the start at which the load was killed.
        exit_code: its exit code.
        seconds: how long it took to end.
        next_exit_code: exit code of the next run.
        differences: rows that differ from the reference after the next run.
    """

    moment: float
    exit_code: int
    seconds: float
    next_exit_code: int
    differences: int


class Killer:
    """Kills loads of an account and compares what the next runs leave.

    Args:
        place: folder for all loads.
        environment: environment that leads to the account.
        moments: source of random moments.

    Attributes:
        undisturbed: seconds that a load takes if nothing kills it.
    """

    def __init__(self, place: Path, environment: dict[str, str], moments: random.Random) -> None:
        self._place = place
        self._environment = environment
        self._moments = moments
        self._reference = place / "reference"
        self._reference.mkdir()
        started = time.monotonic()
        if code := start_load(self._reference, environment).wait():
            raise click.ClickException(f"The reference load failed with exit code {code}.")
        self._latest = self.undisturbed = time.monotonic() - started

    def kill(self, signal_number: int, disk: str) -> Trial:
        """Kills a load at a random moment, loads again, and compares."""
        folder = self._place / "load"
        process = None
        while process is None or process.poll() is not None:  # it was faster than the moment: once more, and earlier
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            process, moment = start_load(folder, self._environment), self._moments.uniform(0.3, self._latest)
            time.sleep(moment)
            self._latest = min(self._latest, moment) if process.poll() is not None else self._latest
        process.send_signal(signal_number)
        killed = time.monotonic()
        exit_code = process.wait()
        seconds = time.monotonic() - killed
        if disk == "lost":
            shutil.rmtree(folder / "dlt", ignore_errors=True)
        next_exit_code = start_load(folder, self._environment).wait()
        return Trial(moment, exit_code, seconds, next_exit_code, differences(self._reference, folder))


@click.command()
@click.option("--calls", type=int, default=100_000, show_default=True, help="Number of calls to load.")
@click.option("--kills", type=int, default=20, show_default=True, help="Number of kills per state of the disk.")
@click.option(
    "--disk",
    "disks",
    type=click.Choice(["kept", "lost"]),
    multiple=True,
    default=("kept", "lost"),
    show_default=True,
    help="What happens to dlt's working folder after a kill; repeatable.",
)
@click.option(
    "--signal",
    "signal_name",
    type=click.Choice(["KILL", "TERM"]),
    default="KILL",
    show_default=True,
    help="Signal to send.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random moments.")
def main(calls: int, kills: int, disks: tuple[str, ...], signal_name: str, seed: int) -> None:
    """Kill loads at random moments, load again, compare the tables, and print the results."""
    today = pendulum.today("UTC").date()
    first_day, last_day = today - timedelta(days=DAYS), today - timedelta(days=1)
    calls_per_day = calls / DAYS * 7 / WORKING_DAYS_PER_WEEK
    command = [sys.executable, "-m", "comagic.sandbox", "--first-day", f"{first_day}", "--last-day", f"{last_day}"]
    command += ["--calls-per-day", f"{calls_per_day}"]
    table = Table(box=None)
    for title in ("disk", "killed after s", "exit code", "ended within s", "next exit code", "differences"):
        table.add_column(title, justify="right")
    failures = 0
    with (
        tempfile.TemporaryDirectory() as place,
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as sandbox,
    ):
        try:
            access = json.loads(sandbox.stdout.readline()) if sandbox.stdout else {}
            environment = {
                **os.environ,
                "SOURCES__COMAGIC__BASE_URL": access["base_url"],
                "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": access["access_token"],
                "SOURCES__COMAGIC__START_DATE": f"{first_day}",
                "SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": f"{calls // 6}",
            }
            killer = Killer(Path(place), environment, random.Random(seed))
            for disk in disks:
                for _ in range(kills):
                    trial = killer.kill(getattr(signal, f"SIG{signal_name}"), disk)
                    failures += bool(trial.next_exit_code or trial.differences)
                    cells = (f"{trial.moment:.1f}", trial.exit_code, f"{trial.seconds:.1f}", trial.next_exit_code)
                    table.add_row(disk, *map(str, cells), str(trial.differences))
        finally:
            sandbox.terminate()
    Console(width=100).print(table)
    click.echo(
        f"A load without kills takes {killer.undisturbed:.1f} s. "
        f"Wrong after the next run: {failures} of {kills * len(disks)}."
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
