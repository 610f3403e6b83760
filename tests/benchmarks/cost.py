"""Estimates what BigQuery bills for the runs of a month, from the sizes of rows and Google's pricing rules.

    .venv/bin/python -m tests.benchmarks.cost

This is arithmetic, not a measurement; nothing is run at Google. The bytes of a row come from the synthetic account,
loaded with the default fields; the statements are those of `tests/data/bigquery_merge.sql`; the rules are Google's for
on-demand queries ("Data manipulation language, pricing" and "Data size calculation"):

- INT64, FLOAT64, DATE and TIMESTAMP take 8 bytes, BOOL 1, STRING 2 plus its UTF-8 bytes, NULL none.
- MERGE with an UPDATE, and DELETE: the columns that the statement reads, in the partitions that it reads, plus all
  columns of the partitions that change. Every day of a run is taken to have a call that changed.
- INSERT and SELECT: the columns that the statement reads.
- At least 10 MB for each table that a statement names. Load jobs and TRUNCATE are free.
"""

import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from pathlib import Path

import click
import dlt
import duckdb

from comagic import KeyCredentials, comagic_source
from comagic.load.destinations import LARGE_PACKAGE_ROWS
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import Settings

LOOKBACK_DAYS: int = Settings.lookback_days
CALLS_PER_DAY = (1_000, 10_000, 50_000)
HISTORY_YEARS = 3
"""Years of history; no statement reads more than the days that a run loads, so more years cost the same."""
MINIMUM = 10 * 2**20
ROOT_KEYS = ("id", "partition_date", "row_hash", "_dlt_id", "_dlt_load_id")
"""Columns of `calls` that statements read beside the days that change."""
CHILD_KEYS = ("_dlt_root_id", "partition_date")
BOOKKEEPING_OF_RUN, BOOKKEEPING_OF_PACKAGE = 4, 2
"""dlt's small queries (counted by `tests.benchmarks.statements`): of a run, and of each load package."""
FREE_TIB, DOLLARS_PER_TIB = 1, 6.25
SAMPLE_DAYS = 60


@dataclass
class Size:
    """Bytes per call in a table.

    Attributes:
        all_columns: bytes in all columns.
        keys: bytes in the columns that every statement has to read.
    """

    all_columns: float
    keys: float


def measure_sizes() -> dict[str, Size]:
    """Loads a sample into DuckDB and returns its size by table, as BigQuery would count it."""
    first = date(2026, 3, 2)
    account = SyntheticAccount(first_day=first, last_day=first + timedelta(days=SAMPLE_DAYS), calls_per_day=100)
    with tempfile.TemporaryDirectory() as folder, SandboxServer(account) as sandbox:
        file = Path(folder) / "sample.duckdb"
        source = comagic_source(KeyCredentials(access_token=KEY), sandbox.base_url, first.isoformat())
        pipeline = dlt.pipeline(
            "cost", destination=dlt.destinations.duckdb(str(file)), dataset_name="comagic", pipelines_dir=folder
        )
        pipeline.run(source, loader_file_format="parquet")
        with duckdb.connect(str(file), read_only=True) as connection:
            columns = connection.execute(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'comagic' AND table_name LIKE 'calls%'"
            ).fetchall()
            (calls,) = connection.execute("SELECT count(*) FROM comagic.calls").fetchone() or (0,)
            found: dict[str, Size] = {}
            for table, column, kind in columns:
                size = {"VARCHAR": f'strlen("{column}") + 2', "BOOLEAN": "1"}.get(kind, "8")
                counted = f'SELECT sum({size}) FILTER ("{column}" IS NOT NULL) FROM comagic.{table}'
                bytes_per_call = float((connection.execute(counted).fetchone() or (0,))[0] or 0) / calls
                table_size = found.setdefault(table, Size(0, 0))
                table_size.all_columns += bytes_per_call
                table_size.keys += bytes_per_call if column in (ROOT_KEYS if table == "calls" else CHILD_KEYS) else 0
    return found


@dataclass
class Run:
    """A run that loads what is new, and the lookback again.

    Attributes:
        calls_per_day: calls of all clients together.
        package_rows: the setting `load_package_rows`.
    """

    calls_per_day: int
    package_rows: int = LARGE_PACKAGE_ROWS

    @property
    def days(self) -> int:
        """Days that the run loads: the lookback and the last day."""
        return LOOKBACK_DAYS + 1

    @property
    def packages(self) -> int:
        """Number of load packages."""
        return ceil(self.calls_per_day * self.days / self.package_rows)

    def statements(self, sizes: dict[str, Size]) -> dict[str, float]:
        """Billed bytes by kind of statement, over all packages of the run."""
        changed_days = ceil(self.days / self.packages)
        staged, scanned = changed_days * self.calls_per_day, (changed_days + 2) * self.calls_per_day
        root = sizes["calls"]
        written = max(scanned * root.keys, MINIMUM)
        billed = {"MERGE": max(scanned * root.keys + staged * root.all_columns, MINIMUM)}
        billed["MERGE"] += max(staged * root.all_columns, MINIMUM)
        billed["DELETE"] = billed["INSERT"] = 0.0
        for table, size in sizes.items():
            if table != "calls":
                billed["DELETE"] += max(scanned * size.keys + staged * size.all_columns, MINIMUM) + written
                billed["INSERT"] += max(staged * size.all_columns, MINIMUM) + written
        billed["check"] = written + max(staged * root.keys, MINIMUM)
        billed = {name: size * self.packages for name, size in billed.items()}
        billed["bookkeeping"] = (BOOKKEEPING_OF_RUN + BOOKKEEPING_OF_PACKAGE * self.packages) * MINIMUM * 1.0
        return billed


@click.command()
def main() -> None:
    """Print the table of docs/bigquery.md, Cost."""
    sizes = measure_sizes()
    by_table = ", ".join(f"{name} {size.all_columns:,.0f}" for name, size in sorted(sizes.items()))
    click.echo(f"Bytes per call: {by_table}; of the keys in calls {sizes['calls'].keys:,.0f}\n")
    kinds = list(Run(1).statements(sizes))
    click.echo(f"| calls a day | packages | {' | '.join(kinds)} | a run | a month, nightly | a month, hourly |")
    click.echo(f"| {'--- | ' * (len(kinds) + 5)}")
    for calls_per_day in CALLS_PER_DAY:
        run = Run(calls_per_day)
        billed = run.statements(sizes)
        total = sum(billed.values())
        gigabytes = " | ".join(f"{size / 2**30:,.2f}" for size in billed.values())
        months = [total * runs / 2**40 for runs in (30, 30 * 24)]
        prices = " | ".join(
            f"{tib:,.2f} TiB, {max(tib - FREE_TIB, 0) * DOLLARS_PER_TIB:,.0f} $"
            if tib > FREE_TIB
            else f"{tib:,.2f} TiB"
            for tib in months
        )
        click.echo(f"| {calls_per_day:,} | {run.packages} | {gigabytes} | {total / 2**30:,.2f} GiB | {prices} |")


if __name__ == "__main__":
    main()
