"""Tasks that share a period and load at once, as those of a Cloud Run job do."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from comagic.extract.windows import Window, share
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import SCRIPT, Command, Serve
from tests.support.warehouses import BigQuery

TASKS = 3


def test_parallel_tasks_give_the_same_tables_as_one(serve: Serve, warehouse_in_bigquery: BigQuery) -> None:
    """Each has a state and a staging dataset of its own; a task that failed is begun again, as Cloud Run does."""
    account = recent_account(5)
    since, until = str(TODAY - timedelta(days=41)), str(TODAY - timedelta(days=1))
    words = [sys.executable, str(SCRIPT), "load", "--since", since, "--until", until]
    words += ["--resource", "calls", "--resource", "tags"]
    environment = {**os.environ, **access_to(serve(account)), **warehouse_in_bigquery.environment, "LOAD__WORKERS": "1"}

    def started(index: int) -> "subprocess.Popen[str]":
        own = {**environment, "CLOUD_RUN_TASK_INDEX": str(index), "CLOUD_RUN_TASK_COUNT": str(TASKS)}
        return subprocess.Popen(words, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    waiting = [*enumerate(map(started, range(TASKS)))]
    told: list[str] = []
    tries = 0
    while waiting:
        index, process = waiting.pop(0)
        told.append(process.communicate(timeout=300)[0])
        if process.returncode:
            tries += 1
            assert tries <= TASKS, told
            waiting.append((index, started(index)))
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    assert sum("tags: read whole" in text for text in told) == 1, "the dictionaries come with the first task"
    datasets = {of.dataset_id for of in warehouse_in_bigquery.client.list_datasets()}
    assert datasets == {"comagic", *(f"comagic_staging_{index}" for index in range(TASKS))}
    windows = warehouse_in_bigquery.query("SELECT is_incremental, count(*) FROM load_windows GROUP BY 1")
    assert [incremental for incremental, _ in windows] == [False], "no cursor has moved"


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("hours", [0, 5, 24, 24 * 31, 24 * 31 + 7])
def test_shares_cover_the_period_and_do_not_overlap(count: int, hours: int) -> None:
    start = datetime(2026, 1, 1, 9)
    end = start + timedelta(hours=hours)
    shares = [share(start, end, index, count) for index in range(count)]
    assert (shares[0].start, shares[-1].end) == (start, end)
    assert all(one.end == next_one.start for one, next_one in pairwise(shares))
    lengths = {of.seconds // 86_400 for of in shares if of.seconds}
    assert not lengths or max(lengths) - min(lengths) <= 1
    assert all(isinstance(of, Window) for of in shares)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--task-count", "2"], "--since and --until"),
        (["--since", "2026-01-01", "--task-count", "2"], "--since and --until"),
        (["--since", "2026-01-01", "--until", "2026-02-01", "--task-count", "2", "--task-index", "2"], "from 0"),
        (["--task-count", "0"], "--task-count"),
    ],
)
def test_shares_that_cannot_be_are_refused(serve: Serve, command: Command, words: list[str], told: Any) -> None:
    shown = command(*words, **access_to(serve()))
    assert (shown.code, told in shown.err) == (2, True), shown.err
