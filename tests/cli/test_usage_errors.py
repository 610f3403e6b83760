"""A user's mistake ends with a message that names what to change, its exit code, no traceback and no secret."""

from pathlib import Path

import duckdb
import pytest

from comagic.sandbox.switches import LOGIN
from tests.support.accounts import access_to, recent_account
from tests.support.processes import Command, Serve

WRONG_SETTINGS = [
    ("CREDENTIALS__ACCESS_TOKEN", "", "No credentials are configured. Set sources.comagic.credentials.access_token"),
    ("CREDENTIALS__TOKEN", "x", "sources.comagic.credentials.token: there is no such setting"),
    ("BASE_URL", "http://example.com/v2.0", "sources.comagic.base_url"),
    ("START_DATE", "soon", "sources.comagic.start_date: 'soon' is not a date"),
    ("START_DATE", "2026-02-30", "sources.comagic.start_date: '2026-02-30' is not a date"),
    ("STARTDATE", "2026-01-01", "did you mean 'start_date'"),
    ("FIELDS", "id,tagz", "did you mean 'tags'"),
    ("FIELDS", ",", "sources.comagic.fields"),
    ("LOOKBACK_DAYS", "0", "sources.comagic.lookback_days"),
    ("LOOKBACK_DAYS", "many", "sources.comagic.lookback_days: the configured value has the wrong type"),
    ("WINDOW_DAYS", "91", "sources.comagic.window_days"),
    ("TIMEZONE", "Moscow", "sources.comagic.timezone: 'Moscow' is not a time zone"),
    ("USER_ID", "me", "sources.comagic.user_id: the configured value has the wrong type"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG_SETTINGS)
def test_wrong_setting_exits_2_and_is_named_before_any_request(
    command: Command, serve: Serve, name: str, value: str, message: str
) -> None:
    check_usage_error(command, serve, [], {f"SOURCES__COMAGIC__{name}": value}, message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resource", "cals"], "cals"),
        (["--since", "yesterday"], "--since: 'yesterday' is not a date"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "--since 2026-01-02 is not before --until 2026-01-01."),
        (["--until", "2026-01-01"], "--until goes with --since."),
        (["--no-such-option"], "--no-such-option"),
        (["unload"], "unload"),
        (["--destination", "bigtable"], "There is no destination 'bigtable'; use duckdb, bigquery or postgres."),
    ],
)
def test_wrong_option_exits_2_and_is_named_before_any_request(
    command: Command, serve: Serve, words: list[str], message: str
) -> None:
    check_usage_error(command, serve, words, {}, message)


def test_wrong_destination_in_the_environment_exits_2_and_is_named(command: Command, serve: Serve) -> None:
    check_usage_error(command, serve, [], {"DESTINATION_TYPE": "bigtable"}, "There is no destination 'bigtable'")


def check_usage_error(
    command: Command, serve: Serve, words: list[str], environment: dict[str, str], message: str
) -> None:
    """Runs a command that has to exit with 2 and a message before it requests anything."""
    sandbox = serve(recent_account(1))
    result = command(*words, **{**access_to(sandbox), **environment})
    assert (result.code, message in result.err) == (2, True), result.err
    assert "Traceback" not in result.err
    assert sandbox.requests == 0


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": "hunter2"}, "sources.comagic.credentials.access_token"),
        ({"SOURCES__COMAGIC__BASE_URL": "http://127.0.0.1:1/v2.0"}, "cannot be reached"),
        ({"DESTINATION__DUCKDB__CREDENTIALS": "/proc/nowhere/calls.duckdb"}, "/proc/nowhere"),
    ],
)
def test_wrong_key_endpoint_or_folder_exits_1_and_is_named(
    command: Command, serve: Serve, environment: dict[str, str], message: str
) -> None:
    sandbox = serve(recent_account(1))
    result = command(**{**access_to(sandbox), "RUNTIME__REQUEST_MAX_ATTEMPTS": "1", **environment})
    assert (result.code, message in result.err) == (1, True), result.err
    assert "Traceback" not in result.err
    assert "hunter2" not in result.out + result.err


def test_wrong_password_exits_1_and_is_not_shown(command: Command, serve: Serve) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__CREDENTIALS__LOGIN=LOGIN)
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    result = command(**environment, SOURCES__COMAGIC__CREDENTIALS__PASSWORD="hunter2")
    assert result.code == 1
    assert "sources.comagic.credentials.login" in result.err
    assert "hunter2" not in result.out + result.err


def test_database_that_another_process_writes_to_exits_1_and_says_so(run: Command, serve: Serve, place: Path) -> None:
    """As a process of its own: in one process DuckDB would share the connection's file."""
    with duckdb.connect(str(place / "comagic_pipeline.duckdb")) as connection:
        connection.execute("CREATE TABLE taken (a INTEGER)")
        result = run(**access_to(serve(recent_account(1))))
    assert (result.code, "Could not set lock on file" in result.err) == (1, True), result.err
    assert "Traceback" not in result.err
