"""In your own code: reports are always merged; another write disposition is an error, `refresh` loads all again."""

from datetime import timedelta

import pytest

from comagic import KeyCredentials, comagic_source
from comagic.sandbox.switches import KEY
from tests.support.accounts import LONG_AGO, TODAY, differences, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse

ORPHANS = "SELECT count(*) FROM calls__tags WHERE _dlt_root_id NOT IN (SELECT _dlt_id FROM calls)"


@pytest.mark.parametrize("disposition", ["replace", "append"])
def test_another_write_disposition_is_an_error_that_names_the_alternative(
    serve: Serve, warehouse: Warehouse, disposition: str
) -> None:
    source = comagic_source(KeyCredentials(access_token=KEY), serve(recent_account(1)).base_url)
    with pytest.raises(Exception, match=f"write_disposition='{disposition}' is not supported.*drop_resources"):
        warehouse.pipeline.run(source, write_disposition=disposition, loader_file_format="parquet")  # type: ignore[arg-type]


def test_refresh_loads_everything_again_without_orphans(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(5)
    sandbox = serve(account)
    key = KeyCredentials(access_token=KEY)
    for refresh in (None, "drop_resources", None):
        source = comagic_source(key, sandbox.base_url, start_date=TODAY - timedelta(days=40))
        warehouse.pipeline.run(source, refresh=refresh, loader_file_format="parquet").raise_on_failed_jobs()  # type: ignore[arg-type]
        assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
        assert warehouse.query(ORPHANS) == [(0,)]
