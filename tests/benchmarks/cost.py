"""Estimates what BigQuery bills for a daily run, by statement, from table sizes and Google's pricing rules.

    .venv/bin/python -m tests.benchmarks.cost

This is arithmetic, not a measurement; nothing is run at Google. The bytes of a row come from the synthetic account,
loaded with the default fields; the statements are those of `tests/data/bigquery_merge.sql`; the rules are Google's for
on-demand queries ("Data manipulation language, pricing" and "Data size calculation"):

- INT64, FLOAT64, DATE and TIMESTAMP take 8 bytes, BOOL 1, STRING 2 plus its UTF-8 bytes, NULL none.
- MERGE with an UPDATE, and DELETE: all columns that the statement reads, in every partition, plus all columns of the
  partitions that change; in a table without partitions, of the whole table.
- At least 10 MB for each table that a query references. Load jobs and TRUNCATE are free.
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
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import Settings

LOOKBACK_DAYS: int = Settings.lookback_days
LOAD_PACKAGE_ROWS: int = Settings.load_package_rows
SIZES = (10_000, 1_000_000, 100_000_000)
YEARS = 3
MINIMUM = 10 * 2**20
BOOKKEEPING = 9
"""dlt's small queries per load package (counted): its state, versions and loads, and whether tables exist."""
DOLLARS_PER_TIB = 6.25
SAMPLE_DAYS = 60


@dataclass
class Size:
    """Bytes per call in a table.

    Attributes:
        all_columns: bytes in all columns.
        keys: bytes in the columns that every merge has to read.
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
                table_size.keys += bytes_per_call if column == ("id" if table == "calls" else "_dlt_id") else 0
    return found


@dataclass
class DailyRun:
    """A daily run.

    Attributes:
        calls: number of calls in the table.
        skips_unchanged: whether rows are compared, so that unchanged ones are not written.
        package_rows: the setting `load_package_rows`.
    """

    calls: int
    skips_unchanged: bool
    package_rows: int

    @property
    def rows_read(self) -> float:
        """Calls that the run reads: those of the lookback and of the last day."""
        return self.calls / (YEARS * 365) * (LOOKBACK_DAYS + 1)

    @property
    def packages(self) -> int:
        """Number of load packages."""
        return ceil(self.rows_read / self.package_rows)

    def statements(self, sizes: dict[str, Size]) -> dict[str, float]:
        """Billed bytes by kind of statement, over all packages of the run."""
        staged, billed = self.rows_read / self.packages, dict.fromkeys(("MERGE calls", "MERGE children"), 0.0)
        billed |= {"DELETE children": 0.0, "bookkeeping": float(BOOKKEEPING * MINIMUM)}
        for table, size in sizes.items():
            read = size.all_columns if self.skips_unchanged else size.keys
            source = max(staged * size.all_columns, MINIMUM)
            if table == "calls":
                billed["MERGE calls"] += max(self.calls * read + self.rows_read * size.all_columns, MINIMUM) + source
            else:
                whole = self.calls * size.all_columns
                billed["MERGE children"] += max(self.calls * read + whole, MINIMUM) + source
                # DELETE reads the table's two keys, which have the same size, and the keys of both staging tables.
                billed["DELETE children"] += max(self.calls * size.keys * 2 + whole, MINIMUM) + 2 * MINIMUM
        return {name: size * self.packages for name, size in billed.items()}


@click.command()
def main() -> None:
    """Print the table of docs/bigquery.md, Cost."""
    sizes = measure_sizes()
    by_table = ", ".join(f"{name} {size.all_columns:,.0f}" for name, size in sorted(sizes.items()))
    click.echo(f"Bytes per call: {by_table}\n")
    variants = (
        ("default", True, LOAD_PACKAGE_ROWS),
        ("`skip_unchanged_rows = false`", False, LOAD_PACKAGE_ROWS),
        ("and `load_package_rows = 500000`", False, 500_000),
    )
    click.echo(
        "| calls | settings | packages | MERGE `calls` | MERGE children | DELETE children | bookkeeping | total |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for calls in SIZES:
        for settings, skips_unchanged, package_rows in variants:
            run = DailyRun(calls, skips_unchanged, package_rows)
            billed = run.statements(sizes)
            total = sum(billed.values())
            gigabytes = " | ".join(f"{size / 2**30:,.2f}" for size in billed.values())
            price = f"{total / 2**30:,.2f} GiB, {total / 2**40 * DOLLARS_PER_TIB:,.2f} $"
            click.echo(f"| {calls:,} | {settings} | {run.packages} | {gigabytes} | {price} |")


if __name__ == "__main__":
    main()
