"""Shows what only Google's own BigQuery can show, in ten minutes and less than 10 GB of the free quota.

    GOOGLE_CLOUD_PROJECT=your-project .venv/bin/python -m tests.on_google

It loads the sandbox's account into datasets of its own, compares the tables with the account, runs every kind of
statement, prints a verdict for each, and deletes the datasets. It needs Application Default Credentials (`gcloud auth
application-default login`) of an account with the role BigQuery User, and a project with billing.
The exit code is 1 if something is not as it should be, 2 if there is no project. Location: BIGQUERY_LOCATION, else EU.
"""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from google.cloud.bigquery import QueryJobConfig

from comagic.exceptions import LeaseLostError
from comagic.load.bigquery_lock import TableLock
from comagic.load.bounds import near_days
from comagic.sandbox import SandboxServer
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import SCRIPT
from tests.support.warehouses import BigQuery

LIMITS = {"retry": bigquery.DEFAULT_RETRY.with_deadline(60), "timeout": 60}
RESOURCES = "calls,campaign_daily_stat,employees,tags,campaigns"
"""Reports merged by row and by day, and dictionaries with lists and JSON columns."""


class Google(BigQuery):
    """A dataset in a project at Google, or in an emulator."""

    def __init__(self, project: str, dataset: str, location: str) -> None:
        emulator = os.environ.get("BIGQUERY_EMULATOR_HOST")
        super().__init__(emulator or "", project, dataset)
        if not emulator:
            self.client = bigquery.Client(project, location=location)
            self.environment = {"DESTINATION_TYPE": "bigquery", "DESTINATION__BIGQUERY__PROJECT_ID": project}
        self.environment |= {"DATASET_NAME": dataset, "DESTINATION__BIGQUERY__LOCATION": location}


class Trial:
    """The checks, with what each needs."""

    def __init__(self, google: Google, folder: Path) -> None:
        self.google = google
        self.folder = folder
        self.account = recent_account(20)
        self.failed = 0

    def check(self, what: str, action: Callable[[], str]) -> None:
        """Prints whether an action succeeds, and what it says."""
        try:
            click.echo(f"ok  {what}: {action()}")
        except (AssertionError, GoogleAPIError, subprocess.SubprocessError) as error:
            self.failed += 1
            click.echo(f"NO  {what}: {error}")

    def command(self, *words: str) -> str:
        """Runs the pipeline's command line against the sandbox; returns what it prints."""
        with SandboxServer(self.account) as sandbox:
            environment = {
                **os.environ,
                **access_to(sandbox, SOURCES__COMAGIC__RESOURCES=RESOURCES, DLT_DATA_DIR=str(self.folder)),
                **self.google.environment,
            }
            done = subprocess.run(
                [sys.executable, str(SCRIPT), *words],
                env=environment,
                cwd=self.folder,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def load(self) -> str:
        """Loads, and compares the tables with the account."""
        printed = self.command()
        found = differences(self.google.calls(), expected_calls(self.account, LONG_AGO))
        assert not found, found[:3]
        ((costs, ids),) = self.google.query("SELECT COUNT(*), COUNT(DISTINCT row_id) FROM campaign_daily_stat")
        assert costs == ids > 0, "rows of campaign_daily_stat are there twice"
        return next((line for line in printed.splitlines() if "bills" in line), "the tables equal the account")

    def change_and_load(self) -> str:
        """Loads late tags, removed tags, an uploaded call, and dictionaries of which one has changed."""
        keys = sorted(expected_calls(self.account, LONG_AGO))
        self.account.change(keys[-1], tags=[], campaign_name="changed late")
        self.account.upload(datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))
        self.account.dictionaries["tags"].pop()
        return self.load()

    def pruned(self) -> str:
        """A MERGE whose condition names days reads these partitions alone; nothing is changed, BigQuery estimates."""
        table, day = f"`{self.google.project}`.{self.google.dataset}.calls", TODAY - timedelta(days=3)
        merge = (
            f"MERGE INTO {table} AS d USING (SELECT id FROM {table} WHERE partition_date = DATE '{day}') AS s "
            "ON d.id = s.id{bounds} WHEN MATCHED AND d.row_hash IS DISTINCT FROM 0 THEN UPDATE SET row_hash = 0"
        )
        bounded, whole = (
            self.google.client.query(merge.format(bounds=bounds), QueryJobConfig(dry_run=True)).total_bytes_processed
            for bounds in (f" AND {near_days([day], 'd.')}", "")
        )
        if not whole:
            return "BigQuery does not say (an emulator?)"
        assert bounded < whole, f"{bounded:,} bytes with days, {whole:,} without"
        return f"{bounded:,} bytes with days, {whole:,} without"

    def rolled_back(self) -> str:
        """A transaction that fails leaves nothing."""
        table = f"`{self.google.project}`.{self.google.dataset}.calls"
        before = self.google.query("SELECT COUNT(*) FROM calls")
        script = f"BEGIN TRANSACTION; DELETE FROM {table} WHERE TRUE; SELECT ERROR('on purpose'); COMMIT TRANSACTION;"
        try:
            self.google.client.query(script).result()
        except GoogleAPIError:
            assert self.google.query("SELECT COUNT(*) FROM calls") == before, "rows are gone"
            return "the rows are as they were"
        raise AssertionError("the transaction did not fail")

    def lock(self) -> str:
        """A lock is held by one, and taken over by one."""
        name = f"{self.google.project}.{self.google.dataset}.trial_lock"
        first, second = (TableLock(self.google.client, name, LIMITS) for _ in range(2))
        assert first.acquire() is None
        assert second.acquire() is not None, "a second one got the lock, too"
        seen = second._get()
        first.renew()
        assert not second._patch(seen, is_held=True), "If-Match is not honoured"
        first.release()
        assert second.acquire() is None
        try:
            first.renew()
        except LeaseLostError:
            return "one at a time, and the other notices"
        raise AssertionError("a lost lock was renewed")

    def views(self) -> str:
        """The views can be queried."""
        self.command("views")
        rows = self.google.query("SELECT id, tags FROM calls_flat")
        assert len(rows) == len(expected_calls(self.account, LONG_AGO))
        return f"{len(rows)} rows"


@contextmanager
def own_datasets(google: Google) -> Iterator[None]:
    """Deletes the datasets in the end."""
    try:
        yield
    finally:
        for name in (google.dataset, f"{google.dataset}_staging"):
            google.client.delete_dataset(name, delete_contents=True, not_found_ok=True)


def main() -> int:
    """Runs the trial; returns the exit code."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        click.echo(__doc__)
        return 2
    dataset, location = f"comagic_trial_{uuid.uuid4().hex[:8]}", os.environ.get("BIGQUERY_LOCATION", "EU")
    google: Any = Google(project, dataset, location)
    with own_datasets(google), tempfile.TemporaryDirectory() as folder:
        trial = Trial(google, Path(folder))
        trial.check("first load", trial.load)
        trial.check("daily load: late changes, an upload, a deleted entry", trial.change_and_load)
        trial.check("load without changes", trial.load)
        trial.check("only the days that were loaded are read", trial.pruned)
        trial.check("status", lambda: trial.command("status", "--max-age-hours", "1").splitlines()[0])
        trial.check("views", trial.views)
        trial.check("transaction that fails", trial.rolled_back)
        trial.check("lock", trial.lock)
    click.echo("All is as it should be." if not trial.failed else f"{trial.failed} checks failed.")
    return 1 if trial.failed else 0


if __name__ == "__main__":
    sys.exit(main())
