"""A run stays within a number of API requests; the table in docs/operations.md has what was measured."""

from collections import Counter
from pathlib import Path

import pendulum
import pytest

from comagic.catalog import BY_DATES, BY_DAY, BY_FILTER, dictionaries, reports
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.values import resolve_resources
from tests.support.accounts import days_ago, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse, sandbox_source

SITES = 5
LOOKBACK_DAYS = 15
"""The lookback by default, and the day of the last run."""
WEEKS = 3
"""Windows of a week that they take."""
ALL = resolve_resources("--resource", ["all"])
COSTS_AND_DEALS = ("deals_history", "source_costs", "ct_summary", "employee_stat")
MOST = 200
"""Requests of a run that loads these."""


def account_with_sites() -> SyntheticAccount:
    """An account with five sites, where it is noon now: no day begins during a test."""
    account = recent_account(5, timezone=f"Etc/GMT{pendulum.now('UTC').hour - 12:+}")
    first = account.dictionaries["sites"][0]
    account.dictionaries["sites"] = [{**first, "id": first["id"] + nth} for nth in range(SITES)]
    return account


def requests_of_a_night() -> dict[str, int]:
    """The requests that a second run of all resources makes, by method."""
    windows = {BY_DAY: LOOKBACK_DAYS, BY_DATES: WEEKS, BY_FILTER: 1}
    made = Counter(one.method for one in dictionaries().values())
    for report in (one for one in reports().values() if not one.is_opt_in):
        made[report.method] = windows[report.period] * (SITES if report.for_each else 1)
        for name in report.for_each.values():
            made[dictionaries()[name].method] += 1
    return made


def read(warehouse: Warehouse, sandbox: SandboxServer, days: int, *names: str) -> Counter[str]:
    """Reads resources from so many days ago on, or from where the last run ended; returns the requests by method.

    Nothing is loaded, which takes no request.
    """
    before = Counter(sandbox.calls)
    warehouse.pipeline.extract(sandbox_source(sandbox, *names, start_date=days_ago(days)))
    return Counter(sandbox.calls) - before


@pytest.mark.expensive
def test_nightly_run_of_everything_makes_the_requests_that_the_table_has(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(account_with_sites())
    read(warehouse, sandbox, 20, *ALL)
    assert read(warehouse, sandbox, 20, *ALL) == requests_of_a_night()


def test_first_run_of_costs_and_deals_stays_within_a_share_of_the_quota(serve: Serve, warehouse: Warehouse) -> None:
    """60 days of each report of days, and three years of deals."""
    made = read(warehouse, serve(account_with_sites()), 3 * 365, *COSTS_AND_DEALS)
    assert made["get.deals_history"] == 13
    assert made.total() == 194 <= MOST


@pytest.mark.expensive
def test_next_runs_of_costs_and_deals_go_on_and_a_night_takes_the_lookback(serve: Serve, tmp_path: Path) -> None:
    sandbox = serve(account_with_sites())
    for days, requests in ((3 * 365, 182), (20, 3 * LOOKBACK_DAYS + 2)):
        warehouse = Warehouse(tmp_path, f"since_{days}")
        read(warehouse, sandbox, days, *COSTS_AND_DEALS)
        assert read(warehouse, sandbox, days, *COSTS_AND_DEALS).total() == requests
