"""Daily costs of campaigns are requested for every site, and a day that changed is replaced as a whole."""

from typing import Any

from comagic.catalog import reports
from comagic.sandbox.vocabulary import SITES
from tests.support.accounts import access_to, expected_rows, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

REPORT = reports()["campaign_daily_stat"]
OPTIONS = resource_options(REPORT.name)


def total(rows: list[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)


def row_ids(warehouse: Warehouse) -> list[str]:
    return [row["row_id"] for row in warehouse.rows(REPORT.name, "row_id")]


def test_day_is_replaced_as_a_whole_when_the_key_of_a_row_changes(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    """The campaign or search query of a row may change; the old row must not be counted beside the new one."""
    account = recent_account(10)
    environment = access_to(serve(account))
    assert command(*OPTIONS, **environment).code == 0
    costs = "SELECT count(*), round(sum(cost_sum), 2), sum(calls_count) FROM campaign_daily_stat"
    before = warehouse.query(costs)
    sent = expected_rows(account, REPORT)
    assert before == [(len(sent), round(sum(float(row["cost_sum"]) for row in sent), 2), total(sent, "calls_count"))]
    last = max(sent, key=lambda row: (row["date"], row["calls_count"]))
    for communication in last["communications"]:
        account.change(communication["communication_id"], search_query="другой запрос")
    assert command(*OPTIONS, **environment).code == 0
    assert warehouse.query(costs) == before
    assert row_ids(warehouse) == [row["row_id"] for row in expected_rows(account, REPORT)]
    assert last["row_id"] not in row_ids(warehouse)
    children = "SELECT count(*) FROM campaign_daily_stat__communications"
    assert warehouse.query(children) == [(total(sent, "calls_count"),)]


def test_load_that_stops_between_two_sites_resumes_with_every_site(
    serve: Serve, command: Command, warehouse: Warehouse
) -> None:
    """The requests for the second site fail: what is loaded of the first does not count as loaded for both."""
    account = recent_account(20)
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__WINDOW_DAYS="30", SOURCES__COMAGIC__LOAD_PACKAGE_ROWS="120")
    sandbox.switches.faults = dict.fromkeys(range(4, 40), "null_data")  # after the account, the sites, the first site
    result = command(*OPTIONS, **environment)
    assert result.code == 1, result.out
    assert warehouse.query("SELECT count(*) > 0, count(DISTINCT site_id) FROM campaign_daily_stat") == [(True, 1)]
    sandbox.switches.faults = {}
    assert command(*OPTIONS, **environment).code == 0
    assert row_ids(warehouse) == [row["row_id"] for row in expected_rows(account, REPORT)]
    assert warehouse.query("SELECT count(DISTINCT site_id) FROM load_windows") == [(len(SITES),)]


def test_account_without_sites_has_no_daily_costs(serve: Serve, command: Command) -> None:
    account = recent_account(1)
    account.dictionaries["sites"].clear()
    result = command(*OPTIONS, **access_to(serve(account)))
    assert (result.code, "(0 windows)" in result.out) == (0, True), result.out
