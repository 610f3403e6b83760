"""A load that is killed at any moment leaves nothing that the next run does not complete correctly."""

import random
import shutil
import signal
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import dlt
import pytest

from comagic import KeyCredentials, comagic_source
from comagic.load.destinations import DATASET, choose_destination
from comagic.load.workdir import reset_if_moved
from comagic.sandbox.switches import KEY
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import (
    SMALL_PACKAGES,
    Command,
    Serve,
    Start,
    die_before_loading,
    die_before_noting,
)
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery, Warehouse

HALF_LOADED = "An interrupted run left a load package half loaded; its rows are read again."
FINISHING = "Finishing the load package of an interrupted run first."
RESUMED = "An earlier load of this period had stopped; this one resumed it."


@pytest.mark.expensive
def test_several_kills_at_random_moments_and_lost_disks_leave_correct_tables(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    """`tests/benchmarks/killing.py` does it with 100,000 calls, and compares the tables after each kill."""
    account = recent_account(40)
    environment = access_to(serve(account), **SMALL_PACKAGES)
    moments = random.Random(20)
    kills = 0
    for _ in sample(range(6), 2):
        process = start(**environment)
        try:
            process.communicate(timeout=moments.uniform(0.8, 3.5))
        except subprocess.TimeoutExpired:
            kills += 1
            process.kill()
            process.communicate()
        if moments.random() < 0.5:
            shutil.rmtree(place / "dlt", ignore_errors=True)
    assert kills, "nothing was killed"
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive
def test_killed_backfill_resumes_once_and_finished_backfill_is_read_again(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    account = recent_account()

    def kill(request: int) -> None:
        if request == 10:
            process.kill()

    settings = {**SMALL_PACKAGES, "SOURCES__COMAGIC__CONCURRENCY": "1"}  # else nothing is loaded by then
    sandbox = serve(account, before_answer=kill)
    words = ("load", "--since", f"{TODAY - timedelta(days=40)}", "--until", f"{TODAY - timedelta(days=1)}")
    process = start(*words, **access_to(sandbox), **settings)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    requests_before = sandbox.requests
    result = command(*words, **access_to(sandbox), **settings)
    assert result.code == 0, result.err
    assert RESUMED in result.out
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - requests_before < 12, "the period was read from its start"

    requests_before = sandbox.requests
    result = command(*words, **access_to(sandbox), **settings)
    assert result.code == 0, result.err
    assert RESUMED not in result.out
    assert sandbox.requests - requests_before >= 15, "a finished period was not read again"


@pytest.mark.expensive(6)
@pytest.mark.parametrize("table", sample(["calls", "calls__tags"], 1))
def test_kill_between_a_commit_and_dlts_note_of_it_duplicates_no_rows(
    serve: Serve, command: Command, place: Path, table: str
) -> None:
    """dlt would fill the staging table a second time, and the merge would insert its rows twice."""
    account = recent_account()
    environment = access_to(serve(account))
    die_before_noting(table, environment)
    result = command(**environment)
    assert (result.code, HALF_LOADED in result.err) == (0, True), result.err
    assert Warehouse(place).query(f"SELECT count(*) - count(DISTINCT _dlt_id) FROM {table}") == [(0,)]
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive
def test_kill_between_a_commit_and_dlts_note_of_it_in_bigquery(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    die_before_noting("calls", environment)
    result = command(**environment)
    assert (result.code, HALF_LOADED in result.err) == (0, True), result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


def test_package_that_was_not_being_loaded_is_finished(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account()
    sandbox = serve(account)
    pipeline = dlt.pipeline("comagic", destination=choose_destination(), dataset_name=DATASET)
    reset_if_moved(pipeline)
    key = KeyCredentials(access_token=KEY)
    pipeline.extract(comagic_source(key, sandbox.base_url, start_date=LONG_AGO))
    pipeline.normalize()
    requests_before = sandbox.requests
    result = command(**access_to(sandbox))
    assert (result.code, FINISHING in result.err) == (0, True), result.err
    assert 0 < sandbox.requests - requests_before < 10, "nothing new was read, or everything again"
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive
def test_kill_before_loading_in_bigquery_is_finished_and_new_calls_are_read(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment}
    die_before_loading(environment)
    uploaded = account.upload(datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))
    result = command(**environment)
    assert (result.code, FINISHING in result.err) == (0, True), result.err
    loaded = warehouse_in_bigquery.calls()
    assert uploaded in loaded
    assert differences(loaded, expected_calls(account, LONG_AGO)) == []
