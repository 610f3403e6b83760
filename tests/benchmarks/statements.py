"""Counts what loads send to BigQuery: SQL statements, scripts, load jobs, requests, and how often a table is changed.

    .venv/bin/python -m tests.benchmarks.statements

The loads run against an emulator behind a proxy; the synthetic account is small, and the numbers do not depend on its
size as long as a load is one package of reports. At Google a table may be changed 1,500 times a day by load jobs
(https://cloud.google.com/bigquery/quotas#standard_tables); statements do not count.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from comagic.sandbox import SandboxServer, Switches
from tests.support.accounts import TODAY, access_to, recent_account
from tests.support.emulator import run_emulator
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import SCRIPT

MINIMUM = 10 * 2**20
"""Bytes that BigQuery bills at least for each table that a statement names."""
BILLED = ("SELECT", "MERGE", "DELETE", "INSERT", "UPDATE")
TABLE = re.compile(r"(?:FROM|JOIN|INTO|USING)\s+`[^`]+`\.`[^`]+`\.`([^`]+)`")
STATEMENT = re.compile(r";\s+(?=(?:CREATE|INSERT|MERGE|DELETE|TRUNCATE|DROP|ALTER|DECLARE|BEGIN|COMMIT|UPDATE) )")


@dataclass
class Counted:
    """What a load sent.

    Attributes:
        statements: SQL statements by their first word.
        scripts: queries in which they were sent.
        load_jobs: load jobs by table.
        requests: HTTP requests.
        minimum: bytes billed by the minimum for each table alone.
    """

    statements: Counter[str]
    scripts: int
    load_jobs: Counter[str]
    requests: int
    minimum: int


def count(proxy: GoogleProxy) -> Counted:
    """Counts what the proxy has seen since the last time."""
    statements = [one.strip() for sql in proxy.queries for one in STATEMENT.split(sql.strip()) if one.strip()]
    minimum = sum(MINIMUM * max(len(set(TABLE.findall(one))), 1) for one in statements if one.split()[0] in BILLED)
    kinds = Counter(one.split()[0] for one in statements)
    counted = Counted(kinds, len(proxy.queries), Counter(proxy.loaded), len(proxy.seen), minimum)
    for seen in (proxy.queries, proxy.loaded, proxy.seen):
        seen.clear()
    return counted


def row(name: str, counted: Counted) -> str:
    """A row of the table in docs/bigquery.md."""
    kinds = ", ".join(f"{number} {kind}" for kind, number in counted.statements.most_common())
    return (
        f"| {name} | {counted.statements.total()}: {kinds} | {counted.scripts} | {counted.load_jobs.total()} | "
        f"{max(counted.load_jobs.values())} | {counted.requests} | {counted.minimum // 2**20:,} |"
    )


@click.command()
def main() -> None:
    """Print the table of docs/bigquery.md, Quotas."""
    click.echo(
        "| load | SQL statements | queries | load jobs | requests | most load jobs into one table | MB at least |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- |")
    first_day = TODAY - timedelta(days=10)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with run_emulator(folder / "log", folder) as emulator:
            for what, clients in (("calls", 1), ("all", 1), ("calls", 20), ("all", 20)):
                project = f"{what}-{clients}"
                environment = {
                    **os.environ,
                    "DLT_DATA_DIR": str(folder / project),
                    "DESTINATION_TYPE": "bigquery",
                    "DESTINATION__BIGQUERY__PROJECT_ID": project,
                    "DATA_WRITER__DISABLE_COMPRESSION": "true",
                    "SOURCES__COMAGIC__RESOURCES": what,
                    "SOURCES__COMAGIC__OPTIONAL_RESOURCES": "all",
                }
                ids = [10_010 + 10 * number for number in range(clients)]
                switches = Switches(agency=clients > 1)
                with (
                    SandboxServer(recent_account(3, first_day=first_day), switches) as sandbox,
                    GoogleProxy(emulator) as proxy,
                ):
                    environment |= access_to(sandbox, BIGQUERY_EMULATOR_HOST=proxy.url)
                    environment["SOURCES__COMAGIC__START_DATE"] = first_day.isoformat()
                    if clients > 1:
                        environment["SOURCES__COMAGIC__USER_IDS"] = str(ids)
                    for night in ("first", "second", "third"):
                        subprocess.run(
                            [sys.executable, str(SCRIPT)], env=environment, cwd=folder, check=True, capture_output=True
                        )
                        counted = count(proxy)
                        if night != "second":
                            whose = f"{clients} clients, {what}" if clients > 1 else what
                            click.echo(row(f"{whose}, {night}", counted))


if __name__ == "__main__":
    main()
