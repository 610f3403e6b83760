"""The command line as a user runs it: a process of its own, the sandbox, a DuckDB file."""

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import dlt
import duckdb
import pytest

from comagic.load.destinations import choose_destination
from comagic.load.workdir import reset_if_moved
from comagic.sandbox import Switches
from comagic.sandbox.switches import KEY, LOGIN, PASSWORD
from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import SCRIPT, Command, Serve
from tests.support.warehouses import Warehouse


def test_the_demo_loads_some_months_and_answers_a_question(run: Command, place: Path) -> None:
    shown = run("--demo")
    assert shown.code == 0, shown.err
    with duckdb.connect(str(place / "comagic_demo.duckdb"), read_only=True) as connection:
        ((calls, campaigns),) = connection.execute(
            "SELECT count(*), count(DISTINCT campaign_name) FROM comagic.calls"
        ).fetchall()
    assert calls > 10_000
    assert f"{calls:,}" in shown.out
    for word in ("calls__tags", "API calls", "lost, %", "Яндекс.Директ", "secrets.toml"):
        assert word in shown.out
    assert shown.out.count("\n") > campaigns
    assert "windows" in shown.err, "no progress"

    again = run("load", "--demo")
    assert again.code == 0, again.err
    assert f"{calls:,}" not in again.out.split("Calls by campaign")[0], "the second run read everything again"


def test_key_and_endpoint_in_the_environment_are_enough(run: Command, serve: Serve, place: Path) -> None:
    account = recent_account()
    environment = access_to(serve(account))
    shown = run(**environment)
    assert shown.code == 0, shown.err
    file = place / "comagic_pipeline.duckdb"
    with duckdb.connect(str(file), read_only=True) as connection:
        ((calls,),) = connection.execute("SELECT count(*) FROM comagic.calls").fetchall()
    assert calls == len(expected_calls(account, LONG_AGO))


def test_two_folders_do_not_go_on_from_each_others_cursor(
    run: Command, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = recent_account()
    environment = access_to(serve(account), SOURCES__COMAGIC__LOOKBACK_DAYS="1")
    early = {"SOURCES__COMAGIC__START_DATE": f"{TODAY - timedelta(days=3)}"}
    for folder, start in (("one", early), ("two", {}), ("one", early)):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        shown = run(**{**environment, **start})
        assert shown.code == 0, shown.err
    starts = Warehouse(tmp_path / "two").query("SELECT min(partition_date) FROM calls")
    assert starts == [(TODAY - timedelta(days=40),)], "the second folder went on from the first one's cursor"
    assert f"{TODAY - timedelta(days=3)}" not in shown.out, "the first folder forgot its own cursor"


def test_a_working_folder_left_by_another_folder_is_made_anew(
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


def test_another_destination_does_not_go_on_from_the_first_ones_cursor(run: Command, serve: Serve, place: Path) -> None:
    account = recent_account()
    environment = access_to(serve(account))
    assert run(**environment).code == 0
    other = {"DESTINATION__DUCKDB__CREDENTIALS": f"duckdb:///{place}/other.duckdb"}
    assert run(**environment, **other).code == 0
    warehouse = Warehouse(place)
    warehouse.file = place / "other.duckdb"
    assert differences(warehouse.calls(), expected_calls(account, LONG_AGO)) == []
    shown = run(**environment)
    assert f"{TODAY - timedelta(days=40)}" not in shown.out, "back at the first, it goes on from its own"


def test_duckdb_merges_in_one_transaction_and_one_job_at_a_time() -> None:
    pipeline = dlt.pipeline("any", destination=choose_destination(None, "any.duckdb"))
    with pipeline.destination_client() as client:
        assert client.capabilities.supports_transactions
        assert client.capabilities.max_parallel_load_jobs == 1


def test_login_and_password_are_enough(run: Command, serve: Serve) -> None:
    sandbox = serve(recent_account(1), Switches(session_calls=3))
    environment = access_to(sandbox, SOURCES__COMAGIC__CREDENTIALS__LOGIN=LOGIN)
    environment["SOURCES__COMAGIC__CREDENTIALS__PASSWORD"] = PASSWORD
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    shown = run(**environment)
    assert shown.code == 0, shown.err
    assert sandbox.calls["login.user"] == 3


def test_a_period_is_loaded_by_whole_days(run: Command, serve: Serve, place: Path) -> None:
    account = recent_account()
    first, last = TODAY - timedelta(days=20), TODAY - timedelta(days=18)
    shown = run("load", "--since", f"{first}", "--until", f"{last}", **access_to(serve(account)))
    assert shown.code == 0, shown.err
    start = datetime(first.year, first.month, first.day)
    loaded = Warehouse(place).calls()
    assert differences(loaded, expected_calls(account, start, start + timedelta(days=3))) == []


def test_a_load_killed_half_way_is_finished_by_the_next(serve: Serve, run: Command, place: Path) -> None:
    account = recent_account(60)
    child: list[subprocess.Popen[str]] = []

    def kill(request: int) -> None:
        if request == 5:
            child[0].kill()

    sandbox = serve(account, before_answer=kill)
    environment = access_to(sandbox, SOURCES__COMAGIC__LOAD_PACKAGE_ROWS="300", SOURCES__COMAGIC__WINDOW_DAYS="3")
    child.append(
        subprocess.Popen(
            [sys.executable, str(SCRIPT)], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )
    )
    child[0].communicate(timeout=120)
    assert child[0].returncode == -9
    asked = sandbox.requests
    shown = run(**environment)
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.requests - asked < 20, "the second run began from the beginning"


@pytest.mark.parametrize("first_load", [True, False])
def test_a_changed_type_stops_the_load_until_the_field_is_left_out(
    command: Command, serve: Serve, place: Path, first_load: bool
) -> None:
    account = recent_account()
    environment = access_to(serve(account))
    if not first_load:
        assert command(**environment).code == 0
    key = next(iter(expected_calls(account, datetime.combine(TODAY - timedelta(days=5), datetime.min.time()))))
    account.change(key, talk_duration="long")
    for _ in range(2):
        shown = command(**environment)
        assert (shown.code, "talk_duration" in shown.err) == (1, True), shown.err
        assert "sources.comagic.fields" in shown.err
        assert "Traceback" not in shown.err
    shown = command(**environment, SOURCES__COMAGIC__FIELDS="is_lost")
    assert shown.code == 0, shown.err
    loaded = Warehouse(place).query("SELECT count(DISTINCT id), count(*) FROM calls")
    assert loaded == [(len(expected_calls(account, LONG_AGO)),) * 2]
    account.change(key, talk_duration=5)
    shown = command(**environment)
    assert shown.code == 0, shown.err
    assert Warehouse(place).query(f"SELECT talk_duration FROM calls WHERE id = {key}") == [(5,)]


def test_an_interrupted_load_says_so_and_is_finished_by_the_next(serve: Serve, run: Command, place: Path) -> None:
    account = recent_account()
    child: list[subprocess.Popen[str]] = []

    def interrupt(request: int) -> None:
        if request == 4:
            child[0].send_signal(signal.SIGINT)

    sandbox = serve(account, before_answer=interrupt)
    environment = access_to(sandbox)
    child.append(
        subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background job, as this test may be, hands on that SIGINT is ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    )
    _, told = child[0].communicate(timeout=120)
    assert (child[0].returncode, "the next run goes on" in told) == (130, True), told
    assert "Traceback" not in told
    shown = run(**environment)
    assert shown.code == 0, shown.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


@pytest.mark.parametrize(
    ("words", "environment", "code", "told"),
    [
        ([], {"SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": "hunter2"}, 1, "sources.comagic.credentials.access_token"),
        ([], {"SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": ""}, 2, "No access is configured"),
        ([], {"SOURCES__COMAGIC__BASE_URL": "http://127.0.0.1:1/v2.0"}, 1, "cannot be reached"),
        ([], {"SOURCES__COMAGIC__BASE_URL": "http://example.com/v2.0"}, 2, "sources.comagic.base_url"),
        ([], {"SOURCES__COMAGIC__START_DATE": "soon"}, 2, "sources.comagic.start_date"),
        ([], {"SOURCES__COMAGIC__START_DATE": "2026-02-30"}, 2, "sources.comagic.start_date"),
        ([], {"SOURCES__COMAGIC__FIELDS": "id,tagz"}, 2, "did you mean 'tags'"),
        ([], {"SOURCES__COMAGIC__FIELDS": ","}, 2, "sources.comagic.fields"),
        ([], {"SOURCES__COMAGIC__LOOKBACK_DAYS": "0"}, 2, "sources.comagic.lookback_days"),
        ([], {"SOURCES__COMAGIC__LOOKBACK_DAYS": "many"}, 2, "sources.comagic.lookback_days"),
        ([], {"SOURCES__COMAGIC__WINDOW_DAYS": "91"}, 2, "sources.comagic.window_days"),
        ([], {"SOURCES__COMAGIC__TIMEZONE": "Moscow"}, 2, "sources.comagic.timezone"),
        ([], {"SOURCES__COMAGIC__USER_ID": "me"}, 2, "sources.comagic.user_id"),
        ([], {"SOURCES__COMAGIC__STARTDATE": "2026-01-01"}, 2, "did you mean 'start_date'"),
        ([], {"SOURCES__COMAGIC__CREDENTIALS__TOKEN": "x"}, 2, "sources.comagic.credentials.token"),
        ([], {"DESTINATION_TYPE": "bigtable"}, 2, "bigtable"),
        (["--resource", "cals"], {}, 2, "cals"),
        (["--since", "yesterday"], {}, 2, "--since"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], {}, 2, "not before"),
        (["--until", "2026-01-01"], {}, 2, "--since"),
        (["--no-such-option"], {}, 2, "--no-such-option"),
        (["unload"], {}, 2, "unload"),
    ],
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(
    run: Command, serve: Serve, words: list[str], environment: dict[str, str], code: int, told: str
) -> None:
    sandbox = serve(recent_account(1))
    shown = run(*words, **{**access_to(sandbox), "RUNTIME__REQUEST_MAX_ATTEMPTS": "1", **environment})
    assert (shown.code, told in shown.err) == (code, True), shown.err
    assert "Traceback" not in shown.err
    assert "hunter2" not in shown.out + shown.err


def test_a_wrong_password_gets_a_sentence_without_it(run: Command, serve: Serve) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__CREDENTIALS__LOGIN=LOGIN)
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    shown = run(**environment, SOURCES__COMAGIC__CREDENTIALS__PASSWORD="hunter2")
    assert shown.code == 1
    assert "sources.comagic.credentials.login" in shown.err
    assert "hunter2" not in shown.err


def test_check_tells_what_the_access_is_good_for(run: Command, serve: Serve) -> None:
    shown = run("check", **access_to(serve(recent_account())))
    assert shown.code == 0, shown.err
    for told in ("Новые кварталы", "Europe/Moscow", "calls", "this minute"):
        assert told in shown.out


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ({"get.account": "ip_not_whitelisted"}, "Add the address 127.0.0.1"),
        ({"get.account": "access_token_invalid"}, "sources.comagic.base_url is your brand's"),
        ({"get.account": "auth_error"}, "sources.comagic.credentials.login"),
        ({"get.calls_report": "forbidden"}, "the right to call get.calls_report"),
        ({"get.calls_report": "method_component_disabled"}, "component dt"),
    ],
)
def test_check_fails_with_the_sentence_that_mends_it(
    run: Command, serve: Serve, errors: dict[str, str], told: str
) -> None:
    shown = run("check", **access_to(serve(recent_account(1), Switches(errors=errors))))
    assert (shown.code, told in shown.out) == (1, True), shown.out + shown.err
    assert "Traceback" not in shown.err


def test_the_summary_warns_of_a_difference_and_of_a_new_column(run: Command, serve: Serve) -> None:
    sandbox = serve(recent_account(), Switches(total_extra=1, undocumented_key="hold_duration"))
    shown = run(**access_to(sandbox))
    assert shown.code == 0, shown.err
    assert "announced" in shown.out
    assert "calls.hold_duration" in shown.out


def test_a_folder_that_cannot_be_written_is_a_clear_error(run: Command, serve: Serve) -> None:
    environment = access_to(serve(recent_account(1)))
    shown = run(**environment, DESTINATION__DUCKDB__CREDENTIALS="/proc/nowhere/calls.duckdb")
    assert shown.code == 1
    assert "Traceback" not in shown.err
    assert "/proc/nowhere" in shown.err


def test_settings_are_read_from_dlts_files_in_any_form_that_toml_has(run: Command, serve: Serve, place: Path) -> None:
    (place / ".dlt").mkdir()
    first = TODAY - timedelta(days=9)
    (place / ".dlt" / "config.toml").write_text(
        f'[sources.comagic]\nstart_date = {first}\nfields = ["is_lost", "tags"]\nlookback_days = 2\n'
    )
    sandbox = serve(recent_account())
    (place / ".dlt" / "secrets.toml").write_text(
        f'[sources.comagic]\nbase_url = "{sandbox.base_url}"\ncredentials.access_token = "{KEY}"\n'
    )
    shown = run()
    assert shown.code == 0, shown.err
    assert f"{first} 00:00:00" in shown.out
    names = {name for (name,) in Warehouse(place).query("SELECT column_name FROM information_schema.columns")}
    assert {"is_lost", "tag_name"} <= names
    assert "campaign_name" not in names


@pytest.mark.parametrize("fields", ["is_lost,tags", '["is_lost", "tags"]', " is_lost , tags "])
def test_fields_in_the_environment_in_any_form(run: Command, serve: Serve, place: Path, fields: str) -> None:
    shown = run(**access_to(serve(recent_account(1)), SOURCES__COMAGIC__FIELDS=fields))
    assert shown.code == 0, shown.err
    columns = Warehouse(place).query("SELECT column_name FROM information_schema.columns WHERE table_name = 'calls'")
    assert {name for (name,) in columns} == {"id", "start_time", "is_lost", "partition_date", "_dlt_id", "_dlt_load_id"}


def test_bare_variables_of_the_machine_mean_nothing(run: Command, serve: Serve) -> None:
    bare = {"TIMEZONE": "UTC", "USER_ID": "abc", "FIELDS": "x", "ACCESS_TOKEN": "hunter2", "START_DATE": "soon"}
    sandbox = serve(recent_account(1))
    shown = run("check", **access_to(sandbox), **bare)
    assert (shown.code, "overridden" in shown.out) == (0, False), shown.err
    environment = access_to(sandbox)
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    requests = sandbox.requests
    assert run("check", **environment, **bare).code == 2
    assert sandbox.requests == requests, "another service's token was sent"


def test_a_mistake_in_a_file_is_named_too(run: Command, serve: Serve, place: Path) -> None:
    (place / ".dlt").mkdir()
    (place / ".dlt" / "config.toml").write_text("[sources.comagic]\nlookback_day = 3\n")
    shown = run(**access_to(serve(recent_account(1))))
    assert (shown.code, "sources.comagic.lookback_day" in shown.err) == (2, True), shown.err


def test_a_database_that_another_program_writes_to_is_a_clear_error(run: Command, serve: Serve, place: Path) -> None:
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("CREATE TABLE taken (a INTEGER)")
        shown = run(**access_to(serve(recent_account(1))))
    assert (shown.code, "Could not set lock on file" in shown.err) == (1, True), shown.err
    assert "Traceback" not in shown.err
