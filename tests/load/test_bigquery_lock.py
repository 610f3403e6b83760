"""One load at a time into a BigQuery dataset, from any machine; a dead one's lock is taken over."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from comagic.exceptions import LeaseLostError
from comagic.load.bigquery_lock import LOAD_LOCK, TableLock
from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.google_proxy import GoogleProxy
from tests.support.processes import Command, Serve, Start, load_that_waits
from tests.support.warehouses import BigQuery

LIMITS = {"retry": None, "timeout": 30}


def table_lock(warehouse: BigQuery, url: str, folder: str = "") -> TableLock:
    """A lock of a client of its own."""
    client: Any = bigquery.Client(warehouse.project, AnonymousCredentials(), client_options={"api_endpoint": url})  # type: ignore[no-untyped-call]
    client.create_dataset("comagic", exists_ok=True)
    return TableLock(client, f"{warehouse.project}.comagic.{LOAD_LOCK}", LIMITS, folder)


@pytest.fixture
def url(warehouse_in_bigquery: BigQuery) -> Iterator[str]:
    """Address of the emulator behind a proxy that checks `If-Match`."""
    with GoogleProxy(warehouse_in_bigquery.environment["BIGQUERY_EMULATOR_HOST"]) as proxy:
        yield proxy.url


def test_one_of_two_holds_the_lock_until_it_releases_it(warehouse_in_bigquery: BigQuery, url: str) -> None:
    first, second = table_lock(warehouse_in_bigquery, url), table_lock(warehouse_in_bigquery, url)
    assert first.acquire() is None
    for _ in range(2):
        first.renew()
        assert "comagic on " in str(second.acquire())
    with pytest.raises(LeaseLostError):
        second.renew()
    first.release()
    assert second.acquire() is None
    assert "comagic on " in str(first.acquire())


def test_one_of_two_takes_over_a_dead_ones_lock_and_it_notices(
    warehouse_in_bigquery: BigQuery, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, *others = [table_lock(warehouse_in_bigquery, url) for _ in range(3)]
    assert dead.acquire() is None
    monkeypatch.setattr("comagic.load.bigquery_lock.EXPIRES_AFTER", timedelta(0))
    found = [lock._get() for lock in others]
    # both have seen it expired before either takes it over
    taken = [lock._patch(table, is_held=True) for lock, table in zip(others, found, strict=True)]
    assert taken == [True, False]
    others[0].renew()
    with pytest.raises(LeaseLostError, match="was lost"):
        dead.renew()


def test_lock_of_the_same_folder_is_taken_over_at_once(warehouse_in_bigquery: BigQuery, url: str) -> None:
    """Only one process uses a folder at a time, so the earlier holder is dead."""
    assert table_lock(warehouse_in_bigquery, url, "a folder").acquire() is None
    assert table_lock(warehouse_in_bigquery, url, "another folder").acquire() is not None
    assert table_lock(warehouse_in_bigquery, url, "a folder").acquire() is None


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_lost_response_to_taking_the_lock_does_not_lose_it(
    warehouse_in_bigquery: BigQuery, url: str, method: str
) -> None:
    if method == "PATCH":
        earlier = table_lock(warehouse_in_bigquery, url)
        assert earlier.acquire() is None
        earlier.release()
    lost: list[str] = []

    def fault(_number: int, used: str, path: str) -> str:
        if used == method and "/tables" in path and not lost:
            lost.append(path)
            return "lose"
        return ""

    with GoogleProxy(url, fault) as proxy:
        lock = table_lock(warehouse_in_bigquery, proxy.url)
        lock._limits = {"retry": bigquery.DEFAULT_RETRY.with_deadline(20), "timeout": 30}
        assert lock.acquire() is None
        lock.renew()
    assert lost


@pytest.mark.expensive
def test_second_load_names_the_holder_or_waits_and_one_that_lost_its_lock_stops(
    serve: Serve, start: Start, command: Command, warehouse_in_bigquery: BigQuery, place: Path, url: str
) -> None:
    account = recent_account(1)
    sandbox = serve(account)
    environment = {**warehouse_in_bigquery.environment, "BIGQUERY_EMULATOR_HOST": url}
    with load_that_waits(serve, start, account, **environment, DLT_DATA_DIR=str(place / "other")) as first:
        result = command(**access_to(sandbox), **environment)
        assert (result.code, sandbox.requests) == (75, 0), result.err
        assert f"process {first.pid} (last seen" in result.err
        assert "--wait MINUTES" in result.err
        table = warehouse_in_bigquery.client.get_table(f"comagic.{LOAD_LOCK}")
        table.description = '{"holder": "another load", "is_held": false, "token": "x"}'
        warehouse_in_bigquery.client.update_table(table, ["description"])
    _, printed = first.communicate(timeout=60)
    assert first.returncode == 1, printed
    assert "was lost, since it was not renewed" in printed
    assert {table.table_id for table in warehouse_in_bigquery.client.list_tables("comagic")} & {"calls"} == set() or (
        warehouse_in_bigquery.query("SELECT id FROM calls") == []
    )
    result = command(**access_to(sandbox), **environment)
    assert result.code == 0, result.err
    assert differences(warehouse_in_bigquery.calls(), expected_calls(account, LONG_AGO)) == []
