"""After a nightly load: the report where it is wanted, and a digest of yesterday's calls; a problem is a warning."""

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from comagic.cli.nightly import digest
from comagic.load.destinations import choose_destination
from comagic.sandbox import SyntheticAccount
from comagic.settings import resolve_settings
from tests.support.accounts import TODAY, access_to, recent_account
from tests.support.eventful import PERIOD, eventful_account
from tests.support.hook import Hook
from tests.support.processes import Command, Serve


def account_since(days: int) -> SyntheticAccount:
    return recent_account(30, first_day=TODAY - timedelta(days=days))


def test_digest_and_report_come_after_a_nightly_load(serve: Serve, command: Command, place: Path, hook: Hook) -> None:
    """Not after one by the hour, nor after one of a given period."""
    day = f"{TODAY - timedelta(days=1):%Y-%m-%d}"
    environment = access_to(
        serve(recent_account(30, last_day=TODAY)),  # which is yesterday in Moscow, late in the evening
        NOTIFICATIONS__WEBHOOK_URL=hook.url,
        NOTIFICATIONS__DIGEST="true",
        SOURCES__COMAGIC__REPORT="night.html",
        SOURCES__COMAGIC__LANGUAGE="ru",
    )
    for words in (["--since", day, "--until", day], ["--lookback-days", "1"]):
        assert command("load", *words, **environment).code == 0
    assert (
        command("load", **{**environment, "SOURCES__COMAGIC__REPORT": "", "NOTIFICATIONS__DIGEST": "false"}).code == 0
    )
    assert (hook.messages, (place / "night.html").exists()) == ([], False)
    result = command("load", **environment)
    assert result.code == 0, result.err
    assert f"Wrote {place / 'night.html'}: " in result.out
    assert '<html lang="ru">' in (place / "night.html").read_text("utf-8")
    ((_, message),) = hook.messages
    text = message["text"]
    assert len(re.findall(r"\d+ звон\w+, пропущено \d+ \([\d,]+ %\), так и не связались \d+\.", text)) == 2, text
    assert " Неделей раньше: " in text


@pytest.mark.expensive(1)
def test_digest_counts_the_day_and_the_same_weekday_before(
    serve: Serve, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = eventful_account()
    assert command("load", *PERIOD, **access_to(serve(account))).code == 0
    expected = []
    for day in (date(2025, 11, 29), date(2025, 11, 22)):
        start = datetime(day.year, day.month, day.day)
        calls = list(account.calls(start, start + timedelta(days=1), datetime(2100, 1, 1)))
        missed = [call for call in calls if call["is_lost"] and call["direction"] == "in"]
        expected.append((len(calls), len(missed)))
    text = digest(choose_destination(), "comagic", resolve_settings())
    assert text.startswith("Saturday, 29 November 2025: ")
    found = re.findall(r"(\d+) calls?, missed (\d+)", text)
    assert [(int(calls), int(missed)) for calls, missed in found] == expected


@pytest.mark.expensive(1)
def test_digest_says_that_there_is_no_week_before(serve: Serve, command: Command) -> None:
    environment = access_to(serve(account_since(4)))
    environment["SOURCES__COMAGIC__START_DATE"] = (TODAY - timedelta(days=4)).isoformat()
    assert command("load", **environment).code == 0
    text = digest(choose_destination(), "comagic", resolve_settings())
    assert text.endswith(" A week earlier is not loaded.")


@pytest.mark.expensive(2)
def test_problem_of_the_report_or_digest_is_a_warning(serve: Serve, command: Command, hook: Hook) -> None:
    hook.status = 404
    environment = access_to(
        serve(recent_account(1)),
        NOTIFICATIONS__WEBHOOK_URL=hook.url,
        NOTIFICATIONS__DIGEST="true",
        SOURCES__COMAGIC__REPORT="no/folder/night.html",
    )
    result = command("load", **environment)
    assert result.code == 0, result.err
    assert "Warning: The report was not written: --output no/folder/night.html: No such file" in result.err
    assert "Warning: the webhook (notifications.webhook_url) could not be notified: HTTP 404." in result.err
