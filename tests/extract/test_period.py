"""What a load is expected to read, from dlt's state alone, is what it then plans."""

from datetime import timedelta
from typing import Any

import pendulum

from comagic import KeyCredentials
from comagic.catalog import resources
from comagic.extract.context import Context, open_client
from comagic.extract.period import expected_windows
from comagic.extract.progress import Progress
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY
from comagic.settings import resolve_settings
from tests.support.accounts import days_ago, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse


def expected(sandbox: SandboxServer, warehouse: Warehouse, name: str = "calls", **arguments: Any) -> int:
    """The windows that a load is expected to read."""
    settings = resolve_settings(start_date=days_ago(31).date(), window_days=3)
    client = open_client(settings, credentials=KeyCredentials(access_token=KEY), base_url=sandbox.base_url)
    state = warehouse.pipeline.state.get("sources", {}).get("comagic", {})
    return expected_windows(resources()[name], Context(settings, client, **arguments), state)


def planned(sandbox: SandboxServer, warehouse: Warehouse, **arguments: Any) -> int:
    """The windows that a load plans."""
    progress = Progress()
    warehouse.load(sandbox, start_date=days_ago(31).date(), window_days=3, progress=progress, **arguments)
    return progress.syncs["calls"].planned


def test_expected_windows_are_those_that_are_planned(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(5))
    assert expected(sandbox, warehouse) == planned(sandbox, warehouse, load_package_rows=50) == 11, "the first load"
    count = expected(sandbox, warehouse)
    assert count < 11
    assert count == planned(sandbox, warehouse), "a load that stopped is resumed"
    assert expected(sandbox, warehouse) == planned(sandbox, warehouse) == 5, "the lookback"
    backfill: dict[str, Any] = {"since": days_ago(30), "until": days_ago(20)}
    assert expected(sandbox, warehouse, **backfill) == planned(sandbox, warehouse, **backfill) == 4


def test_period_begins_where_days_have_not_expired(serve: Serve, warehouse: Warehouse) -> None:
    """BigQuery would drop earlier days as they are loaded."""
    sandbox = serve(recent_account(5))
    assert planned(sandbox, warehouse, partition_expiration_days=6) == 2
    ((first,),) = warehouse.query("SELECT min(partition_date) FROM calls")
    assert first == pendulum.now(SyntheticAccount().timezone).date() - timedelta(days=5)


def test_resource_that_is_still_to_be_read_counts_and_none_costs_a_request(serve: Serve, warehouse: Warehouse) -> None:
    sandbox = serve(recent_account(1))
    assert expected(sandbox, warehouse, since=days_ago(-2)) == 1
    assert expected(sandbox, warehouse, name="tags") == 1
    assert sandbox.requests == 0
