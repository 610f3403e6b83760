"""Checks the access: one cheap real call a resource, and for each problem the sentence that mends it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Iterator, Optional, Sequence

import pendulum

from comagic.answers import Account
from comagic.catalog import Report, Resource
from comagic.client import DataApiClient
from comagic.exceptions import ComagicError
from comagic.reading import ACCOUNT_METHOD
from comagic.settings import Settings, parse_zone
from comagic.windows import API_TIME, to_wall


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        subject: `account`, or the name of a resource.
        text: what is right, or the sentence that says how to mend what is wrong.
        problem: what went wrong; None if nothing did.
    """

    subject: str
    text: str
    problem: Optional[ComagicError] = None


def check(client: DataApiClient, settings: Settings, resources: Sequence[Resource]) -> Iterator[Finding]:
    """Asks for the account, then for one row of each resource; stops if the account itself is out of reach."""
    try:
        account = client.account()
    except ComagicError as error:
        yield Finding("account", str(error), error)
        return
    yield Finding(
        "account", f"{account.name} (id {account.app_id}), time zone {account.timezone}{_overridden(account, settings)}"
    )
    for resource in resources:
        try:
            yield Finding(resource.name, _checked(client, settings, resource, account))
        except ComagicError as error:
            yield Finding(resource.name, str(error), error)


def _checked(client: DataApiClient, settings: Settings, resource: Resource, account: Account) -> str:
    if isinstance(resource, Report):
        return _checked_report(client, settings, resource, account)
    if resource.method == ACCOUNT_METHOD:
        return "1 entry"
    return f"{client.page(resource.method, offset=0, limit=1).total:,} entries"


def _checked_report(client: DataApiClient, settings: Settings, report: Report, account: Account) -> str:
    zone = settings.zone or parse_zone("get.account.timezone", account.timezone)
    now = to_wall(pendulum.now("UTC"), zone)
    page = client.page(
        report.method,
        offset=0,
        limit=1,
        date_from=(now - timedelta(days=1)).strftime(API_TIME),
        date_till=now.strftime(API_TIME),
        fields=settings.selected(report),
    )
    return f"{page.total:,} rows in the last 24 hours"


def _overridden(account: Account, settings: Settings) -> str:
    return (
        f", overridden by sources.comagic.timezone = {settings.zone}"
        if settings.zone and str(settings.zone) != account.timezone
        else ""
    )
