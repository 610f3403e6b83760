"""Checks the access: one cheap real call a resource, and for each problem the sentence that mends it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Iterator, Optional, Sequence

import pendulum

from ..api.client import DataApiClient
from ..api.responses import Account
from ..catalog import Report, Resource
from ..exceptions import ComagicError
from ..extract.context import Extraction, chosen_clients, resources_of
from ..extract.reader import ACCOUNT_METHOD, every_parameters
from ..extract.windows import API_TIME, to_wall
from ..settings import Settings


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        subject: `account`, `client 7` of an agency, or the name of a resource.
        text: what is right, or the sentence that says how to mend what is wrong.
        problem: what went wrong; None if nothing did.
    """

    subject: str
    text: str
    problem: Optional[ComagicError] = None


def check(client: DataApiClient, settings: Settings, resources: Sequence[Resource]) -> Iterator[Finding]:
    """Asks for the account, then for one row of each resource; stops if the account itself is out of reach.

    Of an agency's clients each is asked for, where several are configured.
    """
    try:
        clients = chosen_clients(client, settings.user_ids)
    except ComagicError as error:
        yield Finding("clients", str(error), error)
        return
    for user_id in clients:
        extraction = Extraction(settings, client, user_id=user_id)
        yield from _checked_account(extraction, resources_of(resources, user_id, clients))


def _checked_account(extraction: Extraction, resources: Sequence[Resource]) -> Iterator[Finding]:
    subject = "account" if extraction.user_id is None else f"client {extraction.user_id}"
    try:
        account = extraction.client.account(extraction.user_id)
    except ComagicError as error:
        yield Finding(subject, str(error), error)
        return
    yield Finding(
        subject,
        f"{account.name} (id {account.app_id}), time zone {account.timezone}"
        f"{_overridden(account, extraction.settings)}",
    )
    for resource in resources:
        try:
            yield Finding(extraction.name(resource), _checked(extraction, resource))
        except ComagicError as error:
            yield Finding(extraction.name(resource), str(error), error)


def _checked(extraction: Extraction, resource: Resource) -> str:
    if isinstance(resource, Report):
        return _checked_report(extraction, resource)
    if resource.method == ACCOUNT_METHOD:
        return "1 entry"
    page = extraction.client.page(resource.method, offset=0, limit=1, **extraction.parameters(resource))
    return f"{page.total:,} entries"


def _checked_report(extraction: Extraction, report: Report) -> str:
    every = every_parameters(extraction.client, report, **extraction.parameters(report))
    if not every:
        return f"nothing to ask for: no {', '.join(report.for_each.values())}"
    now = to_wall(pendulum.now("UTC"), extraction.zone())
    page = extraction.client.page(
        report.method,
        offset=0,
        limit=1,
        date_from=(now - timedelta(days=1)).strftime(API_TIME),
        date_till=now.strftime(API_TIME),
        fields=extraction.settings.selected(report),
        **every[0],
    )
    of = f" of {report.for_each[name]} {every[0][name]}" if (name := next(iter(report.for_each), "")) else ""
    return f"{page.total:,} rows{of} in the last 24 hours"


def _overridden(account: Account, settings: Settings) -> str:
    return (
        f", overridden by sources.comagic.timezone = {settings.zone}"
        if settings.zone and str(settings.zone) != account.timezone
        else ""
    )
