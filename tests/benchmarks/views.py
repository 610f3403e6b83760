"""How long each view takes over a million calls in DuckDB, for all days and for a month.

    python comagic_pipeline.py load --demo --resource all
    python comagic_pipeline.py views --demo
    python -m tests.benchmarks.views --demo comagic_demo.duckdb

The demo's rows are copied, each copy with ids of its own and 20 days earlier; numbers and visitors are new in every
fourth copy, so that callers come back.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import duckdb

from comagic.load.views.definitions import views
from comagic.load.views.render import Dataset, known_columns, render

DAYS, COPIES_OF_CALLER = 20, 4
OWN_IDS = {
    "calls": ("id", "visitor_session_id"),
    "visitor_sessions": ("id",),
    "deals_history": ("communication_id",),
    "campaign_daily_stat": (),
    "source_costs": (),
}
"""Tables that are copied, with the numbers that are unique in them or refer to such; their lists are copied, too."""
KEYS = ("_dlt_id", "_dlt_root_id", "_dlt_parent_id", "row_id")
TYPES = {"BIGINT": "bigint", "VARCHAR": "text", "DATE": "date", "DOUBLE": "double", "BOOLEAN": "bool", "JSON": "json"}
SETTINGS = {"abandoned_after_seconds": 15, "attribution_days": 180, "brand_host": "comagic.ru"}
COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE database_name = 'demo' AND schema_name = 'comagic' AND table_name = ? ORDER BY column_index
"""


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True), required=True, help="The demo's database.")
@click.option("--copies", default=62, show_default=True, help="Copies of its rows: 62 are a million calls.")
@click.option("--threads", default=2, show_default=True, help="Threads of DuckDB.")
def main(demo: Path, copies: int, threads: int) -> None:
    """Prints a line a view."""
    with duckdb.connect() as connection:
        connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'; ATTACH '{demo}' AS demo (READ_ONLY)")
        connection.execute("CREATE SCHEMA comagic")
        dataset = Dataset("duckdb", dict(copy_tables(connection, copies)), "comagic.{}".format, SETTINGS)
        ((last,),) = connection.execute("SELECT max(partition_date) FROM comagic.calls").fetchall()
        for name, view in views().items():
            query, day = render(view, dataset), "week" if name == "funnel" else "partition_date"
            month = f"SELECT * FROM ({query}) WHERE {day} BETWEEN '{last - timedelta(days=30)}' AND '{last}'"
            everything, one_month = (timed(connection, f"CREATE OR REPLACE TABLE t AS {sql}") for sql in (query, month))
            click.echo(f"{name:18} all days {everything:6.1f} s, a month {one_month:6.1f} s")


def copy_tables(connection: duckdb.DuckDBPyConnection, copies: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Copies the tables that views name; yields each with the types of its columns."""
    for table in known_columns():
        found = connection.execute(COLUMNS, [table]).fetchall()
        if found:
            values = ", ".join(f'{copied(table, name, kind)} AS "{name}"' for name, kind in found)
            number = copies if table.partition("__")[0] in OWN_IDS else 1
            rows = f'SELECT {values} FROM demo.comagic."{table}" AS t, range({number}) AS k(k)'
            connection.execute(f'CREATE TABLE comagic."{table}" AS {rows}')
            yield table, {name: TYPES.get(kind, "timestamp") for name, kind in found}


def copied(table: str, name: str, kind: str) -> str:
    """A column's value in a copy."""
    column, earlier = f't."{name}"', f"CAST(k.k * {DAYS} AS INTEGER)"
    if name in KEYS or (table, name) == ("deals_history", "ext_id"):
        return f"{column} || '_' || k.k"
    if name in OWN_IDS.get(table, ()):
        return f"{column} * 1000 + k.k"
    if name == "visitor_id":
        return f"{column} + k.k // {COPIES_OF_CALLER} * 10000000"
    if name == "contact_phone_number":
        return f"CAST(CAST({column} AS BIGINT) + k.k // {COPIES_OF_CALLER} AS VARCHAR)"
    if kind == "DATE":
        return f"{column} - {earlier}"
    return f"{column} - to_days({earlier})" if kind.startswith("TIMESTAMP") else column


def timed(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    """Seconds that a statement takes."""
    started = time.monotonic()
    connection.execute(sql)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
