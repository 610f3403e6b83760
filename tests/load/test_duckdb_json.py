"""DuckDB without pyarrow: JSON lines bring the same rows and types as parquet, whatever is in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from comagic.sandbox import SyntheticAccount
from comagic.sandbox.switches import Switches
from tests.support.accounts import access_to, days_ago, expected_calls, recent_account, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

OWN_TABLES = ("_dlt_loads", "_dlt_pipeline_state", "_dlt_version", "load_windows")
"""Tables with the times of a load."""
OWN_COLUMNS = {"_dlt_load_id", "_dlt_id", "_dlt_parent_id", "_dlt_root_id"}
"""Columns that differ between two loads of the same rows."""

START = {"SOURCES__COMAGIC__START_DATE": f"{days_ago(14):%Y-%m-%d}"}
ODD_TEXTS = {
    "search_query": "2026-03-29 02:30:00",
    "utm_campaign": '{"a": [1, null], "б": "\\"🔥\\n"}',
    "utm_source": "00123",
    "utm_term": "true",
    "utm_medium": "",
}


def rows(warehouse: Warehouse) -> dict[str, list[Any]]:
    """All rows of all tables, in an order of their own, without what differs between two loads."""
    return {
        name: sorted(
            sorted((key, repr(value)) for key, value in row.items() if key not in OWN_COLUMNS) for row in found
        )
        for name, found in warehouse.tables().items()
        if name not in OWN_TABLES
    }


def check_both_ways(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, names: Iterable[str]
) -> None:
    """Loads the same account with parquet and with JSON lines, then late changes, and compares all tables."""
    account = recent_account(2)
    sandbox = serve(account, Switches(undocumented={"hold_duration": 7, "note": "2026-01-01T10:00:00Z"}))
    ids = list(expected_calls(account, days_ago(7)))
    places = {True: place / "parquet", False: place / "json"}

    def load() -> None:
        for has_pyarrow, folder in places.items():
            folder.mkdir(exist_ok=True)
            monkeypatch.chdir(folder)
            monkeypatch.setattr("comagic.load.destinations.has_pyarrow", lambda found=has_pyarrow: found)
            words = ("load", *resource_options(*names))
            environment = access_to(sandbox, DLT_DATA_DIR=str(folder / "dlt"), SOURCES__COMAGIC__FIELDS="all", **START)
            result = command(*words, **environment)
            assert result.code == 0, result.err
        parquet, json = (Warehouse(folder) for folder in places.values())
        assert rows(json) == rows(parquet)
        for table in parquet.tables():
            assert json.columns(table) == parquet.columns(table)

    load()
    change(account, ids)
    load()


def change(account: SyntheticAccount, ids: list[int]) -> None:
    """Changes calls: texts that look like something else, lists that are empty or null, large numbers."""
    account.change(ids[0], **ODD_TEXTS, tags=[])
    account.change(ids[1], tags=None, sale_cost=0.1, sale_date="2026-03-29 02:30:00")
    account.change(ids[2], talk_duration=2**62, **dict.fromkeys(ODD_TEXTS))


@pytest.mark.expensive(6)
def test_json_lines_bring_the_same_calls_as_parquet(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_both_ways(serve, command, place, monkeypatch, ["calls", "tags"])


@pytest.mark.expensive(60)
def test_json_lines_bring_the_same_rows_of_all_resources_as_parquet(
    serve: Serve, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_both_ways(serve, command, place, monkeypatch, ["all"])
