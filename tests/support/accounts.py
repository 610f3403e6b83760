"""The sandbox's accounts: how to reach one, and what has to be in the destination after a load."""

from datetime import date, datetime, timedelta
from typing import Any

import pendulum

from comagic.catalog import LIST, TIME, reports
from comagic.sandbox import SandboxServer, SyntheticAccount
from comagic.sandbox.switches import KEY

CALLS = reports()["calls"]
LONG_AGO = datetime(2000, 1, 1)
FAR = datetime(2100, 1, 1)
TODAY: date = pendulum.today("UTC").date()


def access_to(sandbox: SandboxServer, **more: str) -> dict[str, str]:
    """The environment that leads to a sandbox; calls of the last 40 days."""
    return {
        "SOURCES__COMAGIC__BASE_URL": sandbox.base_url,
        "SOURCES__COMAGIC__CREDENTIALS__ACCESS_TOKEN": KEY,
        "SOURCES__COMAGIC__START_DATE": (TODAY - timedelta(days=40)).isoformat(),
        **more,
    }


def recent_account(calls_per_day: float = 10, **settings: Any) -> SyntheticAccount:
    """Calls of the last 40 days, today's left out, so that nothing goes on while a test runs."""
    first, last = TODAY - timedelta(days=40), TODAY - timedelta(days=1)
    return SyntheticAccount(**{"first_day": first, "last_day": last, "calls_per_day": calls_per_day, **settings})


def expected_calls(account: SyntheticAccount, start: datetime, end: datetime = FAR) -> dict[int, dict[str, Any]]:
    """What has to be in the warehouse: the account's own calls, times of its zone as UTC, null lists empty."""
    zone = pendulum.timezone(account.timezone)

    def converted(name: str, value: Any, of: dict[str, Any]) -> Any:
        if name in of and of[name].type == LIST:
            items = of[name].children
            return [
                {key: converted(key, item.get(key), items) for key in items} if items else item for item in value or []
            ]
        if value is not None and name in of and of[name].type == TIME:
            return datetime.fromisoformat(value).replace(tzinfo=zone).astimezone(pendulum.UTC)
        return value

    calls = {}
    for call in account.calls(start, end, now=FAR):
        row = {name: converted(name, call[name], dict(CALLS.fields)) for name in CALLS.selected}
        row["partition_date"] = datetime.fromisoformat(call["start_time"]).date()
        calls[call["id"]] = row
    return calls


def differences(loaded: dict[int, dict[str, Any]], expected: dict[int, dict[str, Any]]) -> list[str]:
    """What differs, in words; the first few."""
    found = [f"missing {key}" for key in expected.keys() - loaded.keys()]
    found += [f"extra {key}" for key in loaded.keys() - expected.keys()]
    for key in expected.keys() & loaded.keys():
        for name, value in expected[key].items():
            got = loaded[key].get(name, [] if value == [] else "no column")
            if got != value:
                found.append(f"{key}.{name}: {got!r} instead of {value!r}")
    return found[:10]
