"""A setting that changed after a load is reported with the command that repairs its effect, or is an error."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.accounts import LONG_AGO, TODAY, access_to, differences, expected_calls, recent_account
from tests.support.processes import Command, Outcome, Serve
from tests.support.warehouses import Warehouse


def suggested(outcome: Outcome) -> list[str]:
    """The command in a warning or an error, as arguments."""
    (command,) = re.findall(
        r'load (--since (?:"[^"]+"|[\d-]+)(?: --until [\d-]+)?)', (outcome.out + outcome.err).replace("\n", " ")
    )
    return ["load", *(part.strip('"') for part in re.findall(r'"[^"]+"|\S+', command))]


@pytest.mark.expensive
def test_earlier_start_date_is_reported_until_its_days_are_loaded(serve: Serve, command: Command, place: Path) -> None:
    account = recent_account(3)
    sandbox = serve(account)
    late = access_to(sandbox, SOURCES__COMAGIC__START_DATE=f"{TODAY - timedelta(days=20)}")
    assert command(**late).code == 0
    early = access_to(sandbox)
    outcome = command(**early)
    assert outcome.code == 0
    assert "start_date is" in outcome.out
    assert command(*suggested(outcome), **early).code == 0
    assert "Warning" not in command(**early).out
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_another_time_zone_is_an_error_until_everything_is_loaded_again(
    serve: Serve, command: Command, place: Path
) -> None:
    environment = access_to(serve(recent_account(3)))
    assert command(**environment).code == 0
    other = {**environment, "SOURCES__COMAGIC__TIMEZONE": "Asia/Vladivostok"}
    outcome = command(**other)
    assert outcome.code == 2
    assert "was loaded with Europe/Moscow, and the time zone is Asia/Vladivostok now" in outcome.err.replace("\n", " ")
    recent = f"{TODAY - timedelta(days=3)}"
    assert command("load", "--since", recent, **other).code == 2, "a part of it is not enough"
    before = Warehouse(place).query("SELECT min(start_time) FROM calls")
    assert command(*suggested(outcome), **other).code == 0
    ((moved,),) = Warehouse(place).query("SELECT min(start_time) FROM calls")
    assert before[0][0] - moved == timedelta(hours=7)
    assert command(**other).code == 0
    assert command(**environment).code == 2


def test_added_and_removed_fields_are_reported_once_with_the_repair(
    serve: Serve, command: Command, place: Path
) -> None:
    environment = access_to(serve(recent_account(3)))
    few = {**environment, "SOURCES__COMAGIC__FIELDS": "is_lost,site_id"}
    more = {**environment, "SOURCES__COMAGIC__FIELDS": "is_lost,site_id,talk_duration"}
    assert command(**few).code == 0
    outcome = command(**more)
    assert outcome.code == 0
    assert "talk_duration was not loaded before" in outcome.out
    lacking = "SELECT count(*) > 0 FROM calls WHERE talk_duration IS NULL"
    assert Warehouse(place).query(lacking) == [(True,)]
    assert command(*suggested(outcome), **more).code == 0
    assert Warehouse(place).query(lacking) == [(False,)]
    assert "Warning" not in command(**more).out

    outcome = command(**few)
    assert "talk_duration was loaded before" in outcome.out
    assert Warehouse(place).query(lacking) == [(False,)], "what is no longer requested stays"
    assert command(*suggested(outcome), **more).code == 0
    assert Warehouse(place).query(lacking) == [(False,)]


def test_first_run_and_unchanged_settings_report_nothing(serve: Serve, command: Command) -> None:
    environment = access_to(serve(recent_account(1)), SOURCES__COMAGIC__START_DATE=f"{datetime(2026, 1, 1):%Y-%m-%d}")
    for _ in range(2):
        outcome = command(**environment)
        assert (outcome.code, "Warning" in outcome.out) == (0, False), outcome.out
