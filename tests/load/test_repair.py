"""What was dropped by hand, or cut short on the disk, is made again, or one message says which command does it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.accounts import LONG_AGO, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve
from tests.support.sampling import sample
from tests.support.warehouses import Warehouse

SINCE = "Load them again: load --since "
DROPPED = [
    ("DROP TABLE comagic.calls", "calls: read again from the beginning."),
    ("DROP TABLE comagic.calls CASCADE; DROP TABLE comagic.calls__tags", "calls: read again from the beginning."),
    ("DROP TABLE comagic.calls__tags", SINCE),
    ("ALTER TABLE comagic.calls DROP COLUMN campaign_name", SINCE),
    ("DROP TABLE comagic.tags", "lacked tags: created again."),
    ("DROP TABLE comagic.load_windows", "lacked load_windows: created again."),
    ("ALTER TABLE comagic.load_windows DROP COLUMN problems", "lacked load_windows (problems): created again."),
    ("DROP TABLE comagic._dlt_loads", "lacked _dlt_loads: created again."),
    ("DROP TABLE comagic._dlt_pipeline_state", "lacked _dlt_pipeline_state: created again."),
    ("DROP TABLE comagic._dlt_version", ""),
    ("DROP TABLE comagic_staging.calls", ""),
    ("ALTER TABLE comagic_staging.calls__tags DROP COLUMN tag_name", ""),
    ("DROP SCHEMA comagic_staging CASCADE", ""),
    ("DROP SCHEMA comagic CASCADE", ""),
]
"""What was dropped, and the message of the next load."""


def loaded(serve: Serve, command: Command, *names: str) -> tuple[dict[str, str], dict[int, dict[str, object]]]:
    """An account that was loaded twice: its environment, and its calls."""
    account = recent_account(20)
    environment = access_to(serve(account), SOURCES__COMAGIC__RESOURCES="calls,tags")
    for _ in range(2):
        result = command(**environment)
        assert result.code == 0, result.err
    return environment, expected_calls(account, LONG_AGO)


def execute(place: Path, sql: str) -> None:
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute(sql)


def test_second_load_of_lists_without_elements_misses_nothing(serve: Serve, command: Command) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__RESOURCES="employees")
    for _ in range(2):
        result = command(**environment)
        assert (result.code, "created again" in result.err) == (0, False), result.err
        assert "WARNING" not in result.err, "dlt misses columns of child tables"


@pytest.mark.parametrize(("sql", "message"), sample(DROPPED, 1))
def test_what_was_dropped_by_hand_comes_back(
    serve: Serve, command: Command, place: Path, sql: str, message: str
) -> None:
    environment, expected = loaded(serve, command)
    execute(place, sql)
    result = command(**environment)
    assert result.code == 0, result.err
    assert message in result.err + result.out
    if message == SINCE:
        result = command("load", "--since", str(LONG_AGO), "--resource", "calls", **environment)
        assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected) == []
    assert Warehouse(place).query("SELECT count(*) FROM tags") != [(0,)]
    result = command(**environment)
    assert (result.code, "created again" in result.err + result.out) == (0, False), result.err


@pytest.mark.expensive
@pytest.mark.parametrize("name", sample(["state.json", "schemas/comagic.schema.json"], 1))
@pytest.mark.parametrize("damage", sample([lambda text: text[:100], lambda _: "", lambda _: "[]"], 1))
def test_damaged_working_folder_is_created_again(
    serve: Serve, command: Command, place: Path, name: str, damage: Callable[[str], str]
) -> None:
    environment, expected = loaded(serve, command)
    file = place / "dlt" / "pipelines" / "comagic" / name
    file.write_text(damage(file.read_text()))
    result = command(**environment)
    assert result.code == 0, result.err
    assert "is damaged; it is created again from the destination." in result.err
    assert differences(Warehouse(place).calls(), expected) == []


@pytest.mark.expensive
def test_dlts_own_commands_work_on_the_database(serve: Serve, command: Command, place: Path) -> None:
    environment, expected = loaded(serve, command)
    tool = [sys.executable, "-m", "dlt", "--non-interactive", "pipeline", "comagic"]
    for words in (["info"], ["sync", "--destination", "duckdb", "--dataset-name", "comagic"], ["drop", "calls"]):
        ended = subprocess.run([*tool, *words], input="y\n", capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected) == []
