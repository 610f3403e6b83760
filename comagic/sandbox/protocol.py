"""The rules of the Data API v2.0: JSON-RPC envelope, credentials, quota, rows and errors.

Rules and mnemonics are those of the vendor's manual; methods and their fields come from the catalog.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from random import Random
from threading import Lock
from typing import Any

import orjson
import pendulum

from ..catalog import BY_FILTER, DAY, Dictionary, Report, Resource, dictionaries, resources
from .account import SyntheticAccount
from .errors import CODES, RejectedError
from .own_reports import OWN_MAKERS
from .phrases import phrases_of
from .query import Params, Query, Row, check_names, filtered_period, parse_flag, parse_for_each, parse_period
from .quota import Quota
from .reports import has_one_row_per_call, make_rows, select_calls
from .switches import DEAD_KEYS, KEY, LOGIN, PASSWORD, Switches

__all__ = ["CODES", "Protocol"]


class Protocol:
    """Responds to requests about one account.

    Args:
        account: the account.
        switches: how to behave.
        now: the present as an aware time; default: this machine's clock.
        clock: seconds, for sessions and the quota.
        catalog: resources that can be requested; default: all of the catalog.

    Attributes:
        calls: number of requests by method, rejected ones included.
    """

    def __init__(
        self,
        account: SyntheticAccount,
        switches: Switches,
        now: Callable[[], datetime] | None = None,
        clock: Callable[[], float] = time.monotonic,
        catalog: Iterable[Resource] | None = None,
    ) -> None:
        self.account = account
        self.switches = switches
        self.calls: dict[str, int] = {}
        self._catalog = list(catalog or resources().values())
        self._resources = {resource.method: resource for resource in self._catalog}
        self._now = now or (lambda: pendulum.now("UTC"))
        self._clock = clock
        self._lock = Lock()
        self._quota = Quota(switches, clock)
        self._sessions: dict[str, tuple[float, int]] = {}

    @property
    def tokens(self) -> list[str]:
        """Tokens of all sessions that were opened."""
        return list(self._sessions)

    def respond(self, body: bytes) -> dict[str, Any]:
        """The response to the body of a request, as an object to send as JSON."""
        request_id = None
        try:
            request = _parse_envelope(body)
            request_id = request["id"]
            with self._lock:
                result = self._result(request["method"], dict(request.get("params") or {}))
        except RejectedError as error:
            return {"jsonrpc": "2.0", "id": request_id, "error": error.as_json(self._limits())}
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    def local_time(self) -> datetime:
        """The present in the account's time zone, without the zone."""
        return self._now().astimezone(pendulum.timezone(self.account.timezone)).replace(tzinfo=None, microsecond=0)

    def _result(self, method: str, params: Params) -> Any:
        self.calls[method] = self.calls.get(method, 0) + 1
        if method == "login.user":
            return {"data": self._login(params), "metadata": {"limits": self._limits()}}
        if method not in self._resources:
            raise RejectedError("method_not_found")
        resource = self._resources[method]
        if self.switches.brand in resource.not_in:
            raise RejectedError("method_not_found")
        self._authenticate(params)
        if not isinstance(resource, Dictionary) or not resource.is_agency_level:
            self._check_client(params)
        if method in self.switches.errors:
            raise RejectedError(self.switches.errors[method])
        self._quota.check()
        if method == "get.account":
            rows, total = self._account()
        elif resource.rows_in:
            self._quota.charge()
            return {"data": self._object(resource, params), "metadata": {"limits": self._limits(), "version": None}}
        elif isinstance(resource, Report):
            rows, total = self._report(resource, params)
        else:
            rows, total = self._dictionary(resource, params)
        self._quota.charge()
        return self._shape(method, rows, {"total_items": total, "limits": self._limits(), "version": None})

    def _shape(self, method: str, rows: list[Row], metadata: dict[str, Any]) -> Any:
        """The result as the manuals show it: see `Switches.shapes`."""
        shape = self.switches.shapes.get(method)
        if shape == "bare":
            return rows
        if shape == "object" and len(rows) == 1:
            return {"data": rows[0], "metadata": metadata}
        if shape in ("meta_data", "no_total"):
            del metadata["total_items"]
        return {"data": rows, "meta_data" if shape == "meta_data" else "metadata": metadata}

    def _lacking(self, resource: Resource) -> set[str]:
        """Fields that the brand does not have, or no longer."""
        brand, gone = self.switches.brand, self.switches.is_retired
        lacking = {name for name, one in resource.fields.items() if brand in one.not_in or (gone and one.retired)}
        return lacking.union(self.switches.lacking.get(resource.method, ()))

    def _limits(self) -> dict[str, int]:
        return self._quota.limits(self.local_time())

    # Credentials

    def _login(self, params: Params) -> dict[str, Any]:
        if (params.get("login"), params.get("password")) != (LOGIN, PASSWORD):
            raise RejectedError("auth_error")
        token = f"session-{len(self._sessions) + 1}"
        self._sessions[token] = (self._clock() + self.switches.session_seconds, 0)
        expires = int(self._now().timestamp() + self.switches.session_seconds)
        return {"access_token": token, "expire_at": expires, "app_id": self.account.app_id}

    def _authenticate(self, params: Params) -> None:
        token = params.get("access_token")
        if token is None:
            raise RejectedError("required_parameter_missed", field="access_token")
        details = {"field": "access_token", "value": token}
        if token in DEAD_KEYS:
            raise RejectedError(DEAD_KEYS[token], **details)
        if token in self._sessions:
            expires, used = self._sessions[token]
            self._sessions[token] = (expires, used + 1)
            calls = self.switches.session_calls
            if self._clock() >= expires or (calls is not None and used >= calls):
                raise RejectedError("access_token_invalid", **details)
        elif token != KEY:
            raise RejectedError("access_token_invalid", **details)

    def _check_client(self, params: Params) -> None:
        user_id = params.get("user_id")
        if self.switches.agency and user_id is None:
            raise RejectedError("required_parameter_missed", field="user_id")
        if "user_id" in params and not isinstance(user_id, int):
            raise RejectedError("data_type_error", field="user_id", value=user_id)
        if user_id in self.switches.client_errors:
            raise RejectedError(self.switches.client_errors[user_id])

    # Rows, and how many there are in all pages

    def _account(self) -> tuple[list[Row], int]:
        account = self.account
        return [{"app_id": account.app_id, "name": account.name, "timezone": account.timezone}], 1

    def _dictionary(self, dictionary: Dictionary, params: Params) -> tuple[list[Row], int]:
        check_names(params)
        query = Query.parse(dictionary, params, self._lacking(dictionary))
        return self._page(query, self.account.dictionaries[dictionary.name])

    def _object(self, resource: Resource, params: Params) -> Row:
        """The object of a method that has no pages."""
        parents = resource.parents if isinstance(resource, Report) else None
        for name in params:
            if name not in ("access_token", "user_id", parents and parents.parameter):
                raise RejectedError("unexpected_parameters", field=name)
        if parents:
            return self._transcript(params, parents.parameter)
        same = [one for one in self._catalog if one.method == resource.method]
        return {one.rows_in: self.account.dictionaries[one.name] for one in same if isinstance(one, Dictionary)}

    def _transcript(self, params: Params, name: str) -> Row:
        call_id = params.get(name)
        if not isinstance(call_id, int):
            raise RejectedError("required_parameter_missed" if call_id is None else "data_type_error", field=name)
        entry = self.account.find(call_id)
        if entry is None:
            raise RejectedError("invalid_parameter_value", field=name, value=call_id)
        call = self.account.call(entry, self.local_time())
        return {
            "speech_phrases": [] if call_id in self.account.unrecognized else phrases_of(call),
            "recognition_worker_type": "VoiceNavigator",
            "call_records": call["call_records"],
            "call_start_date_time": call["start_time"],
            "contact_phone_number": call["contact_phone_number"],
        }

    def _report(self, report: Report, params: Params) -> tuple[list[Row], int]:
        dates = () if report.period == BY_FILTER else ("date_from", "date_till")
        check_names(params, *dates, "include_ongoing_calls", *report.for_each)
        ongoing = parse_flag(params, "include_ongoing_calls")
        query = Query.parse(report, params, self._lacking(report))
        if report.period == BY_FILTER:
            start, end = filtered_period(report, params)
        else:
            start, end = parse_period(report, params, self.switches.bounds)
        if report.name in OWN_MAKERS:
            rows = OWN_MAKERS[report.name](report, self.account, start, end, self.local_time())
            return self._page(query, rows, self.switches.shuffled)
        for_each = parse_for_each(report, params)
        if report.cursor_field.type == DAY:
            start, end = _next_midnight(start), _next_midnight(end)
        now = self.local_time()
        if has_one_row_per_call(report) and query.sort == [(report.cursor, False)] and not query.filter:
            # the order in which calls are made: only those of the page are needed
            calls = self.account.calls(start, end, now, ongoing, query.offset, query.limit)
            total = self.account.count(start, end, now, ongoing) + self.switches.total_extra
            return self._select_fields(query, make_rows(report, calls, for_each)), total
        every_call = self.account.calls(start, end, now, ongoing)
        selected = select_calls(every_call, for_each, self._ids(report)) if for_each else every_call
        return self._page(query, make_rows(report, selected, for_each), self.switches.shuffled)

    def _ids(self, report: Report) -> dict[str, list[Any]]:
        """Ids of the dictionary entries that a report is requested for, by parameter."""
        return {
            parameter: [entry[dictionaries()[name].primary_key] for entry in self.account.dictionaries[name]]
            for parameter, name in report.for_each.items()
        }

    def _page(self, query: Query, rows: Iterable[Row], shuffled: bool = False) -> tuple[list[Row], int]:
        matching = [row for row in rows if query.accepts(row)]
        if shuffled and not query.sort:
            # no order is documented, so two pages need not have the same
            Random(query.offset).shuffle(matching)  # noqa: S311
        return self._select_fields(query, query.page(matching)), len(matching) + self.switches.total_extra

    def _select_fields(self, query: Query, rows: Iterable[Row]) -> list[Row]:
        values = {
            name: value for name, value in self.switches.values.get(query.method, {}).items() if name in query.fields
        }
        return [{**{name: row[name] for name in query.fields}, **values, **self.switches.undocumented} for row in rows]


def _parse_envelope(body: bytes) -> Mapping[str, Any]:
    try:
        request = orjson.loads(body)
    except ValueError:
        raise RejectedError("parse_error") from None
    if isinstance(request, list):
        raise RejectedError("batch_opreations_not_supported")
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        raise RejectedError("invalid_request")
    if request.get("id") is None:
        raise RejectedError("notifications_not_supported")
    if not isinstance(request["id"], (int, str)) or not isinstance(request.get("params", {}), dict):
        raise RejectedError("invalid_request")
    return request


def _next_midnight(moment: datetime) -> datetime:
    """The first midnight at or after a moment: a day is in a period if it begins in it."""
    midnight = datetime(moment.year, moment.month, moment.day)
    return midnight if midnight == moment else midnight + timedelta(days=1)
