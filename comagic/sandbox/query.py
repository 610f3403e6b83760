"""Parameters of requests for rows: parsed and checked by the rules of the vendor's manual.

Which fields exist, and which of them can be sorted or filtered by, comes from the catalog.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..catalog import Report, Resource, dictionaries
from .calls import API_TIME
from .errors import RejectedError

Row = dict[str, Any]
Params = Mapping[str, Any]

MAX_LIMIT = 10_000
MAX_OFFSET = 100_000
DEFAULT_LIMIT = 1_000
SECOND = timedelta(seconds=1)

PARAMETERS = ("access_token", "user_id", "limit", "offset", "filter", "fields", "sort")
"""Parameters of every method that returns rows."""

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, listed: value in listed,
}


@dataclass(frozen=True)
class Query:
    """What a request for rows selects, besides its period.

    Attributes:
        method: the method.
        offset: matching rows to skip.
        limit: rows to return at most.
        fields: names of the fields to return.
        sort: names of the fields to sort by, each with True for descending.
        filter: condition that rows have to meet.
    """

    method: str
    offset: int
    limit: int
    fields: list[str]
    sort: list[tuple[str, bool]]
    filter: Callable[[Row], bool] | None

    @classmethod
    def parse(cls, resource: Resource, params: Params, lacking: Collection[str] = ()) -> "Query":
        """Parses the parameters of a request.

        Args:
            resource: the report or dictionary.
            params: parameters of the request.
            lacking: fields of it that this brand does not have.

        Raises:
            RejectedError: a parameter is not valid.
        """
        return cls(
            resource.method,
            _parse_number(params, "offset", 0, 0, MAX_OFFSET),
            _parse_number(params, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
            _parse_fields(resource, params.get("fields"), lacking),
            _parse_sort(resource, params.get("sort"), lacking),
            _parse_filter(resource, params["filter"]) if params.get("filter") else None,
        )

    def accepts(self, row: Row) -> bool:
        """True if the row meets the filter."""
        return self.filter is None or self.filter(row)

    def page(self, rows: list[Row]) -> list[Row]:
        """Sorts the rows in place and returns those of the requested page."""
        for name, descending in reversed(self.sort):
            rows.sort(key=lambda row: (row[name] is not None, row[name]), reverse=descending)
        return rows[self.offset : self.offset + self.limit]


def check_names(params: Params, *more: str) -> None:
    """Rejects parameters that the method does not have.

    Args:
        params: parameters of the request.
        more: parameters of the method besides `PARAMETERS`.

    Raises:
        RejectedError: `unexpected_parameters`.
    """
    for name in params:
        if name not in (*PARAMETERS, *more):
            raise RejectedError("unexpected_parameters", field=name)


def parse_flag(params: Params, name: str) -> bool:
    """A boolean parameter; False by default."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise RejectedError("data_type_error", field=name, value=value)
    return value


def filtered_period(report: Report, params: Params) -> tuple[datetime, datetime]:
    """The period that a filter on the cursor selects, as a half-open range; without one, all times.

    Args:
        report: the report, which has no parameters for a period.
        params: parameters of the request.
    """
    bounds = {"start": datetime(2000, 1, 1), "end": datetime(2100, 1, 1)}
    condition = params.get("filter") or {}
    for part in condition.get("filters", [condition]):
        if part.get("field") == report.cursor:
            moment = datetime.strptime(part["value"], API_TIME)
            bounds["start" if part["operator"][0] == ">" else "end"] = moment
    return bounds["start"], bounds["end"] + SECOND


def parse_period(report: Report, params: Params, bounds: str) -> tuple[datetime, datetime]:
    """The period of a request, in the account's local time, as a half-open range.

    Args:
        report: the report, which limits the length of the period.
        params: parameters of the request.
        bounds: which of `date_from` and `date_till` are in the period; see `Switches.bounds`.
    """
    start, end = _parse_time(params, "date_from"), _parse_time(params, "date_till")
    if start > end:
        raise RejectedError("invalid_parameters_combination", field="date_from", value=params["date_from"])
    if end - start > timedelta(days=report.longest_period_days):
        raise RejectedError("date_interval_limit_reached", field="date_till", value=params["date_till"])
    start += SECOND if bounds[0] == "(" else timedelta()
    return start, end + (SECOND if bounds[1] == "]" else timedelta())


def parse_for_each(report: Report, params: Params) -> dict[str, Any]:
    """Values of the parameters that the report requires, such as `site_id`: ids of dictionary entries."""
    values = {}
    for name, dictionary_name in report.for_each.items():
        if params.get(name) is None:
            raise RejectedError("required_parameter_missed", field=name)
        dictionary = dictionaries()[dictionary_name]
        expected = int if dictionary.fields[dictionary.primary_key].type == "bigint" else str
        if not isinstance(params[name], expected):
            raise RejectedError("data_type_error", field=name, value=params[name])
        values[name] = params[name]
    return values


def _parse_number(params: Params, name: str, default: int, least: int, most: int) -> int:
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RejectedError("data_type_error", field=name, value=value)
    if not least <= value <= most:
        message = f"{name} must be from {least} to {most}"
        raise RejectedError("invalid_parameter_value", message, field=name, value=value)
    return value


def _parse_time(params: Params, name: str) -> datetime:
    if name not in params:
        raise RejectedError("required_parameter_missed", field=name)
    try:
        return datetime.strptime(params[name], API_TIME)
    except (TypeError, ValueError):
        raise RejectedError("data_type_error", field=name, value=params[name]) from None


def _parse_fields(resource: Resource, names: Any, lacking: Collection[str]) -> list[str]:
    known = [name for name in resource.fields if name not in lacking]
    if names is None:
        return [name for name in known if resource.fields[name].sent] or known
    if not isinstance(names, list) or not names:
        raise RejectedError("data_type_error", field="fields", value=names)
    for name in names:
        if name not in known:
            raise RejectedError("unexpected_parameters", field="fields", value=name)
    return names


def _parse_sort(resource: Resource, keys: Any, lacking: Collection[str]) -> list[tuple[str, bool]]:
    if keys is None:
        return []
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise RejectedError("data_type_error", field="sort", value=keys)
    for key in keys:
        name = key.get("field")
        if name not in resource.fields or name in lacking:
            raise RejectedError("unexpected_parameters", field="sort", value=name)
        if not resource.fields[name].sort:
            raise RejectedError("sort_prohibited", field="sort", value=name)
        if key.get("order", "asc") not in ("asc", "desc"):
            raise RejectedError("invalid_parameter_value", field="sort", value=key["order"])
    return [(key["field"], key.get("order") == "desc") for key in keys]


def _parse_filter(resource: Resource, condition: Any) -> Callable[[Row], bool]:
    """One condition `{field, operator, value}`, or several as `{filters, condition}` with `and` or `or`."""
    if not isinstance(condition, dict):
        raise RejectedError("data_type_error", field="filter", value=condition)
    if "filters" in condition:
        parts = [_parse_filter(resource, part) for part in condition["filters"]]
        combine = all if condition.get("condition", "and") == "and" else any
        return lambda row: combine(part(row) for part in parts)
    name, sign, wanted = str(condition.get("field")), str(condition.get("operator")), condition.get("value")
    if name not in resource.fields:
        raise RejectedError("unexpected_parameters", field="filter", value=name)
    if not resource.fields[name].filter:
        raise RejectedError("filter_prohibited", field="filter", value=name)
    if sign not in COMPARISONS:
        raise RejectedError("invalid_parameter_value", field="filter", value=sign)
    compare = COMPARISONS[sign]
    return lambda row: row[name] is not None and bool(compare(row[name], wanted))
