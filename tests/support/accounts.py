"""Accounts of the sandbox: how to reach one, and what has to be in the destination after a load."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pendulum

from comagic.catalog import BY_DAY, LIST, TIME, Field, Report, Resource, reports
from comagic.extract.rows import computed_key
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.own_reports import OWN_MAKERS
from comagic.sandbox.reports import daily_stat, derived
from comagic.sandbox.switches import KEY
from comagic.sandbox.vocabulary import SITES

CALLS = reports()["calls"]
LONG_AGO = datetime(2024, 1, 1)
"""Before the calls of every account; not much before, since an account looks for calls hour by hour."""
FAR = datetime(2100, 1, 1)
PSEUDONYM_KEY = "8f1c0b5e6a27d94c3f80e1b2a69d5c74"
TODAY: date = pendulum.today("UTC").date()


def access_to(sandbox: SandboxServer, **more: str) -> dict[str, str]:
    """Returns the environment variables for loading a sandbox's calls of the last 40 days, and more of them."""
    return {
        "SOURCES__COMAGIC__BASE_URL": sandbox.base_url,
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
        "SOURCES__COMAGIC__START_DATE": (TODAY - timedelta(days=40)).isoformat(),
        **more,
    }


def recent_account(calls_per_day: float = 10, **settings: Any) -> SyntheticAccount:
    """Returns an account with calls of the last 40 days, but none of today, so that nothing changes during a test."""
    first, last = TODAY - timedelta(days=40), TODAY - timedelta(days=1)
    return SyntheticAccount(**{"first_day": first, "last_day": last, "calls_per_day": calls_per_day, **settings})


def days_ago(days: int) -> datetime:
    """Returns midnight so many days before today; a negative number is after it."""
    return datetime(TODAY.year, TODAY.month, TODAY.day) - timedelta(days=days)


def resource_options(*names: str) -> list[str]:
    """Returns the options of the command line that select these resources."""
    return [word for name in names for word in ("--resource", name)]


def expected_calls(account: SyntheticAccount, start: datetime, end: datetime = FAR) -> dict[int, dict[str, Any]]:
    """Returns the account's calls by id as they should be in the destination: times in UTC, null lists empty."""
    zone = pendulum.timezone(account.timezone)

    def converted(name: str, value: Any, fields: Mapping[str, Field]) -> Any:
        if name in fields and fields[name].type == LIST:
            children = fields[name].children
            return [
                {key: converted(key, item.get(key), children) for key in children} if children else item
                for item in value or []
            ]
        if value is not None and name in fields and fields[name].type == TIME:
            return datetime.fromisoformat(value).replace(tzinfo=zone).astimezone(pendulum.UTC)
        return value

    calls = {}
    for call in account.calls(start, end, now=FAR):
        row = {name: converted(name, call[name], CALLS.fields) for name in CALLS.selected}
        row["partition_date"] = datetime.fromisoformat(call["start_time"]).date()
        calls[call["id"]] = row
    return calls


def expected_rows(account: SyntheticAccount, report: Report) -> list[dict[str, Any]]:
    """Returns the account's rows of a report other than calls, as the API sends them, sorted by key."""
    rows: Iterable[dict[str, Any]]
    calls = list(account.calls(LONG_AGO, FAR, FAR))
    if report.name in OWN_MAKERS:
        made = own_rows(account, report)
        rows = ({**row, "row_id": computed_key(row, report.key_of)} for row in made)
    elif report.name == "campaign_daily_stat":
        stat = [row for site in SITES for row in daily_stat(report, site[0], calls)]
        rows = ({**row, "row_id": computed_key(row, report.key_of)} for row in stat)
    else:
        rows = (row for call in calls for row in derived(report, call))
    return sorted(rows, key=lambda row: row[report.primary_key])


def requested(resource: Resource) -> list[Field]:
    """The fields of a resource that are requested of an unknown brand."""
    return [field for field in resource.fields.values() if not field.retired]


def own_rows(account: SyntheticAccount, report: Report) -> Iterator[dict[str, Any]]:
    """The rows of a report with a maker of its own; where the API adds up days, those of each of the last 40 days."""
    now = pendulum.now(account.timezone).naive()
    make = OWN_MAKERS[report.name]
    if report.period != BY_DAY:
        yield from make(report, account, LONG_AGO, FAR, now)
        return
    day = days_ago(40)
    while day <= now:
        for row in make(report, account, day, day + timedelta(days=1), now):
            yield {**row, report.cursor: str(day.date())}
        day += timedelta(days=1)


def differences(loaded: dict[int, dict[str, Any]], expected: dict[int, dict[str, Any]]) -> list[str]:
    """Describes the first differences between loaded and expected rows; an empty list if they are equal."""
    found = [f"missing {key}" for key in expected.keys() - loaded.keys()]
    found += [f"extra {key}" for key in loaded.keys() - expected.keys()]
    for key in expected.keys() & loaded.keys():
        for name, value in expected[key].items():
            got = loaded[key].get(name, [] if value == [] else "no column")
            if got != value:
                found.append(f"{key}.{name}: {got!r} instead of {value!r}")
    return found[:10]
