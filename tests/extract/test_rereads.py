"""A call that is uploaded into a day beyond the lookback arrives with the next run that loads `uploaded_calls`."""

from datetime import datetime, timedelta
from pathlib import Path

import pendulum
import pytest

from comagic.sandbox import SyntheticAccount
from tests.support.accounts import LONG_AGO, access_to, days_ago, differences, expected_calls, resource_options
from tests.support.processes import Command, Serve
from tests.support.warehouses import Warehouse

NAMES = resource_options("calls", "uploaded_calls")


def just_now() -> datetime:
    """A minute ago in the account's local time: a load reads up to, not including, the second in which it begins."""
    return pendulum.now(SyntheticAccount().timezone).naive().replace(microsecond=0) - timedelta(minutes=1)


def old_account() -> SyntheticAccount:
    """An account with calls of the last 90 days, but none of the last two."""
    return SyntheticAccount(first_day=days_ago(90).date(), last_day=days_ago(2).date(), calls_per_day=2)


@pytest.mark.expensive
def test_days_of_uploads_beyond_the_lookback_are_read_once_more_and_no_others(
    serve: Serve, command: Command, place: Path
) -> None:
    account = old_account()
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=str(days_ago(95).date()))
    assert command("load", *NAMES, **environment).code == 0
    before = sandbox.calls["get.calls_report"]
    assert command("load", *NAMES, **environment).code == 0
    usual = sandbox.calls["get.calls_report"] - before
    for days in (80, 79, 40, 3):
        account.upload(days_ago(days) + timedelta(hours=12), uploaded_at=just_now())
    before = sandbox.calls["get.calls_report"]
    outcome = command("load", *NAMES, **environment)
    assert outcome.code == 0, outcome.err
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []
    assert sandbox.calls["get.calls_report"] - before == usual + 2, "80 and 79 days ago in one request, 40 in another"
    assert f"calls_{days_ago(80):%Y%m%d}: {days_ago(80)} up to {days_ago(78)}" in outcome.out
    before = sandbox.calls["get.calls_report"]
    state = Warehouse(place).query("SELECT count(*) FROM calls")
    assert command("load", *NAMES, **environment).code == 0
    assert sandbox.calls["get.calls_report"] - before <= usual + 2
    assert Warehouse(place).query("SELECT count(*) FROM calls") == state


@pytest.mark.expensive
def test_days_are_kept_until_they_were_read(serve: Serve, command: Command, place: Path) -> None:
    account = old_account()
    sandbox = serve(account)
    environment = access_to(sandbox, SOURCES__COMAGIC__START_DATE=str(days_ago(95).date()))
    assert command("load", *NAMES, **environment).code == 0
    account.upload(days_ago(60), uploaded_at=just_now())
    sandbox.switches.errors = {"get.calls_report": "forbidden"}
    assert command("load", *NAMES, **environment).code == 1
    sandbox.switches.errors = {}
    for _ in range(2):
        assert command("load", *NAMES, **environment).code == 0
    assert differences(Warehouse(place).calls(), expected_calls(account, LONG_AGO)) == []


def test_setting_switches_it_off(serve: Serve, command: Command, place: Path) -> None:
    account = old_account()
    sandbox = serve(account)
    environment = access_to(
        sandbox,
        SOURCES__COMAGIC__START_DATE=str(days_ago(95).date()),
        SOURCES__COMAGIC__REREAD_UPLOADED_DAYS="false",
    )
    assert command("load", *NAMES, **environment).code == 0
    uploaded = account.upload(days_ago(60), uploaded_at=just_now())
    assert command("load", *NAMES, **environment).code == 0
    assert uploaded not in Warehouse(place).calls()
