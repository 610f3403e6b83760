"""A fault at any request to BigQuery: the tables are right, or the load fails and the next one makes them right."""

from datetime import datetime, timedelta

import pytest

from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.google_proxy import GoogleProxy, still_running
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import BigQuery

IMPATIENT = {"DESTINATION__BIGQUERY__RETRY_DEADLINE": "1", "DESTINATION__BIGQUERY__HTTP_TIMEOUT": "10"}
OUTAGE = 4
"""Requests that are refused in a row: more than the client sends within its deadline."""
MOST_REQUESTS = 75
"""More than a load of calls makes."""

CASES = [
    (run, kind, number)
    for run in ("first", "daily")
    for kind in ("refuse", "cut", "lose")
    for number in range(MOST_REQUESTS)
]


@pytest.mark.parametrize(("run", "kind", "number"), sample(CASES, 1))
def test_fault_at_a_request_loses_and_doubles_nothing(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery, run: str, kind: str, number: int
) -> None:
    account = recent_account(1)
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment, **IMPATIENT}
    if run == "daily":
        assert command(**environment).code == 0
        late = max(expected_calls(account, LONG_AGO))
        account.change(late, tags=[], campaign_name="changed late")
        account.upload(datetime.combine(TODAY - timedelta(days=3), datetime.min.time()))

    def fault(nth: int, _method: str, _path: str) -> str:
        return kind if number <= nth < number + (OUTAGE if kind == "refuse" else 1) else ""

    with GoogleProxy(warehouse_in_bigquery.environment["BIGQUERY_EMULATOR_HOST"], fault, still_running) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy.url})
        assert len(proxy.seen) < MOST_REQUESTS + OUTAGE
    assert "Traceback" not in result.err
    if result.code == 0:
        assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
    assert command("status", "--max-age-hours", "1", **environment).code == 0
