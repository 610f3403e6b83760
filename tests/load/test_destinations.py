"""During a load DuckDB keeps no more in memory than a merge into the widest table needs."""

from pathlib import Path

import dlt
import pytest

from comagic import KeyCredentials
from comagic.extract.context import open_client
from comagic.load.destinations import choose_destination
from comagic.load.runner import Load
from comagic.sandbox.switches import KEY
from comagic.settings import resolve_settings
from tests.support.accounts import recent_account
from tests.support.processes import Serve

SETTING = "SELECT current_setting('memory_limit')"


@pytest.mark.parametrize(
    ("fields", "package_rows", "limit"),
    [
        (["id", "start_time", "tags"], 50_000, 40 + 3.5 * 3),
        ("all", 50_000, 40 + 3.5 * 110),
        ("all", 50_001, 40 + 5.5 * 110),
    ],
)
def test_duckdb_is_limited_by_the_number_of_columns_and_the_size_of_packages(
    serve: Serve, place: Path, fields: str | list[str], package_rows: int, limit: float
) -> None:
    assert place == Path.cwd()
    settings = resolve_settings(fields=fields, load_package_rows=package_rows)
    client = open_client(
        settings, credentials=KeyCredentials(access_token=KEY), base_url=serve(recent_account(1)).base_url
    )
    with Load(settings, client, ["calls"]) as load:
        pipeline = dlt.pipeline("comagic", destination=choose_destination("duckdb"), dataset_name="comagic")
        next(load.sources(pipeline))
        with pipeline.sql_client() as sql:
            ((setting,),) = sql.execute_sql(SETTING) or []
    number, unit = str(setting).split()
    assert unit == "MiB"
    assert float(number) * 2**20 / 1e6 == pytest.approx(limit, rel=0.05)


def test_load_of_no_resource_ends(serve: Serve) -> None:
    """As a parallel task's that has nothing but dictionaries to load: the first task loads them."""
    key = KeyCredentials(access_token=KEY)
    client = open_client(resolve_settings(), credentials=key, base_url=serve(recent_account(1)).base_url)
    with Load(resolve_settings(), client, []) as load:
        pipeline = dlt.pipeline("comagic", destination=choose_destination("duckdb"), dataset_name="comagic")
        assert list(load.sources(pipeline)) == []
