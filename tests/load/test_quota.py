"""Quotas and sessions of the API: a load waits, logs in again, or stops with exit code 75 and resumes."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from comagic import KeyCredentials, LoginCredentials
from comagic.api.client import DataApiClient
from comagic.extract.progress import Progress
from comagic.sandbox import Switches
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from comagic.settings import Settings
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.clock import Clock
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery, Warehouse


def test_exhausted_day_quota_exits_75_and_next_run_resumes_in_bigquery(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account()
    sandbox = serve(account, Switches(day_limit=4))
    environment = {**access_to(sandbox), **warehouse_in_bigquery.environment}
    result = command(**environment)
    assert (result.code, "The day's quota is exhausted" in result.err) == (75, True), result.err
    shutil.rmtree(place / "dlt")
    sandbox.switches.day_limit = 100
    assert command(**environment).code == 0
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize("concurrency", sample([1, Settings.concurrency], 1))
def test_expired_sessions_are_renewed_during_a_load(serve: Serve, warehouse: Warehouse, concurrency: int) -> None:
    account = recent_account(10)
    clock = Clock()

    def advance_half_a_second(_: int) -> None:
        clock.now += 0.5

    sandbox = serve(account, Switches(session_seconds=3), clock=clock, before_answer=advance_half_a_second)
    credentials = LoginCredentials(login=LOGIN, password=PASSWORD)
    settings = {"start_date": TODAY - timedelta(days=40), "window_days": 1, "concurrency": concurrency}
    warehouse.load(sandbox, credentials=credentials, **settings)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert clock.now > 20
    logins = sandbox.calls["login.user"]
    assert logins <= clock.now / 2, "more than one login per session"
    assert concurrency > 1 or logins >= clock.now / 3 - 2, "not one login per session"


def test_minute_quota_is_waited_for_and_fully_used(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(10)
    clock = Clock()
    sandbox = serve(account, Switches(minute_limit=5), clock=clock)
    client = DataApiClient(KeyCredentials(access_token=KEY), sandbox.base_url, deadline=clock.deadline())
    warehouse.load(sandbox, client=client, start_date=TODAY - timedelta(days=40), window_days=1)
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests == sum(sandbox.calls.values())
    assert sandbox.requests in (42, 43), "a request was repeated or is missing"
    assert 8 * 60 <= clock.now <= 9 * 61, "not five requests a minute"


def test_error_is_raised_to_own_code_unless_progress_collects_it(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(1), Switches(day_limit=3))
    settings = {"start_date": TODAY - timedelta(days=40), "window_days": 3}
    with pytest.raises(Exception, match="limit_exceeded"):
        warehouse.load(sandbox, **settings)
    sandbox.switches.day_limit = 7
    progress = Progress()
    warehouse.load(sandbox, progress=progress, **settings)
    (error,) = progress.errors()
    assert "limit_exceeded" in str(error)
    assert not progress.syncs["calls"].is_complete
