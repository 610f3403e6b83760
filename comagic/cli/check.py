"""Checks credentials and permissions: one cheap request for each resource, and for each problem how to fix it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pendulum

from ..api.client import DataApiClient
from ..api.responses import Account, Page
from ..catalog import BY_DAY, Parents, Report, Resource
from ..exceptions import UNAVAILABLE, ComagicError
from ..extract.context import Context, list_clients, resources_for_client
from ..extract.parents import ParentsReader, parents_window
from ..extract.reader import ACCOUNT_METHOD, parameter_sets, period_params
from ..extract.windows import Window, day_start, to_local
from ..redaction import printable
from ..settings import Settings


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        subject: `account`, `client 7` of an agency, or the name of a resource.
        text: what was found, or how to fix what is wrong.
        is_problem: whether something is wrong.
    """

    subject: str
    text: str
    is_problem: bool = False


def check_access(client: DataApiClient, settings: Settings, chosen: Sequence[Resource]) -> Iterator[Finding]:
    """Requests the account, then one row of each resource; stops if the account itself cannot be read.

    Each client of an agency is checked, where several are configured.
    """
    try:
        clients = list_clients(client, settings)
    except ComagicError as error:
        yield _problem("clients", error)
        return
    for user_id in clients:
        context = Context(settings, client, user_id=user_id)
        yield from _check_account(context, resources_for_client(chosen, user_id, clients))


def _check_account(context: Context, chosen: Sequence[Resource]) -> Iterator[Finding]:
    subject = "account" if context.user_id is None else f"client {context.user_id}"
    try:
        account = context.client.account(context.user_id)
    except ComagicError as error:
        yield _problem(subject, error)
        return
    override = _zone_override(account, context.settings)
    name, app_id, zone = map(printable, (account.name, str(account.app_id), account.timezone))
    yield Finding(subject, f"{name} (id {app_id}), time zone {zone}{override}")
    for resource in chosen:
        try:
            yield Finding(context.name(resource), _check_resource(context, resource))
        except UNAVAILABLE as error:
            is_optional = resource.name in context.optional_resources()
            yield Finding(context.name(resource), str(error), is_problem=not is_optional)
        except ComagicError as error:
            yield _problem(context.name(resource), error)


def _check_resource(context: Context, resource: Resource) -> str:
    context.check_brand(resource)
    if isinstance(resource, Report):
        return _check_report(context, resource)
    if resource.method == ACCOUNT_METHOD:
        return "1 entry"
    fields, parameters = context.selected_fields(resource), context.parameters(resource)
    if resource.rows_in:
        page = context.client.object_rows(resource.method, resource.rows_in, fields, **parameters)
        return f"{_count(page)} entries"
    page = context.client.page(
        resource.method, offset=0, limit=1, needed=resource.indispensable, fields=fields, **parameters
    )
    return f"{_count(page)} entries{_left_out(context, resource)}"


def _check_report(context: Context, report: Report) -> str:
    if report.parents:
        return _check_parents(context, report, report.parents)
    parameters = parameter_sets(context.client, report, **context.parameters(report))
    if not parameters:
        return f"nothing to load: no {', '.join(report.for_each.values())}"
    zone = context.zone()
    now = to_local(pendulum.now("UTC"), zone)
    if report.period == BY_DAY:
        now = day_start(now)
    page = context.client.page(
        report.method,
        offset=0,
        limit=1,
        **period_params(report, Window(now - timedelta(days=1), now), zone),
        needed=report.indispensable,
        fields=context.selected_fields(report),
        **parameters[0],
    )
    scope = "".join(f" for {name} {printable(str(parameters[0][name]))}" for name in report.for_each)
    return f"{_count(page)} rows{scope} in the last 24 hours{_left_out(context, report)}"


def _check_parents(context: Context, report: Report, parents: Parents) -> str:
    """Asks about the newest row that a load would ask about."""
    zone = context.zone()
    now = to_local(pendulum.now("UTC"), zone)
    reader = ParentsReader(report, parents, context, zone, {})
    rows = next((part for part in reader.read(parents_window(context, now), now, most=1) if isinstance(part, list)), [])
    rejected = f"; the API rejects the request: {reader.error}" if reader.error else ""
    return f"{len(rows)} rows about the newest of the {parents.report}{rejected}"


def _count(page: Page) -> str:
    return f"{len(page.rows)} or more" if page.total is None else f"{page.total:,}"


def _left_out(context: Context, resource: Resource) -> str:
    refused = context.client.left_out.get(resource.method)
    return f"; the API does not accept {', '.join(refused)}, which is left out" if refused else ""


def _problem(subject: str, error: ComagicError) -> Finding:
    return Finding(subject, str(error), is_problem=True)


def _zone_override(account: Account, settings: Settings) -> str:
    if settings.timezone and str(settings.timezone) != account.timezone:
        return f", overridden by sources.comagic.timezone = {settings.timezone}"
    return ""
