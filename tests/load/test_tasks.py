"""Parallel tasks, as those of a Cloud Run job, share a period and load at once into the same tables."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from comagic.extract.windows import Window, share
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import SCRIPT, Command, Serve
from tests.support.warehouses import BigQuery

TASKS = 3


@pytest.mark.expensive(17)
def test_parallel_tasks_load_the_same_tables_as_one_run(serve: Serve, warehouse_in_bigquery: BigQuery) -> None:
    """Each has its own state and staging tables; a failed task is started again, as Cloud Run does."""
    account = recent_account(5)
    since, until = str(TODAY - timedelta(days=41)), str(TODAY - timedelta(days=1))
    words = [sys.executable, str(SCRIPT), "load", "--since", since, "--until", until]
    words += ["--resource", "calls", "--resource", "tags"]
    environment = {**os.environ, **access_to(serve(account)), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "3"}

    def start_task(index: int) -> "subprocess.Popen[str]":
        task = {**environment, "CLOUD_RUN_TASK_INDEX": str(index), "CLOUD_RUN_TASK_COUNT": str(TASKS)}
        return subprocess.Popen(words, env=task, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    running = [*enumerate(map(start_task, range(TASKS)))]
    outputs: list[str] = []
    retries = 0
    while running:
        index, process = running.pop(0)
        outputs.append(process.communicate(timeout=300)[0])
        if process.returncode:
            retries += 1
            assert retries <= TASKS, outputs
            running.append((index, start_task(index)))
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    assert sum("tags: read whole" in output for output in outputs) == 1, "not only the first task loads dictionaries"
    datasets = {dataset.dataset_id for dataset in warehouse_in_bigquery.client.list_datasets()}
    assert datasets == {"comagic", "comagic_staging"}
    assert list(warehouse_in_bigquery.client.list_tables("comagic_staging")) == [], "rows are left in staging"
    calls = "resource = 'calls'"
    windows = warehouse_in_bigquery.query(f"SELECT is_incremental, count(*) FROM load_windows WHERE {calls} GROUP BY 1")
    assert [is_incremental for is_incremental, _ in windows] == [False], "a cursor has moved"


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("hours", [0, 5, 24, 24 * 31, 24 * 31 + 7])
def test_shares_cover_the_period_and_do_not_overlap(count: int, hours: int) -> None:
    start = datetime(2026, 1, 1, 9)
    end = start + timedelta(hours=hours)
    shares = [share(start, end, index, count) for index in range(count)]
    assert (shares[0].start, shares[-1].end) == (start, end)
    assert all(earlier.end == later.start for earlier, later in pairwise(shares))
    days = {part.seconds // 86_400 for part in shares if part.seconds}
    assert not days or max(days) - min(days) <= 1
    assert all(isinstance(part, Window) for part in shares)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task-count", "2"], "--task-count above 1 (CLOUD_RUN_TASK_COUNT) goes with --since and --until."),
        (["--since", "2026-01-01", "--task-count", "2"], "goes with --since and --until."),
        (
            ["--since", "2026-01-01", "--until", "2026-02-01", "--task-count", "2", "--task-index", "2"],
            "--task-index 2: tasks are counted from 0, and --task-count is 2.",
        ),
        (["--task-count", "0"], "--task-count"),
    ],
)
def test_impossible_shares_are_rejected(serve: Serve, command: Command, words: list[str], message: str) -> None:
    result = command(*words, **access_to(serve()))
    assert (result.code, message in result.err) == (2, True), result.err
