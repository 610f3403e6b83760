"""A dataset that the release before shapes had numbers loaded is refused until it is migrated, and then goes on.

Its tables are in `tests/data/shape_1`, exported from DuckDB: an account of five days in January 2025.
"""

import io
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.destinations import bigquery
from google.cloud.bigquery import LoadJobConfig, SchemaField, SourceFormat, Table

from comagic.sandbox import SyntheticAccount
from tests.support.accounts import access_to, differences, expected_calls
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, Warehouse

SHAPE_1 = Path(__file__).parent.parent / "data" / "shape_1"
START = datetime(2025, 1, 1)
BIGQUERY_TYPES = {"BIGINT": "INTEGER", "VARCHAR": "STRING", "DOUBLE": "FLOAT", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}


def import_into_duckdb(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute((SHAPE_1 / "schema.sql").read_text())
        connection.execute((SHAPE_1 / "load.sql").read_text().replace("FROM '", f"FROM '{SHAPE_1}/"))


def test_earlier_dataset_is_refused_migrated_and_loaded(serve: Serve, command: Command, place: Path) -> None:
    account = SyntheticAccount(first_day=date(2025, 1, 1), last_day=date(2025, 1, 5), calls_per_day=3)
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE="2025-01-01")
    warehouse = Warehouse(place)
    import_into_duckdb(warehouse.file)
    for words in (("load",), ("status",)):
        result = command(*words, **environment)
        assert (result.code, sandbox.requests) == (2, 0), result.err
        assert "Bring it up to date once: comagic_pipeline.py migrate" in result.err
    result = command("migrate", **environment)
    assert (result.code, "added and filled" in result.out) == (0, True), result.err
    assert "The dataset is up to date." in command("migrate", **environment).out
    result = command("status", **environment)
    assert (result.code, "11 rows" in result.out, "reached its end" in result.out) == (0, True, True), result.out
    for period in ((), ("--since", "2025-01-01", "--until", "2025-01-31")):
        result = command("load", *period, **environment)
        assert result.code == 0, result.err
    assert differences(warehouse.calls(), expected_calls(account, START)) == []


def test_dataset_of_a_later_release_is_refused(serve: Serve, command: Command, place: Path) -> None:
    account = SyntheticAccount(first_day=date(2025, 1, 1), last_day=date(2025, 1, 2), calls_per_day=3)
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE="2025-01-01")
    assert command(**environment).code == 0
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute(
            "UPDATE comagic._dlt_version SET schema = replace(schema, 'comagic-shape\":3', 'comagic-shape\":99')"
        )
    requests = sandbox.requests
    result = command(**environment)
    assert (result.code, sandbox.requests) == (2, requests), result.err
    assert "was loaded by a later release (shape 99, here 3)" in result.err


def import_into_bigquery(warehouse: BigQuery, place: Path) -> None:
    """Loads the same tables into the emulator, as newline-delimited JSON."""
    file = place / "shape_1.duckdb"
    import_into_duckdb(file)
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        for dataset in sorted({dataset for dataset, _ in tables}):
            warehouse.client.create_dataset(dataset)
        for dataset, name in tables:
            found = connection.execute(f"DESCRIBE {dataset}.{name}").fetchall()
            columns = [SchemaField(column, BIGQUERY_TYPES.get(kind, kind)) for column, kind, *_ in found]
            rows = connection.execute(f"SELECT to_json(t)::VARCHAR FROM {dataset}.{name} AS t").fetchall()
            table = warehouse.client.create_table(Table(f"{warehouse.project}.{dataset}.{name}", columns))
            if rows:
                content = io.BytesIO("\n".join(row for (row,) in rows).encode())
                options = LoadJobConfig(source_format=SourceFormat.NEWLINE_DELIMITED_JSON, schema=columns)
                warehouse.client.load_table_from_file(content, table, job_config=options).result()


@pytest.mark.expensive
def test_earlier_dataset_in_bigquery_is_migrated_and_loaded(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator adds one column a statement only, and ignores the others."""
    raw = bigquery._raw_capabilities

    def capabilities(self: bigquery) -> DestinationCapabilitiesContext:
        found = raw(self)
        found.alter_add_multi_column = False
        return found

    monkeypatch.setattr(bigquery, "_raw_capabilities", capabilities)
    account = SyntheticAccount(first_day=date(2025, 1, 1), last_day=date(2025, 1, 5), calls_per_day=3)
    environment = access_to(serve(account), SOURCES__COMAGIC__START_DATE="2025-01-01")
    environment |= warehouse_in_bigquery.environment
    import_into_bigquery(warehouse_in_bigquery, place)
    result = command("load", **environment)
    assert (result.code, "comagic_pipeline.py migrate" in result.err) == (2, True), result.err
    result = command("migrate", **environment)
    assert (result.code, "added and filled" in result.out) == (0, True), result.err
    for period in ((), ("--since", "2025-01-01", "--until", "2025-01-31")):
        result = command("load", *period, **environment)
        assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, START)) == []
