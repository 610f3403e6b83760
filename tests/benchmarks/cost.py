"""What a daily run scans in BigQuery, statement by statement, computed from table sizes by Google's rules.

    .venv/bin/python -m tests.benchmarks.cost

Nothing here bills, so this is arithmetic and no measurement: bytes of a row come from the synthetic account, loaded
with the default fields; the statements are those of `tests/data/bigquery_merge.sql`; the rules are Google's for
on-demand queries ("Data manipulation language, pricing" and "Data size calculation"):

- INT64, FLOAT64, DATE, TIMESTAMP 8 bytes, BOOL 1, STRING 2 and its UTF-8, NULL none.
- MERGE with an UPDATE, and DELETE: all columns that the statement reads, of every partition, plus all columns of the
  partitions that change; of a table without partitions, of the whole table.
- 10 MB at least for each table that a query names. Load jobs and TRUNCATE are free.
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
"""Small queries of dlt in one load package: its state, versions and loads, and whether tables exist (counted)."""
DOLLARS_A_TIB = 6.25
SAMPLE_DAYS = 60


@dataclass
class Size:
    """Bytes that one call takes in a table: all columns, and those columns alone that every merge must read."""

    every: float
    keys: float


def sizes() -> dict[str, Size]:
    """Loads a sample into DuckDB and counts what BigQuery would."""
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
                each = float((connection.execute(counted).fetchone() or (0,))[0] or 0) / calls
                of = found.setdefault(table, Size(0, 0))
                of.every += each
                of.keys += each if column == ("id" if table == "calls" else "_dlt_id") else 0
    return found


@dataclass
class Day:
    """A daily run over a table of so many calls."""

    calls: int
    compares: bool
    package_rows: int

    @property
    def read_again(self) -> float:
        """Calls that the run reads: the lookback's, and the last day's."""
        return self.calls / (YEARS * 365) * (LOOKBACK_DAYS + 1)

    @property
    def packages(self) -> int:
        """Load packages of the run."""
        return ceil(self.read_again / self.package_rows)

    def statements(self, sizes: dict[str, Size]) -> dict[str, float]:
        """Bytes of each kind of statement, over all packages of the run."""
        staged, billed = self.read_again / self.packages, dict.fromkeys(("MERGE calls", "MERGE children"), 0.0)
        billed |= {"DELETE children": 0.0, "bookkeeping": float(BOOKKEEPING * MINIMUM)}
        for table, size in sizes.items():
            read = size.every if self.compares else size.keys
            source = max(staged * size.every, MINIMUM)
            if table == "calls":
                billed["MERGE calls"] += max(self.calls * read + self.read_again * size.every, MINIMUM) + source
            else:
                whole = self.calls * size.every
                billed["MERGE children"] += max(self.calls * read + whole, MINIMUM) + source
                # DELETE reads the table's two keys, which are alike, and the keys of both staging tables.
                billed["DELETE children"] += max(self.calls * size.keys * 2 + whole, MINIMUM) + 2 * MINIMUM
        return {name: of * self.packages for name, of in billed.items()}


@click.command()
def main() -> None:
    """Prints the tables of docs/internals.md, Cost."""
    found = sizes()
    each = ", ".join(f"{name} {of.every:,.0f}" for name, of in sorted(found.items()))
    click.echo(f"Bytes a call: {each}\n")
    ways = (
        ("as it comes", True, LOAD_PACKAGE_ROWS),
        ("skip_unchanged_rows = false", False, LOAD_PACKAGE_ROWS),
        ("and load_package_rows = 500000", False, 500_000),
    )
    click.echo(
        "| calls | settings | packages | MERGE calls | MERGE children | DELETE children | bookkeeping | in all |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for calls in SIZES:
        for name, compares, rows in ways:
            day = Day(calls, compares, rows)
            billed = day.statements(found)
            total = sum(billed.values())
            shown = " | ".join(f"{of / 2**30:,.2f}" for of in billed.values())
            price = f"{total / 2**30:,.2f} GiB, {total / 2**40 * DOLLARS_A_TIB:,.2f} $"
            click.echo(f"| {calls:,} | {name} | {day.packages} | {shown} | {price} |")


if __name__ == "__main__":
    main()
