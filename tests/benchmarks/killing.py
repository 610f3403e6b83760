"""Kills a load at random moments, and looks whether the next run ends with the right tables, every time.

    .venv/bin/python -m tests.benchmarks.killing --calls 100000 --kills 20

A load that nobody disturbs makes the reference. Then, for each moment: a fresh folder, a load that is killed there, the
disk of dlt kept or lost, a second load to its end, and every table compared with the reference, column by column
(dlt's own load ids apart). `test_stopping.py` does the same on a small scale with every change.
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
from datetime import timedelta
from pathlib import Path

import click
import duckdb
import pendulum
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent.parent
DAYS = 40
WORKING_DAYS_A_WEEK = 6.35
TABLES = ("calls", "calls__tags", "calls__employees", "calls__attributes", "calls__call_records")


def load(folder: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Starts the script in a folder."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "comagic_pipeline.py")],
        cwd=folder,
        env={**environment, "DLT_DATA_DIR": str(folder / "dlt")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def differences(reference: Path, other: Path) -> int:
    """Rows that only one of two files has, over all tables."""
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


@click.command()
@click.option("--calls", type=int, default=100_000, show_default=True, help="Calls of the load.")
@click.option("--kills", type=int, default=20, show_default=True, help="Moments, for each kind of disk.")
@click.option("--disk", type=click.Choice(["kept", "lost"]), multiple=True, default=("kept", "lost"), show_default=True)
@click.option("--signal", "name", type=click.Choice(["KILL", "TERM"]), default="KILL", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(calls: int, kills: int, disk: tuple[str, ...], name: str, seed: int) -> None:
    """Kill, load again, compare; print a table."""
    today = pendulum.today("UTC").date()
    begin, end = today - timedelta(days=DAYS), today - timedelta(days=1)
    a_day = calls / DAYS * 7 / WORKING_DAYS_A_WEEK
    command = [sys.executable, "-m", "comagic.sandbox", "--first-day", f"{begin}", "--last-day", f"{end}"]
    shown = Table(box=None)
    for title in ("disk", "moment s", "ended with", "within s", "next run", "differences"):
        shown.add_column(title, justify="right")
    moments = random.Random(seed)
    wrong = 0
    with (
        tempfile.TemporaryDirectory() as place,
        subprocess.Popen([*command, "--calls-per-day", f"{a_day}"], stdout=subprocess.PIPE, cwd=ROOT) as sandbox,
    ):
        try:
            access = json.loads(sandbox.stdout.readline()) if sandbox.stdout else {}
            environment = {
                **os.environ,
                "SOURCES__COMAGIC__BASE_URL": access["base_url"],
                "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": access["access_token"],
                "SOURCES__COMAGIC__START_DATE": f"{begin}",
                "SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": f"{calls // 6}",
            }
            reference = Path(place) / "reference"
            reference.mkdir()
            began = time.monotonic()
            load(reference, environment).wait()
            lasts = undisturbed = time.monotonic() - began
            for kind in disk:
                for number in range(kills):
                    folder = Path(place) / f"{kind}{number}"
                    process = None
                    while process is None or process.poll() is not None:  # a load that was done before: once more
                        shutil.rmtree(folder, ignore_errors=True)
                        folder.mkdir()
                        process, moment = load(folder, environment), moments.uniform(0.3, lasts)
                        time.sleep(moment)
                        lasts = min(lasts, moment) if process.poll() is not None else lasts
                    process.send_signal(getattr(signal, f"SIG{name}"))
                    told = time.monotonic()
                    ended = process.wait()
                    within = time.monotonic() - told
                    if kind == "lost":
                        shutil.rmtree(folder / "dlt", ignore_errors=True)
                    again = load(folder, environment).wait()
                    found = differences(reference, folder)
                    wrong += bool(again or found)
                    shown.add_row(kind, f"{moment:.1f}", f"{ended}", f"{within:.1f}", f"{again}", f"{found}")
                    shutil.rmtree(folder)
        finally:
            sandbox.terminate()
    Console(width=100).print(shown)
    click.echo(f"undisturbed: {undisturbed:.1f} s; wrong after the next run: {wrong} of {kills * len(disk)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
