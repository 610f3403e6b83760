"""Load packages: shared by reports and clients, bounded by rows and days, and what was read longest ago comes first."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from comagic.api.prefetch import Prefetcher, Sent
from comagic.extract.transform import Row, RowTransformer
from comagic.load.destinations import choose_destination, default_package_rows
from comagic.sandbox import Switches
from tests.support.accounts import (
    LONG_AGO,
    TODAY,
    access_to,
    differences,
    expected_calls,
    recent_account,
    resource_options,
)
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

PACKAGES = "SELECT COUNT(DISTINCT _dlt_load_id) FROM load_windows"
BOTH = {"SOURCES__COMAGIC__RESOURCES": "calls,chats"}


@pytest.mark.expensive(10)
def test_reports_and_clients_share_a_package_and_split_it_if_it_is_full(
    serve: Serve, command: Command, place: Path
) -> None:
    first_day = TODAY - timedelta(days=8)
    sandbox = serve(recent_account(5, first_day=first_day), Switches(agency=True))
    agency = {"SOURCES__COMAGIC__USER_IDS": "all", "SOURCES__COMAGIC__START_DATE": first_day.isoformat()}
    environment = access_to(sandbox, **agency, **BOTH)
    assert command(**environment).code == 0
    assert Warehouse(place).query(PACKAGES) == [(1,)]
    small = {"SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": "20", "SOURCES__COMAGIC__WINDOW_DAYS": "1"}
    result = command("load", "--since", first_day.isoformat(), **environment, **small)
    assert result.code == 0, result.err
    rows = (
        "SELECT SUM(rows_loaded), COUNT(DISTINCT concat(resource, user_id)) FROM load_windows "
        "WHERE NOT is_incremental GROUP BY _dlt_load_id ORDER BY _dlt_load_id"
    )
    packages = Warehouse(place).query(rows)
    assert len(packages) > 3
    assert max(total for total, _ in packages) <= 2 * 20, "a window at most beside a full package"
    assert packages[0][1] > 1, "the first package has a share for each"


def test_package_has_a_limited_number_of_days(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in BigQuery changes 4,000 partitions at most."""
    monkeypatch.setattr("comagic.extract.resources.MAX_DAYS", 10)
    account = recent_account(2)
    result = command(**access_to(serve(account), SOURCES__COMAGIC__WINDOW_DAYS="5"))
    assert result.code == 0, result.err
    ((packages,),) = Warehouse(place).query(PACKAGES)
    assert packages >= 4
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive(6)
def test_windows_that_are_split_over_several_packages_are_read_ahead_and_no_request_is_in_vain(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window has more rows than a package; what is left of one is read on by the next package."""
    start = TODAY - timedelta(days=17)
    account, requests, found = recent_account(30, first_day=start), [], 0
    find = Prefetcher.find

    def note(*given: Any) -> Sent | None:
        nonlocal found
        entry = find(*given)
        found += entry is not None
        return entry

    monkeypatch.setattr(Prefetcher, "find", note)
    small = {"SOURCES__COMAGIC__LOAD_PACKAGE_ROWS": "100", "SOURCES__COMAGIC__WINDOW_DAYS": "8"}
    for concurrency in ("1", "4"):
        sandbox = serve(account)
        environment = access_to(sandbox, **small, SOURCES__COMAGIC__CONCURRENCY=concurrency)
        result = command("load", "--since", str(start), **environment)
        assert result.code == 0, result.err
        requests.append(sandbox.requests)
    assert requests[0] == requests[1]
    assert found > requests[1] / 2
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive(6)
def test_what_was_read_longest_ago_is_read_first(serve: Serve, command: Command, place: Path) -> None:
    environment = access_to(serve(recent_account(1)))

    def load(*names: str) -> list[str]:
        """Loads resources; returns them in the order in which they were read."""
        assert command("load", *resource_options(*names), **environment).code == 0
        found = Warehouse(place).query("SELECT resource FROM load_windows GROUP BY resource ORDER BY MAX(read_at)")
        return [name for (name,) in found if name in names]

    load("calls")
    assert load("calls", "chats", "tags") == ["chats", "calls", "tags"]
    assert load("calls", "chats") == ["chats", "calls"]
    assert load("calls", "chats", "tags") == ["tags", "chats", "calls"]


def test_page_is_given_to_dlt_in_parts_and_every_row_is_loaded(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """dlt reads what it was given at once as a whole again: a whole page would take more memory, in each process."""
    sizes = []
    transform = RowTransformer.transform

    def note(transformer: RowTransformer, rows: Sequence[Row]) -> list[Row]:
        sizes.append(len(rows))
        return transform(transformer, rows)

    monkeypatch.setattr(RowTransformer, "transform", note)
    monkeypatch.setattr("comagic.extract.resources.PART_ROWS", 7)
    account = recent_account(20)
    result = command(**access_to(serve(account)))
    assert result.code == 0, result.err
    assert (max(sizes), len(set(sizes)) > 1) == (7, True)
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize(
    ("destination", "has_workers", "rows"),
    [("duckdb", True, 200_000), ("duckdb", False, 50_000), ("postgres", False, 50_000), ("bigquery", False, 200_000)],
)
def test_packages_are_large_where_memory_is_not_short_or_each_costs(
    destination: str, has_workers: bool, rows: int
) -> None:
    assert default_package_rows(choose_destination(destination), has_workers) == rows


def test_load_has_large_packages_if_two_processes_normalize(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr("comagic.load.runner.limit_memory", lambda *given: chosen.append(given[-1]))
    environment = access_to(serve(recent_account(1)))
    for has_workers in (True, False):
        monkeypatch.setattr("comagic.load.runner.can_use_workers", lambda found=has_workers: found)
        assert command(**environment).code == 0
    assert command(**environment, SOURCES__COMAGIC__LOAD_PACKAGE_ROWS="70000").code == 0
    assert chosen == [200_000, 50_000, 70_000]
