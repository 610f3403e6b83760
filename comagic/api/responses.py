"""What responses of the Data API mean, as pure functions: each returns what is documented or raises.

A response that merely looks empty is how loaders of this API lose rows silently, so nothing here has a default.
Shapes: the vendor's manual of the Data API v2.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlt.common.json import json

from ..exceptions import BadResponseError, api_error

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """The account, as `get.account` returns it.

    Attributes:
        app_id: id of the account; missing in some responses.
        name: name of the account.
        timezone: IANA name of the time zone of all times in requests and responses.
    """

    app_id: int | None
    name: str
    timezone: str


@dataclass(frozen=True)
class Page:
    """One response of a method that returns rows.

    Attributes:
        rows: the rows, unchanged.
        total: rows of the whole query, before `limit` and `offset`, at the time of this response.
    """

    rows: list[dict[str, Any]]
    total: int


def decode(method: str, body: bytes) -> dict[str, Any]:
    """Returns the JSON-RPC object of a response body.

    Raises:
        BadResponseError: it is not one: HTML, a truncated response, nothing.
    """
    try:
        response = json.loadb(body)
    except ValueError:
        raise BadResponseError(
            f"{method}: the response is not JSON ({len(body)} bytes, starting with {body[:40]!r}). "
            "Check sources.comagic.base_url; if it is right, the service is down: run again later."
        ) from None
    if not isinstance(response, dict):
        raise BadResponseError(f"{method}: the response is not a JSON-RPC object.")
    return response


def parse_result(method: str, response: Mapping[str, Any], request_id: int) -> Result:
    """Returns the `result` of a response.

    Raises:
        ApiError: the response is an error; the subclass says which.
        BadResponseError: it belongs to another request, or has no data.
    """
    if response.get("error") is not None:
        raise api_error(method, response["error"])
    if response.get("id") != request_id:
        raise BadResponseError(f"{method}: the response belongs to another request (id {response.get('id')!r}).")
    result = response.get("result")
    if not isinstance(result, dict) or "data" not in result:
        raise BadResponseError(f"{method}: the response has neither an error nor a result with data.")
    return result


def parse_page(method: str, result: Result) -> Page:
    """Returns the rows of a result, and how many the query has.

    Raises:
        BadResponseError: there is no list of rows, or no total.
    """
    rows, metadata = result["data"], result.get("metadata")
    total = metadata.get("total_items") if isinstance(metadata, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadResponseError(f"{method}: the response's data is not a list of rows.")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise BadResponseError(f"{method}: the response has no row count (metadata.total_items).")
    return Page(rows, total)


def parse_local_time(method: str, row: Mapping[str, Any], name: str) -> datetime:
    """Returns the local time in a field of a row, or of an object in one of its lists; midnight for a day.

    Raises:
        BadResponseError: it is missing, or neither `YYYY-MM-DD HH:MM:SS` nor `YYYY-MM-DD`.
    """
    text = row.get(name)
    try:
        if isinstance(text, str) and len(text) in (len("YYYY-MM-DD HH:MM:SS"), len("YYYY-MM-DD")):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise BadResponseError(f"{method}: {name} is {text!r}, not YYYY-MM-DD HH:MM:SS (row {row.get('id')!r}).")


def parse_account(method: str, result: Result) -> Account:
    """Returns the account in the result of `get.account`.

    Raises:
        BadResponseError: it has no account with a time zone.
    """
    rows = result["data"]
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and isinstance(rows[0].get("timezone"), str)):
        raise BadResponseError(f"{method}: the response has no account with a time zone.")
    return Account(rows[0].get("app_id"), str(rows[0].get("name") or ""), rows[0]["timezone"])


def parse_token(method: str, result: Result) -> str:
    """Returns the token of the session that `login.user` opened.

    Raises:
        BadResponseError: there is none.
    """
    data = result["data"]
    token = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise BadResponseError(f"{method}: the response has no access_token.")
    return token


def parse_limits(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the quota in a response, successful or not; empty if it has none."""
    error = response.get("error")
    parent = error.get("data") if isinstance(error, dict) else response.get("result")
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    limits = metadata.get("limits") if isinstance(metadata, dict) else None
    return limits if isinstance(limits, dict) else {}
