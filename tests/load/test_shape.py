"""A dataset that an earlier release loaded is refused until it is migrated, and then goes on.

The tables of two are in `tests/data`, exported from DuckDB: accounts of five days in January 2025. `shape_1` is of the
release before shapes had numbers; `shape_3` (of commit a854952) has the
reports of which columns have other types now.
"""

import io
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
import psycopg2
import pytest
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.destinations import bigquery
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from google.cloud.bigquery import LoadJobConfig, SchemaField, SourceFormat, Table

from comagic.exceptions import ConfigurationError
from comagic.load.bigquery import SqlClient
from comagic.load.column_types import convert_columns
from comagic.load.destinations import choose_destination
from comagic.load.shape import migrate, stored_schema
from comagic.sandbox import SyntheticAccount
from tests.support.accounts import access_to, differences, expected_calls, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import BigQuery, PostgreSQL, Warehouse

DATA = Path(__file__).parent.parent / "data"
START = datetime(2025, 1, 1)
JANUARY = ("--since", "2025-01-01", "--until", "2025-01-31")
BIGQUERY_TYPES = {"BIGINT": "INTEGER", "VARCHAR": "STRING", "DOUBLE": "FLOAT", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}


POSTGRES_TYPES = {"DOUBLE": "DOUBLE PRECISION", "JSON": "JSONB"}


def import_into_duckdb(file: Path, shape: str = "shape_1") -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute((DATA / shape / "schema.sql").read_text())
        connection.execute((DATA / shape / "load.sql").read_text().replace("FROM '", f"FROM '{DATA / shape}/"))
        if shape == "shape_3":  # a column of the user's own
            connection.execute("ALTER TABLE comagic.chats ADD COLUMN note VARCHAR DEFAULT 'mine'")


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
    for period in ((), JANUARY):
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
            "UPDATE comagic._dlt_version SET schema = replace(schema, 'comagic-shape\":4', 'comagic-shape\":99')"
        )
    requests = sandbox.requests
    result = command(**environment)
    assert (result.code, sandbox.requests) == (2, requests), result.err
    assert "was loaded by a later release (shape 99, here 4)" in result.err


def import_into_bigquery(
    warehouse: BigQuery, place: Path, shape: str = "shape_1", chosen: Collection[str] = ()
) -> None:
    """Loads the same tables, or some and dlt's own, into the emulator, as newline-delimited JSON."""
    file = place / f"{shape}.duckdb"
    import_into_duckdb(file, shape)
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        for dataset in sorted({dataset for dataset, _ in tables}):
            warehouse.client.create_dataset(dataset)
        for dataset, name in tables:
            if chosen and name not in chosen and not name.startswith("_dlt"):
                continue
            found = connection.execute(f"DESCRIBE {dataset}.{name}").fetchall()
            columns = [SchemaField(column, BIGQUERY_TYPES.get(kind, kind)) for column, kind, *_ in found]
            rows = connection.execute(f"SELECT to_json(t)::VARCHAR FROM {dataset}.{name} AS t").fetchall()
            table = warehouse.client.create_table(Table(f"{warehouse.project}.{dataset}.{name}", columns))
            if rows:
                content = io.BytesIO("\n".join(row for (row,) in rows).encode())
                options = LoadJobConfig(source_format=SourceFormat.NEWLINE_DELIMITED_JSON, schema=columns)
                warehouse.client.load_table_from_file(content, table, job_config=options).result()


def import_into_postgres(warehouse: PostgreSQL, place: Path, shape: str) -> None:
    """Inserts the same tables into PostgreSQL."""
    file = place / f"{shape}.duckdb"
    import_into_duckdb(file, shape)
    with (
        duckdb.connect(str(file), read_only=True) as connection,
        closing(psycopg2.connect(warehouse.address)) as server,
        server,
        server.cursor() as cursor,
    ):
        tables = connection.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        cursor.execute("CREATE SCHEMA comagic")
        for dataset, name in tables:
            found = connection.execute(f"DESCRIBE {dataset}.{name}").fetchall()
            listed = ", ".join(f'"{column}" {POSTGRES_TYPES.get(kind, kind)}' for column, kind, *_ in found)
            cursor.execute(f"CREATE TABLE {dataset}.{name} ({listed})")
            marks = ", ".join(["%s"] * len(found))
            rows = connection.execute(f"SELECT * FROM {dataset}.{name}").fetchall()
            cursor.executemany(f"INSERT INTO {dataset}.{name} VALUES ({marks})", rows)


@pytest.fixture
def one_column_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator adds one column a statement only, and ignores the others."""
    raw = bigquery._raw_capabilities

    def capabilities(self: bigquery) -> DestinationCapabilitiesContext:
        found = raw(self)
        found.alter_add_multi_column = False
        return found

    monkeypatch.setattr(bigquery, "_raw_capabilities", capabilities)


@pytest.mark.expensive(15)
@pytest.mark.usefixtures("one_column_a_statement")
def test_earlier_dataset_in_bigquery_is_migrated_and_loaded(
    serve: Serve, command: Command, place: Path, warehouse_in_bigquery: BigQuery
) -> None:
    account = SyntheticAccount(first_day=date(2025, 1, 1), last_day=date(2025, 1, 5), calls_per_day=3)
    environment = access_to(serve(account), SOURCES__COMAGIC__START_DATE="2025-01-01")
    environment |= warehouse_in_bigquery.environment
    import_into_bigquery(warehouse_in_bigquery, place)
    result = command("load", **environment)
    assert (result.code, "comagic_pipeline.py migrate" in result.err) == (2, True), result.err
    result = command("migrate", **environment)
    assert (result.code, "added and filled" in result.out) == (0, True), result.err
    for period in ((), JANUARY):
        result = command("load", *period, **environment)
        assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, START)) == []


PERIOD = ("--since", "2025-01-01", "--until", "2025-01-05")
CHANGED = ("chats", "offline_messages", "call_legs", "campaign_daily_stat")
"""Reports of which columns have other types since shape 4."""
FEW = ("chats", "chats__visitor_ids", "load_windows")
"""Tables that the emulator gets, which is slow: all kinds of changes are in them."""
CALLS = (31_917_700_000, 31_918_000_000)
"""The first two calls of the account."""


def account_of_shape_3() -> SyntheticAccount:
    """The account as it was loaded, with a rating of each call's legs; the API's ids of visitors are numbers now."""
    account = SyntheticAccount(first_day=date(2025, 1, 1), last_day=date(2025, 1, 5), calls_per_day=4)
    account.change(CALLS[0], employee_rating=5)
    account.change(CALLS[1], employee_rating=3.5)
    return account


@pytest.fixture
def shape_3(request: pytest.FixtureRequest, place: Path, kind: str) -> Warehouse:
    """A destination with the dataset of shape 3, or a part of it in BigQuery."""
    if kind == "postgres":
        server: PostgreSQL = request.getfixturevalue("warehouse_in_postgres")
        import_into_postgres(server, place, "shape_3")
        return server
    if "bigquery" in kind:
        request.getfixturevalue("one_column_a_statement")
        emulator: BigQuery = request.getfixturevalue("warehouse_in_bigquery")
        import_into_bigquery(emulator, place, "shape_3", FEW if kind.startswith("part") else ())
        return emulator
    warehouse = Warehouse(place)
    import_into_duckdb(warehouse.file, "shape_3")
    return warehouse


def check_converted(warehouse: Warehouse) -> None:
    """Checks that all values of shape 3 are there, in their new types."""
    phones = "SELECT visitor_phone_number FROM {} WHERE visitor_phone_number IS NOT NULL ORDER BY id"
    in_chats = [("79990000001",), ("+7 (999) 000-00-02",), ("79990000003",), ("8-999-0000004",)]
    assert warehouse.query(phones.format("chats")) == in_chats
    for column in ("visitor_phone_number", "employee_raiting"):
        assert warehouse.query(f"SELECT count({column}__v_text) FROM chats") == [(0,)], "a value came back"
    ratings = "SELECT employee_raiting FROM chats WHERE employee_raiting IS NOT NULL ORDER BY id"
    assert warehouse.query(ratings) == [(5.0,), (4.5,)]
    visitors = "SELECT value, value__v_text FROM chats__visitor_ids WHERE _dlt_list_idx = {}"
    numbers, texts = (warehouse.query(visitors.format(index)) for index in (0, 1))
    assert (len(numbers), len(texts)) == (18, 18)
    assert all((type(number), text) == (int, None) for number, text in numbers)
    assert all((number, text[:3]) == (None, "wa-") for number, text in texts), "kept, since it is no number"
    rows = warehouse.query("SELECT count(*), count(row_hash), count(partition_date), count(DISTINCT id) FROM chats")
    assert rows == [(18, 18, 18, 18)]
    assert warehouse.query("SELECT count(*) FROM chats WHERE note = 'mine'") == [(18,)], "the user's own column stays"
    if isinstance(warehouse, BigQuery):
        return
    assert warehouse.query(phones.format("offline_messages")) == [("79990000003",), ("8-999-0000004",)]
    legs = "SELECT DISTINCT employee_rating FROM call_legs WHERE employee_rating IS NOT NULL ORDER BY employee_rating"
    assert warehouse.query(legs) == [(3.5,), (5.0,)]
    banners = warehouse.query("SELECT DISTINCT current_banner_id FROM campaign_daily_stat")
    assert all(banner.startswith("70000") for (banner,) in banners)


def all_rows(warehouse: Warehouse, dataset: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table of a dataset."""
    if isinstance(warehouse, BigQuery):
        return [dict(row) for row in warehouse.client.list_rows(f"{warehouse.project}.{dataset}.{table}")]
    opened: Any = (
        psycopg2.connect(warehouse.address)
        if isinstance(warehouse, PostgreSQL)
        else duckdb.connect(str(warehouse.file), read_only=True)
    )
    with closing(opened) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {dataset}.{table}")
        return [dict(zip([column[0] for column in cursor.description], row, strict=True)) for row in cursor.fetchall()]


def contents(warehouse: Warehouse, dataset: str, tables: Iterable[str]) -> dict[str, list[str]]:
    """The rows of tables, without dlt's columns and those for values that do not fit."""

    def is_of_api(name: str) -> bool:
        return not name.startswith("_dlt_") and "__v_" not in name and name != "note"

    return {
        table: sorted(
            repr(sorted((name, value) for name, value in row.items() if is_of_api(name)))
            for row in all_rows(warehouse, dataset, table)
        )
        for table in tables
    }


@pytest.mark.parametrize("kind", ["duckdb"])
def test_columns_of_other_types_are_converted_with_their_values(command: Command, shape_3: Warehouse) -> None:
    result = command("migrate")
    assert (result.code, result.out.count(": converted ")) == (0, 5), result.out + result.err
    assert "chats: converted employee_raiting to double, visitor_phone_number to text." in result.out
    check_converted(shape_3)
    assert "The dataset is up to date." in command("migrate").out


@pytest.mark.parametrize("kind", ["duckdb"])
def test_destination_whose_sql_is_not_known_is_an_error_that_names_the_columns(shape_3: Warehouse) -> None:
    schema = stored_schema(choose_destination(), "comagic")
    assert schema is not None
    with pytest.raises(ConfigurationError, match=r"call_legs\.employee_rating, .* cannot convert columns in dummy"):
        convert_columns(dlt.destinations.dummy(), "comagic", schema)


@pytest.mark.expensive
@pytest.mark.parametrize("kind", ["duckdb", "postgres", "bigquery"])
def test_dataset_with_converted_columns_is_loaded_again_and_equals_a_new_one(
    serve: Serve, command: Command, shape_3: Warehouse, kind: str
) -> None:
    environment = access_to(serve(account_of_shape_3()), **shape_3.environment)
    reports = ("chats",) if kind == "bigquery" else CHANGED
    words = ("load", *resource_options(*reports), *PERIOD)
    result = command(*words, **environment)
    assert (result.code, "shape 3, now 4" in result.err) == (2, True), result.err
    result = command("migrate", **environment)
    assert result.code == 0, result.err
    check_converted(shape_3)
    for dataset in ("comagic", "fresh"):
        result = command(*words, **environment, DATASET_NAME=dataset)
        assert (result.code, "Warning" in result.out) == (0, False), result.out + result.err
    tables = (*reports, "chats__visitor_ids", "chats__attributes")
    assert contents(shape_3, "comagic", tables) == contents(shape_3, "fresh", tables)
    assert shape_3.query("SELECT count(*) FROM chats__visitor_ids WHERE value IS NULL") == [(0,)]


@pytest.mark.expensive
@pytest.mark.parametrize("kind", ["duckdb", "postgres", "part in bigquery"])
def test_migration_that_dies_after_any_statement_starts_again(
    shape_3: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run dies after its first statement that changes something, the next after its second, and so on."""
    for name, value in shape_3.environment.items():
        monkeypatch.setenv(name, value)
    left = [0]
    for client in (DuckDbSqlClient, Psycopg2SqlClient, SqlClient):
        monkeypatch.setattr(client, "execute_sql", dying(client.execute_sql, left))
    for statements in range(1, 100):
        left[0] = statements
        try:
            migrate(choose_destination(), "comagic")
            break
        except InterruptedError:
            continue
    assert statements >= 5
    check_converted(shape_3)


def dying(execute: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """A client's method that raises an error after so many statements that change something."""

    def execute_and_die(self: Any, sql: Any, *args: Any, **kwargs: Any) -> Any:
        found = execute(self, sql, *args, **kwargs)
        left[0] -= str(sql).split(maxsplit=1)[0] in ("ALTER", "UPDATE", "CREATE", "DROP", "INSERT")
        if not left[0]:
            raise InterruptedError
        return found

    return execute_and_die
