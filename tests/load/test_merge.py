"""After each merge, every staged key is looked up: what went wrong unseen is a failure, and does not count."""

from pathlib import Path

import pytest
from dlt.destinations.sql_jobs import SqlMergeFollowupJob

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import PostgreSQL, Warehouse

FIRST = "WHERE id = (SELECT MIN(id) FROM comagic_staging.calls)"
EMPTY_STAGING = "DELETE FROM comagic_staging.calls;"
DELETE_ONE = f"DELETE FROM comagic.calls {FIRST};"
DOUBLE_ONE = f"INSERT INTO comagic.calls SELECT * FROM comagic.calls {FIRST};"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ((EMPTY_STAGING,), (), "rows were read and 0 staged"),
        ((), (DELETE_ONE,), "1 of their keys are missing"),
        ((), (DOUBLE_ONE,), "1 of their keys are there more than once"),
    ],
)
def test_wrong_merge_is_a_failure_that_does_not_count(
    serve: Serve,
    command: Command,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    after: tuple[str, ...],
    problem: str,
) -> None:
    account = recent_account(3)
    environment = access_to(serve(account))
    generate = SqlMergeFollowupJob.generate_sql
    with monkeypatch.context() as patch:
        patch.setattr(
            SqlMergeFollowupJob, "generate_sql", lambda *args, **more: [*before, *generate(*args, **more), *after]
        )
        result = command(**environment)
    assert result.code == 1, result.out
    assert "The merge into calls is wrong: " in result.err
    assert problem in result.err
    assert command("status", "--max-age-hours", "1", **environment).code == 1
    if after != (DOUBLE_ONE,):
        result = command(**environment)
        assert result.code == 0, result.err
        assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_merges_into_postgres_are_checked_and_right(
    serve: Serve, command: Command, warehouse_in_postgres: PostgreSQL
) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    for _ in range(2):
        result = command(**access_to(sandbox), **warehouse_in_postgres.environment)
        assert result.code == 0, result.err
    assert differences(warehouse_in_postgres.calls(), expected_calls(account, LONG_AGO)) == []
