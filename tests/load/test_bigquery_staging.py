"""With --staging, BigQuery loads files from a bucket, into the same tables."""

import json
from pathlib import Path

import pytest

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.google import Bucket, serve_http, service_account_key
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery


@pytest.mark.expensive
def test_staging_loads_through_a_bucket(
    serve: Serve, command: Command, warehouse_in_bigquery: BigQuery, buckets: Path
) -> None:
    account = recent_account(3)
    bucket = Bucket(buckets / "lake")
    bucket.folder.mkdir()
    with serve_http(bucket.respond) as host:
        environment = {
            "STORAGE_EMULATOR_HOST": host,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # at import: no request to Google for the bucket's kind
            "DESTINATION__FILESYSTEM__CREDENTIALS": json.dumps(service_account_key(host)),
            **access_to(serve(account)),
            **warehouse_in_bigquery.environment,
        }
        for _ in range(2):
            result = command("--staging", "gs://lake/comagic", **environment)
            assert result.code == 0, result.err
    assert any("calls__tags" in name for name in bucket.uploaded), bucket.uploaded
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
