"""One load at a time into a dataset: a second one names the holder or waits, and a killed one blocks nobody."""

from pathlib import Path

import pytest

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.hook import Hook
from tests.support.processes import Command, Serve, Start, load_that_waits
from tests.support.warehouses import PostgreSQL, Warehouse


@pytest.mark.expensive(6)
def test_second_run_is_rejected_without_notification_and_killed_run_blocks_nobody(
    serve: Serve, start: Start, command: Command, hook: Hook, place: Path
) -> None:
    account = recent_account()
    sandbox = serve(account)
    notifying = {"NOTIFICATIONS__WEBHOOK_URL": hook.url, "NOTIFICATIONS__ON_SUCCESS": "true"}
    with load_that_waits(serve, start, account) as first:
        result = command(**access_to(sandbox), **notifying)
        assert (result.code, sandbox.requests, hook.messages) == (75, 0, []), result.err
        assert "Another run is active on this machine" in result.err
        assert "Nothing was loaded" in result.err
        first.kill()
        first.wait()
    result = command(**access_to(sandbox))
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.expensive(6)
def test_second_run_with_another_working_folder_is_kept_out_of_a_duckdb_file(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    with load_that_waits(serve, start, account, DLT_DATA_DIR=str(place / "other")) as first:
        result = command(**access_to(sandbox))
        assert (result.code, sandbox.requests) == (75, 0), result.err
        assert "comagic_pipeline.duckdb.lock" in result.err
    assert first.wait(60) == 0


@pytest.mark.expensive
def test_second_load_into_postgres_names_the_holder_or_waits(
    serve: Serve, start: Start, command: Command, warehouse_in_postgres: PostgreSQL, place: Path
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    elsewhere = {**warehouse_in_postgres.environment, "DLT_DATA_DIR": str(place / "other")}
    with load_that_waits(serve, start, account, **elsewhere) as first:
        result = command(**access_to(sandbox), **warehouse_in_postgres.environment)
        assert (result.code, sandbox.requests) == (75, 0), result.err
        assert f", {first.pid}, " in result.err
        assert "--wait MINUTES" in result.err
        second = start("load", "--wait", "1", **{**access_to(sandbox), **warehouse_in_postgres.environment})
    assert first.wait(60) == 0
    assert second.wait(60) == 0
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []


def test_load_that_lost_its_lock_stops_before_its_merge(
    serve: Serve, start: Start, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    account = recent_account(3)
    with load_that_waits(serve, start, account, **warehouse_in_postgres.environment) as first:
        warehouse_in_postgres.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'comagic on %'"
        )
    _, printed = first.communicate(timeout=60)
    assert first.returncode == 1, printed
    assert "held the lock on the dataset comagic was lost" in printed
    assert warehouse_in_postgres.query("SELECT id FROM calls") == []
    result = command(**access_to(serve(account)), **warehouse_in_postgres.environment)
    assert result.code == 0, result.err
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []
