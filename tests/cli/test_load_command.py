"""A load needs credentials and an endpoint, loads each call once, and resumes where the last one stopped."""

import re
import signal
from datetime import datetime, timedelta
from pathlib import Path

import dlt
import pytest

from comagic.load.destinations import choose_destination
from comagic.load.workdir import reset_if_moved
from comagic.sandbox import Switches
from comagic.sandbox.switches import LOGIN, PASSWORD
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Serve, Start
from tests.support.warehouses import Warehouse


def test_key_and_endpoint_in_the_environment_are_enough(run: Command, serve: Serve, place: Path) -> None:
    account = recent_account(2)
    result = run(**access_to(serve(account)))
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_login_and_password_are_enough(command: Command, serve: Serve) -> None:
    sandbox = serve(recent_account(1), Switches(session_calls=3))
    environment = access_to(sandbox, SOURCES__COMAGIC__CREDENTIALS__LOGIN=LOGIN, SOURCES__COMAGIC__CONCURRENCY="1")
    environment["SOURCES__COMAGIC__CREDENTIALS__PASSWORD"] = PASSWORD
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    result = command(**environment)
    assert result.code == 0, result.err
    assert sandbox.calls["login.user"] == 3


def test_backfill_loads_whole_days(command: Command, serve: Serve, place: Path) -> None:
    account = recent_account()
    first, last = TODAY - timedelta(days=20), TODAY - timedelta(days=18)
    result = command("load", "--since", f"{first}", "--until", f"{last}", **access_to(serve(account)))
    assert result.code == 0, result.err
    start = datetime(first.year, first.month, first.day)
    loaded = Warehouse(place).calls()
    assert differences(loaded, expected_calls(account, start, start + timedelta(days=3))) == []


def test_summary_warns_of_missing_rows_and_of_a_new_column_or_table(command: Command, serve: Serve) -> None:
    undocumented = {"hold_duration": 7, "notes": [{"text": "a"}]}
    sandbox = serve(recent_account(1), Switches(total_extra=1, undocumented=undocumented))
    result = command(**access_to(sandbox))
    assert result.code == 0, result.err
    assert re.search(r"Warning: calls .*: the API announced [1-9]\d* rows and sent \d+\.", result.out), result.out
    assert "Load the period again with --since and --until to see whether that changes." in result.out
    assert "New column: calls.hold_duration, which the API sends although it is not documented." in result.out
    assert "New table: calls__notes, which the API sends although it is not documented." in result.out
    assert result.out.count("New ") == 2


@pytest.mark.expensive
def test_killed_load_is_resumed_by_the_next_run(serve: Serve, start: Start, command: Command, place: Path) -> None:
    account = recent_account()

    def kill(request: int) -> None:
        if request == 6:
            process.kill()

    sandbox = serve(account, before_answer=kill)
    settings = {"LOAD_PACKAGE_ROWS": "60", "WINDOW_DAYS": "4", "CONCURRENCY": "1"}  # else nothing is loaded by then
    environment = access_to(sandbox, **{f"SOURCES__COMAGIC__{name}": value for name, value in settings.items()})
    process = start(**environment)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    requests_before = sandbox.requests
    result = command(**environment)
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - requests_before <= 10, "the second run started at the beginning"


def test_interrupted_load_exits_130_and_is_resumed_by_the_next_run(
    serve: Serve, start: Start, command: Command, place: Path
) -> None:
    account = recent_account(2)

    def interrupt(request: int) -> None:
        if request == 4:
            process.send_signal(signal.SIGINT)

    sandbox = serve(account, before_answer=interrupt)
    process = start(**access_to(sandbox))
    _, err = process.communicate(timeout=120)
    message = "Error: Interrupted. Loaded data is kept; the next run resumes."
    assert (process.returncode, message in err) == (130, True), err
    assert "Traceback" not in err
    result = command(**access_to(sandbox))
    assert result.code == 0, result.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_two_folders_have_cursors_of_their_own(
    command: Command, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = access_to(serve(recent_account(2)), SOURCES__COMAGIC__LOOKBACK_DAYS="1")
    early = {"SOURCES__COMAGIC__START_DATE": f"{TODAY - timedelta(days=3)}"}
    for folder, start_date in (("one", early), ("two", {}), ("one", early)):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        result = command(**{**environment, **start_date})
        assert result.code == 0, result.err
    starts = Warehouse(tmp_path / "two").query("SELECT min(partition_date) FROM calls")
    assert starts == [(TODAY - timedelta(days=40),)], "the second folder started at the first one's cursor"
    assert f"{TODAY - timedelta(days=3)}" not in result.out, "the first folder lost its own cursor"


def test_working_folder_left_by_another_folder_is_recreated(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(tmp_path)
    reset_if_moved(warehouse.pipeline)
    warehouse.load(serve(recent_account(1)))
    reset_if_moved(warehouse.pipeline)
    assert "sources" in warehouse.pipeline.state
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    reset_if_moved(warehouse.pipeline)
    assert "sources" not in warehouse.pipeline.state


def test_another_destination_has_a_cursor_of_its_own(command: Command, serve: Serve, place: Path) -> None:
    account = recent_account(2)
    environment = access_to(serve(account))
    assert command(**environment).code == 0
    other = {"DESTINATION__DUCKDB__CREDENTIALS": f"duckdb:///{place}/other.duckdb"}
    assert command(**environment, **other).code == 0
    warehouse = Warehouse(place)
    warehouse.file = place / "other.duckdb"
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    result = command(**environment)
    assert result.code == 0, result.err
    assert f"{TODAY - timedelta(days=40)}" not in result.out, "the first destination lost its own cursor"


def test_duckdb_merges_in_one_transaction_and_one_job_at_a_time() -> None:
    pipeline = dlt.pipeline("any", destination=choose_destination(None, "any.duckdb"))
    with pipeline.destination_client() as client:
        assert client.capabilities.supports_transactions
        assert client.capabilities.max_parallel_load_jobs == 1


@pytest.mark.parametrize("is_first_load", [True, False])
def test_changed_type_is_loaded_beside_its_column_until_it_fits_again(
    command: Command, serve: Serve, place: Path, is_first_load: bool
) -> None:
    account = recent_account(2)
    environment = access_to(serve(account))
    if not is_first_load:
        assert command(**environment).code == 0
    key = next(iter(expected_calls(account, datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))))
    account.change(key, talk_duration="long")
    result = command(**environment)
    assert result.code == 0, result.err
    assert f"talk_duration of {key}." in result.out
    assert "long" not in result.out, "a value can be personal data"
    query = f"SELECT talk_duration, talk_duration__v_text FROM calls WHERE id = {key}"
    assert Warehouse(place).query(query) == [(None, "long")]
    loaded = Warehouse(place).query("SELECT count(DISTINCT id), count(*) FROM calls")
    assert loaded == [(len(expected_calls(account, LONG_AGO)),) * 2]
    account.change(key, talk_duration=5)
    result = command(**environment)
    assert result.code == 0, result.err
    assert Warehouse(place).query(query) == [(5, None)]
