"""What queries cost in BigQuery: the summary shows the billed bytes, and a setting avoids reading unchanged rows."""

import json

import pytest
import requests

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.google import Response, serve_http
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery


@pytest.mark.expensive
def test_summary_shows_what_bigquery_bills(serve: Serve, command: Command, warehouse_in_bigquery: BigQuery) -> None:
    """The emulator bills nothing, so a proxy in front of it adds a quarter of a GiB to each query's job."""
    emulator = warehouse_in_bigquery.environment["BIGQUERY_EMULATOR_HOST"]
    billed_jobs = []

    def respond(method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
        forwarded = {name: value for name, value in headers.items() if name not in ("Host", "Accept-Encoding")}
        response = requests.request(method, emulator + path, data=body, headers=forwarded, timeout=60)
        if method == "GET" and "/jobs/" in path and response.ok:
            job = response.json()
            if "query" in job["configuration"]:
                billed_jobs.append(path)
                job["statistics"].setdefault("query", {})["totalBytesBilled"] = str(2**28)
                return 200, json.dumps(job).encode(), {}
        location = {name: value for name, value in response.headers.items() if name.lower() == "location"}
        return response.status_code, response.content, location

    environment = {**access_to(serve(recent_account(1))), **warehouse_in_bigquery.environment}
    assert "bills" not in command(**environment).out, "the emulator reports no billed bytes"
    with serve_http(respond) as proxy:
        result = command(**{**environment, "BIGQUERY_EMULATOR_HOST": proxy})
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
