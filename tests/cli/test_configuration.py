"""Settings come from dlt's files and from environment variables with the full name, and from nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from comagic.sandbox.switches import KEY
from tests.support.accounts import TODAY, access_to, recent_account
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse


def test_settings_in_files_may_have_any_toml_type(command: Command, serve: Serve, place: Path) -> None:
    (place / ".dlt").mkdir()
    first = TODAY - timedelta(days=9)
    (place / ".dlt" / "config.toml").write_text(
        f'[sources.comagic]\nstart_date = {first}\nfields = ["is_lost", "tags"]\nlookback_days = 2\n'
    )
    sandbox = serve(recent_account())
    (place / ".dlt" / "secrets.toml").write_text(
        f'[sources.comagic]\nbase_url = "{sandbox.base_url}"\ncredentials.access_token = "{KEY}"\n'
    )
    result = command()
    assert result.code == 0, result.err
    assert f"{first} 00:00:00" in result.out
    names = {name for (name,) in Warehouse(place).query("SELECT column_name FROM information_schema.columns")}
    assert {"is_lost", "tag_name"} <= names
    assert "campaign_name" not in names


@pytest.mark.parametrize("fields", ["is_lost,tags", '["is_lost", "tags"]', " is_lost , tags "])
def test_fields_in_the_environment_may_be_a_list_or_text(
    command: Command, serve: Serve, place: Path, fields: str
) -> None:
    result = command(**access_to(serve(recent_account(1)), SOURCES__COMAGIC__FIELDS=fields))
    assert result.code == 0, result.err
    columns = Warehouse(place).query("SELECT column_name FROM information_schema.columns WHERE table_name = 'calls'")
    own = {"partition_date", "row_hash", "_dlt_id", "_dlt_load_id"}
    assert {name for (name,) in columns} == {"id", "start_time", "is_lost", *own}


def test_bare_variables_are_ignored(command: Command, serve: Serve) -> None:
    bare = {"TIMEZONE": "UTC", "USER_ID": "abc", "FIELDS": "x", "ACCESS_TOKEN": "hunter2", "START_DATE": "soon"}
    sandbox = serve(recent_account(1))
    result = command("check", **access_to(sandbox), **bare)
    assert (result.code, "overridden" in result.out) == (0, False), result.err
    environment = access_to(sandbox)
    del environment["SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN"]
    requests_before = sandbox.requests
    assert command("check", **environment, **bare).code == 2
    assert sandbox.requests == requests_before, "another service's token was sent"


def test_unknown_setting_in_a_file_is_rejected_by_name(command: Command, serve: Serve, place: Path) -> None:
    (place / ".dlt").mkdir()
    (place / ".dlt" / "config.toml").write_text("[sources.comagic]\nlookback_day = 3\n")
    result = command(**access_to(serve(recent_account(1))))
    message = "sources.comagic.lookback_day: there is no such setting (did you mean 'lookback_days'?)."
    assert (result.code, message in result.err) == (2, True), result.err
