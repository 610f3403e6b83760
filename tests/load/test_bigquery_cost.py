"""What queries cost in BigQuery: the summary shows the billed bytes, and a setting avoids reading unchanged rows."""

from typing import Any

import pytest

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery


@pytest.mark.expensive
def test_summary_shows_what_bigquery_bills(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    """The emulator bills nothing, so a proxy in front of it adds a quarter of a GiB to each query's job."""
    billed_jobs = []

    def bill(method: str, path: str, job: Any) -> None:
        if method == "GET" and "/jobs/" in path and "query" in job["configuration"]:
            billed_jobs.append(path)
            job["statistics"].setdefault("query", {})["totalBytesBilled"] = str(2**28)

    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    assert "bills" not in command(**environment).out, "the emulator reports no billed bytes"
    with GoogleProxy(environment["BIGQUERY_EMULATOR_HOST"], alter=bill) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy.url})
    assert result.code == 0, result.err
    assert billed_jobs
    assert f"BigQuery bills the run's queries as {len(billed_jobs) / 4:,.2f} GiB." in result.out


@pytest.mark.expensive
def test_merge_reads_only_keys_if_unchanged_rows_are_not_skipped(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery
) -> None:
    account = recent_account(3)
    setting = {"SOURCES__COMAGIC__SKIP_UNCHANGED_ROWS": "false"}
    environment = {**access_to(serve(account)), **warehouse_in_bigquery.environment, **setting}
    for _ in range(2):
        assert command(**environment).code == 0
    merges = [sql for sql in warehouse_in_bigquery.statements() if "MERGE INTO" in sql]
    assert merges
    assert not any("IS DISTINCT FROM" in sql for sql in merges), "columns other than the key are read"
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
