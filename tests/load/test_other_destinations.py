"""Any other destination of dlt is either right after loads with late changes, or refused before the first request."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.pipeline import PipelineContext
from dlt.extract import DltSource
from duckdb_extensions import import_extension

from comagic import KeyCredentials, comagic_source
from comagic.catalog import reports
from comagic.load.destinations import AnyDestination
from comagic.sandbox.switches import KEY
from tests.support.accounts import (
    LONG_AGO,
    TODAY,
    access_to,
    days_ago,
    differences,
    expected_calls,
    recent_account,
    resource_options,
)
from tests.support.other_warehouses import DuckLake, SQLite
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

pytestmark = [  # of dlt's statements for SQLite, by SQLAlchemy
    pytest.mark.filterwarnings("ignore:implicitly coercing SELECT object"),
    pytest.mark.filterwarnings("ignore:Coercing Subquery object"),
]
NO_TAG = dict.fromkeys(reports()["calls"].fields["tags"].children)
MERGED = ("calls", "campaign_daily_stat", "tags", "sites")
"""A report merged by its key, one of which whole days are replaced, and dictionaries."""


@pytest.fixture(autouse=True)
def no_pipeline_is_active() -> Iterator[None]:
    """A source takes how rows are merged from the active pipeline, which would be that of another test."""
    Container()[PipelineContext].deactivate()
    yield
    Container()[PipelineContext].deactivate()


def check_late_changes(serve: Serve, command: Command, place: Path, warehouse: Warehouse) -> None:
    """Loads thrice into a destination, with late changes after the first, and compares it with DuckDB in the end."""
    account = recent_account(3, first_day=TODAY - timedelta(days=20))
    sandbox = serve(account)
    ids = list(expected_calls(account, days_ago(10)))

    def load(**environment: str) -> None:
        start = {"SOURCES__COMAGIC__START_DATE": f"{TODAY - timedelta(days=20)}"}
        result = command(*resource_options(*MERGED), **access_to(sandbox, **start), **environment)
        assert result.code == 0, result.err

    load(**warehouse.environment)
    account.change(ids[0], tags=[{**NO_TAG, "tag_id": 99, "tag_name": "Поздний 'тег'", "tag_type": "manual"}])
    account.change(ids[1], tags=[], sale_cost=0.1, sale_date="2026-03-29 02:30:00")
    account.upload(days_ago(5))
    for _ in range(2):
        load(**warehouse.environment)
        assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    load(DLT_DATA_DIR=str(place / "duckdb"))
    for table in (*MERGED[1:], "calls__tags"):
        count = f"SELECT count(*) FROM {table}"
        assert warehouse.query(count) == Warehouse(place).query(count), table
    status = command("status", "--max-age-hours", "1", **access_to(sandbox), **warehouse.environment)
    assert (status.code, "calls: loaded up to" in status.out) == (0, True), status.err


def test_late_changes_arrive_in_sqlite_which_has_no_upsert(serve: Serve, command: Command, place: Path) -> None:
    check_late_changes(serve, command, place, SQLite(place))


@pytest.mark.expensive(20)
def test_late_changes_arrive_in_a_ducklake(serve: Serve, command: Command, place: Path) -> None:
    import_extension("ducklake")
    check_late_changes(serve, command, place, DuckLake(place))


@pytest.mark.parametrize("name", ["filesystem", "dummy", "lancedb", "weaviate", "qdrant"])
@pytest.mark.parametrize("words", [[], ["status"]])
def test_destination_that_cannot_merge_is_refused_before_any_request(
    serve: Serve, command: Command, place: Path, name: str, words: list[str]
) -> None:
    sandbox = serve(recent_account(1))
    bucket = {"DESTINATION__FILESYSTEM__BUCKET_URL": str(place / "files")}
    result = command(*words, "--destination", name, **access_to(sandbox), **bucket)
    assert (result.code, f"--destination): {name} cannot merge rows by their key" in result.err) == (2, True), result
    assert sandbox.requests == 0


def test_destination_without_its_package_exits_2_and_names_it(serve: Serve, command: Command) -> None:
    sandbox = serve(recent_account(1))
    result = command("--destination", "clickhouse", **access_to(sandbox))
    assert (result.code, 'pip install "dlt[clickhouse]"' in result.err) == (2, True), result.err
    assert sandbox.requests == 0


def sqlite(place: Path) -> AnyDestination:
    return dlt.destinations.sqlalchemy(f"sqlite:///{place / 'calls.db'}")


def files(place: Path) -> AnyDestination:
    return dlt.destinations.filesystem(str(place / "files"))


def test_own_code_merges_in_sqlite_if_the_pipeline_is_there_first(serve: Serve, place: Path) -> None:
    sandbox = serve(account := recent_account(2))
    pipeline = dlt.pipeline(
        "own", destination=dlt.destinations.sqlalchemy(f"sqlite:///{place / 'calls.db'}"), dataset_name="comagic"
    )
    for _ in range(2):
        pipeline.run(own_source(sandbox.base_url))
        (count,) = SQLite(place).query("SELECT count(*), count(DISTINCT id) FROM calls")
        assert count == (len(expected_calls(account, LONG_AGO)),) * 2


@pytest.mark.parametrize(
    ("destination", "advice"),
    [
        (sqlite, "Create the pipeline before the source, which then uses delete-insert"),
        (files, "each load would add them again"),
    ],
)
def test_own_code_fails_before_any_request_where_rows_would_not_be_merged(
    serve: Serve, place: Path, destination: Callable[[Path], AnyDestination], advice: str
) -> None:
    sandbox = serve(recent_account(1))
    source = own_source(sandbox.base_url)
    pipeline = dlt.pipeline("own", destination=destination(place), dataset_name="comagic")
    with pytest.raises(Exception, match=advice):
        pipeline.run(source)
    assert sandbox.requests == 0


def own_source(base_url: str) -> DltSource:
    return comagic_source(KeyCredentials(access_token=KEY), base_url, start_date=TODAY - timedelta(days=40))
