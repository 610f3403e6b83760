"""dlt's own access to the loaded data works: `pipeline.dataset()` reads rows, Arrow and SQL, child tables too."""

import pytest

from tests.support.accounts import LONG_AGO, expected_calls, recent_account
from tests.support.processes import Serve
from tests.support.warehouses import Warehouse


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # dlt calls it
def test_pipeline_dataset_reads_rows_arrow_and_sql(serve: Serve, warehouse: Warehouse) -> None:
    account = recent_account(3)
    warehouse.load(serve(account), start_date=LONG_AGO)
    expected = expected_calls(account, LONG_AGO)
    dataset = warehouse.pipeline.dataset()
    calls = dataset["calls"]
    assert {row[0] for row in calls.select("id").fetchall()} == set(expected)
    table, children = calls.arrow(), dataset["calls__tags"].arrow()
    assert table is not None
    assert children is not None
    assert table.num_rows == len(expected)
    tags = sum(len(call["tags"]) for call in expected.values())
    assert children.num_rows == tags
    joined = dataset(
        "SELECT count(*) FROM calls JOIN calls__tags AS tags ON tags._dlt_root_id = calls._dlt_id"
    ).fetchall()
    assert joined == [(tags,)]
    assert dict(dataset.row_counts(table_names=["calls"]).fetchall()) == {"calls": len(expected)}
