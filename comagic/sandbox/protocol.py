"""Answers requests of the Data API v2.0 by its rules: JSON-RPC envelope, access, budgets, parameters, paging, errors.

Rules and mnemonics are those of the vendor's manual; codes too, though live ones are known to differ. What may be
sorted and filtered by, and which fields exist, comes from the catalog.
"""

import operator
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from threading import Lock
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

import orjson
import pendulum

from ..catalog import Dictionary, Report, Resource, resources
from .account import API_TIME, Call, SyntheticAccount
from .reports import daily_stat, derived
from .switches import DEAD_KEYS, KEY, LOGIN, PASSWORD, Switches

SECOND = timedelta(seconds=1)
MAX_LIMIT = 10_000
MAX_OFFSET = 100_000
DEFAULT_LIMIT = 1_000

OF_AGENCY = ("get.customers", "get.customer_users")
"""Methods that list an agency's clients, so nobody can have one to name."""

CODES: Mapping[str, int] = {
    "parse_error": -32700,
    "invalid_request": -32600,
    "method_not_found": -32601,
    "internal_error": -32603,
    "auth_error": -32001,
    "access_token_invalid": -32001,
    "access_token_expired": -32001,
    "access_token_blocked": -32001,
    "ip_not_whitelisted": -32003,
    "forbidden": -32003,
    "method_component_disabled": -32008,
    "parameter_component_disabled": -32008,
    "account_inactive": -32009,
    "limit_exceeded": -32029,
    "batch_opreations_not_supported": -32099,
    "notifications_not_supported": -32099,
}
"""Codes of the manual; all errors of parameters are -32602."""

MESSAGES: Mapping[str, str] = {
    "auth_error": "Login or password is wrong",
    "access_token_invalid": "Access token is invalid",
    "access_token_expired": "Access token has been expired",
    "access_token_blocked": "Access token has been blocked",
    "ip_not_whitelisted": "Your IP 127.0.0.1 is not whitelisted",
    "forbidden": "Permission denied",
    "method_component_disabled": "Component is disabled for the method",
    "account_inactive": "Account is inactive",
    "internal_error": "Internal error",
    "date_interval_limit_reached": "The interval between date_from and date_till must not exceed 3 months",
}
ERROR_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "method_component_disabled": {"components": ["dt"]},
    "ip_not_whitelisted": {"ip": "127.0.0.1"},
}
COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, listed: value in listed,
}


class RefusedError(Exception):
    """An answer with `error`."""

    def __init__(self, mnemonic: str, message: str = "", **details: Any) -> None:
        self.mnemonic = mnemonic
        self.message = message or MESSAGES.get(mnemonic, mnemonic.replace("_", " ").capitalize())
        self.details = details
        super().__init__(mnemonic)


class Protocol:
    """Answers requests about one account.

    Args:
        account: whose calls.
        switches: how to behave.
        now: the present as an instant, aware; default: this machine's clock.
        clock: seconds, for sessions and budgets.

    Attributes:
        calls: answered calls by method.
    """

    def __init__(
        self,
        account: SyntheticAccount,
        switches: Switches,
        now: Optional[Callable[[], datetime]] = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account = account
        self.switches = switches
        self.calls: Dict[str, int] = {}
        self._now = now or (lambda: pendulum.now("UTC"))
        self._clock = clock
        self._lock = Lock()
        self._sessions: Dict[str, Tuple[float, int]] = {}
        self._opened = 0
        self._spent: List[float] = []
        self._spent_today = 0

    @property
    def tokens(self) -> List[str]:
        """Tokens of all sessions that were opened and not forgotten."""
        return list(self._sessions)

    def answer(self, body: bytes) -> Dict[str, Any]:
        """The answer to a request's body, as an object to be sent as JSON."""
        sent_id = None
        try:
            request = self._envelope(body)
            sent_id = request["id"]
            with self._lock:
                result = self._result(request["method"], dict(request.get("params") or {}))
        except RefusedError as refused:
            return self._error(sent_id, refused)
        return {"jsonrpc": "2.0", "id": sent_id, "result": result}

    def present(self) -> datetime:
        """The present as the account's clock shows it."""
        return self._now().astimezone(pendulum.timezone(self.account.timezone)).replace(tzinfo=None, microsecond=0)

    def _envelope(self, body: bytes) -> Dict[str, Any]:
        try:
            request = orjson.loads(body)
        except ValueError:
            raise RefusedError("parse_error") from None
        if isinstance(request, list):
            raise RefusedError("batch_opreations_not_supported")
        if (
            not isinstance(request, dict)
            or request.get("jsonrpc") != "2.0"
            or not isinstance(request.get("method"), str)
        ):
            raise RefusedError("invalid_request")
        if request.get("id") is None:
            raise RefusedError("notifications_not_supported")
        if not isinstance(request["id"], (int, str)) or not isinstance(request.get("params", {}), dict):
            raise RefusedError("invalid_request")
        return request

    def _error(self, sent_id: Any, refused: RefusedError) -> Dict[str, Any]:
        data = {
            "mnemonic": refused.mnemonic,
            "field": None,
            "value": None,
            "params": dict(ERROR_PARAMS.get(refused.mnemonic, {})),
            "extended_helper": None,
            "metadata": {"limits": self._limits()},
            **refused.details,
        }
        error = {"code": CODES.get(refused.mnemonic, -32602), "message": refused.message, "data": data}
        return {"jsonrpc": "2.0", "id": sent_id, "error": error}

    def _result(self, method: str, params: Dict[str, Any]) -> Dict[str, Any]:
        self.calls[method] = self.calls.get(method, 0) + 1
        of_resources = {of.method: of for of in resources().values()}
        if method != "login.user" and method not in of_resources:
            raise RefusedError("method_not_found")
        if method == "login.user":
            return {"data": self._login(params), "metadata": {"limits": self._limits()}}
        self._admit(params)
        if method not in OF_AGENCY:
            self._check_client(params)
        if method in self.switches.errors:
            raise RefusedError(self.switches.errors[method])
        self._check_budget()
        if method == "get.account":
            data: List[Dict[str, Any]] = [
                {"app_id": self.account.app_id, "name": self.account.name, "timezone": self.account.timezone}
            ]
            total = 1
        else:
            of = of_resources[method]
            data, total = self._report(of, params) if isinstance(of, Report) else self._dictionary(of, params)
        self._charge()
        return {"data": data, "metadata": {"total_items": total, "limits": self._limits(), "version": None}}

    # Access

    def _login(self, params: Mapping[str, Any]) -> Dict[str, Any]:
        if (params.get("login"), params.get("password")) != (LOGIN, PASSWORD):
            raise RefusedError("auth_error")
        self._opened += 1
        token = f"session-{self._opened}"
        self._sessions[token] = (self._clock() + self.switches.session_seconds, 0)
        expires = int(self._now().timestamp() + self.switches.session_seconds)
        return {"access_token": token, "expire_at": expires, "app_id": self.account.app_id}

    def _admit(self, params: Mapping[str, Any]) -> None:
        token = params.get("access_token")
        if token is None:
            raise RefusedError("required_parameter_missed", field="access_token")
        quoted = {"field": "access_token", "value": token}
        if token in DEAD_KEYS:
            raise RefusedError(DEAD_KEYS[token], **quoted)
        if token in self._sessions:
            ends, used = self._sessions[token]
            self._sessions[token] = (ends, used + 1)
            calls = self.switches.session_calls
            if self._clock() >= ends or (calls is not None and used >= calls):
                raise RefusedError("access_token_invalid", **quoted)
        elif token != KEY:
            raise RefusedError("access_token_invalid", **quoted)

    def _check_client(self, params: Mapping[str, Any]) -> None:
        user_id = params.get("user_id")
        if self.switches.agency and user_id is None:
            raise RefusedError("required_parameter_missed", field="user_id")
        if "user_id" in params and not isinstance(user_id, int):
            raise RefusedError("data_type_error", field="user_id", value=user_id)
        if user_id in self.switches.client_errors:
            raise RefusedError(self.switches.client_errors[user_id])

    # Budgets: only answered calls are charged

    def _charge(self) -> None:
        self._spent.append(self._clock())
        self._spent_today += 1

    def _check_budget(self) -> None:
        if self._spent_today >= self.switches.day_limit:
            raise RefusedError(
                "limit_exceeded", "Day limit exceeded", params={"limit_type": "day", "limit": self.switches.day_limit}
            )
        if self._spent_in_minute() >= self.switches.minute_limit:
            limit = {"limit_type": "minute", "limit": self.switches.minute_limit}
            raise RefusedError("limit_exceeded", "Minute limit exceeded", params=limit)

    def _spent_in_minute(self) -> int:
        since = self._clock() - 60
        self._spent = [moment for moment in self._spent if moment > since]
        return len(self._spent)

    def _limits(self) -> Dict[str, int]:
        used = self._spent_in_minute()
        present = self.present()
        return {
            "day_limit": self.switches.day_limit,
            "day_remaining": max(self.switches.day_limit - self._spent_today, 0),
            "day_reset": 86_400 - (present.hour * 3600 + present.minute * 60 + present.second),
            "minute_limit": self.switches.minute_limit,
            "minute_remaining": max(self.switches.minute_limit - used, 0),
            "minute_reset": int(self._spent[0] + 60 - self._clock()) + 1 if used else 60,
        }

    # Rows

    def _dictionary(self, dictionary: Dictionary, params: Dict[str, Any]) -> Tuple[List[Call], int]:
        _refuse_unknown(params)
        asked = Asked.of(dictionary, params)
        return self._answered(asked, [of for of in self.account.dictionaries[dictionary.name] if asked.accepts(of)])

    def _report(self, report: Report, params: Dict[str, Any]) -> Tuple[List[Call], int]:
        _refuse_unknown(params, "date_from", "date_till", "include_ongoing_calls", *report.for_each)
        ongoing = params.get("include_ongoing_calls", False)
        if not isinstance(ongoing, bool):
            raise RefusedError("data_type_error", field="include_ongoing_calls", value=ongoing)
        asked = Asked.of(report, params)
        start, end = self._period(report, params)
        now = self.present()
        if report.name == "calls" and asked.sort == [("start_time", False)] and not asked.filter:
            # the order in which calls are made: no need to make all
            rows = self.account.calls(start, end, now, ongoing, asked.offset, asked.limit)
            return self._shown(asked, rows), self.account.count(start, end, now, ongoing) + self.switches.total_extra
        if report.name == "campaign_daily_stat":
            days = self.account.calls(_next_midnight(start), _next_midnight(end), now)
            rows = daily_stat(report, _site(params), days)
        else:
            calls = self.account.calls(start, end, now, ongoing)
            rows = calls if report.name == "calls" else (row for call in calls for row in derived(report, call))
        found = [row for row in rows if asked.accepts(row)]
        if not asked.sort and self.switches.shuffled:
            Random(asked.offset).shuffle(found)  # noqa: S311  (no documented order: not even the same for two pages)
        return self._answered(asked, found)

    def _answered(self, asked: "Asked", found: List[Call]) -> Tuple[List[Call], int]:
        """A page of what was found, in the order that was asked for, and how much it is."""
        _order(found, asked.sort)
        page = found[asked.offset : asked.offset + asked.limit]
        return self._shown(asked, page), len(found) + self.switches.total_extra

    def _shown(self, asked: "Asked", rows: Iterable[Call]) -> List[Call]:
        shown = [{name: row[name] for name in asked.fields} for row in rows]
        if self.switches.undocumented_key:
            for row in shown:
                row[self.switches.undocumented_key] = len(row)
        return shown

    def _period(self, report: Report, params: Mapping[str, Any]) -> Tuple[datetime, datetime]:
        """The period as the half-open range that it means under the bounds switched on."""
        start, end = _moment(params, "date_from"), _moment(params, "date_till")
        if start > end:
            raise RefusedError("invalid_parameters_combination", field="date_from", value=params["date_from"])
        if end - start > timedelta(days=report.longest_period_days):
            raise RefusedError("date_interval_limit_reached", field="date_till", value=params["date_till"])
        bounds = self.switches.bounds
        start += SECOND if bounds[0] == "(" else timedelta()
        return start, end + (SECOND if bounds[1] == "]" else timedelta())


@dataclass(frozen=True)
class Asked:
    """What a request for rows asks for beside its period."""

    offset: int
    limit: int
    fields: List[str]
    sort: List[Tuple[str, bool]]
    filter: Optional[Callable[[Call], bool]]

    @classmethod
    def of(cls, resource: Resource, params: Mapping[str, Any]) -> "Asked":
        """Reads the parameters."""
        return cls(
            _number(params, "offset", 0, 0, MAX_OFFSET),
            _number(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
            _fields(resource, params.get("fields")),
            _sort(resource, params.get("sort")),
            _filter(resource, params["filter"]) if params.get("filter") else None,
        )

    def accepts(self, row: Call) -> bool:
        """True if the filter lets the row through."""
        return self.filter is None or self.filter(row)


def _order(rows: List[Call], sort: List[Tuple[str, bool]]) -> None:
    for name, descending in reversed(sort):
        rows.sort(key=lambda row: (row[name] is not None, row[name]), reverse=descending)


def _refuse_unknown(params: Mapping[str, Any], *more: str) -> None:
    for name in params:
        if name not in ("access_token", "user_id", "limit", "offset", "filter", "fields", "sort", *more):
            raise RefusedError("unexpected_parameters", field=name)


def _number(params: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusedError("data_type_error", field=name, value=value)
    if not least <= value <= most:
        raise RefusedError("invalid_parameter_value", f"{name} must be from {least} to {most}", field=name, value=value)
    return value


def _site(params: Mapping[str, Any]) -> int:
    site_id = params.get("site_id")
    if site_id is None:
        raise RefusedError("required_parameter_missed", field="site_id")
    if not isinstance(site_id, int):
        raise RefusedError("data_type_error", field="site_id", value=site_id)
    return site_id


def _next_midnight(moment: datetime) -> datetime:
    """The first midnight from a moment on: a day is in a period if its beginning is."""
    midnight = datetime(moment.year, moment.month, moment.day)
    return midnight if midnight == moment else midnight + timedelta(days=1)


def _moment(params: Mapping[str, Any], name: str) -> datetime:
    if name not in params:
        raise RefusedError("required_parameter_missed", field=name)
    try:
        return datetime.strptime(params[name], API_TIME)
    except (TypeError, ValueError):
        raise RefusedError("data_type_error", field=name, value=params[name]) from None


def _fields(report: Resource, asked: Any) -> List[str]:
    if asked is None:
        return [name for name, of in report.fields.items() if of.sent] or list(report.fields)
    if not isinstance(asked, list) or not asked:
        raise RefusedError("data_type_error", field="fields", value=asked)
    for name in asked:
        if name not in report.fields:
            raise RefusedError("unexpected_parameters", field="fields", value=name)
    return asked


def _sort(report: Resource, asked: Any) -> List[Tuple[str, bool]]:
    if asked is None:
        return []
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise RefusedError("data_type_error", field="sort", value=asked)
    for one in asked:
        name = one.get("field")
        if name not in report.fields:
            raise RefusedError("unexpected_parameters", field="sort", value=name)
        if not report.fields[name].sort:
            raise RefusedError("sort_prohibited", field="sort", value=name)
        if one.get("order", "asc") not in ("asc", "desc"):
            raise RefusedError("invalid_parameter_value", field="sort", value=one["order"])
    return [(one["field"], one.get("order") == "desc") for one in asked]


def _filter(report: Resource, asked: Any) -> Callable[[Call], bool]:
    """One condition `{field, operator, value}`, or several as `{filters, condition}` with `and` or `or`."""
    if not isinstance(asked, dict):
        raise RefusedError("data_type_error", field="filter", value=asked)
    if "filters" in asked:
        parts = [_filter(report, part) for part in asked["filters"]]
        every = asked.get("condition", "and") == "and"
        return lambda call: (all if every else any)(part(call) for part in parts)
    name, sign, wanted = str(asked.get("field")), str(asked.get("operator")), asked.get("value")
    if name not in report.fields:
        raise RefusedError("unexpected_parameters", field="filter", value=name)
    if not report.fields[name].filter:
        raise RefusedError("filter_prohibited", field="filter", value=name)
    if sign not in COMPARISONS:
        raise RefusedError("invalid_parameter_value", field="filter", value=sign)
    compare = COMPARISONS[sign]
    return lambda call: call[name] is not None and bool(compare(call[name], wanted))
