"""What answers of the Data API mean, as pure functions: each returns what is documented or raises.

An answer that merely looks empty is how loaders of this API lose rows in silence, so nothing here has a default.
Shapes: the vendor's manual of the Data API v2.0.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Mapping, Optional

from dlt.common.json import json

from ..exceptions import BadAnswerError, api_error

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """The account, as `get.account` tells it.

    Attributes:
        app_id: id of the account; missing in some answers.
        name: name of the account.
        timezone: IANA name of the zone of all times in requests and answers.
    """

    app_id: Optional[int]
    name: str
    timezone: str


@dataclass(frozen=True)
class Page:
    """One answer of a method that returns rows.

    Attributes:
        rows: the rows, as they came.
        total: rows of the whole query, before `limit` and `offset`, at the time of this answer.
    """

    rows: List[Dict[str, Any]]
    total: int


def decoded(method: str, body: bytes) -> Dict[str, Any]:
    """The JSON-RPC object of an answer's body.

    Raises:
        BadAnswerError: it is none: HTML, a part of an answer, nothing.
    """
    try:
        answer = json.loadb(body)
    except ValueError:
        raise BadAnswerError(
            f"{method}: the answer is not JSON ({len(body)} bytes, beginning {body[:40]!r}). "
            "Check sources.comagic.base_url; if it is right, the service is out of order: run again later."
        ) from None
    if not isinstance(answer, dict):
        raise BadAnswerError(f"{method}: the answer is not a JSON-RPC object.")
    return answer


def result_of(method: str, answer: Mapping[str, Any], sent_id: int) -> Result:
    """The `result` of an answer.

    Raises:
        ApiError: the answer is an error; the subclass tells which.
        BadAnswerError: it answers another call, or has no data.
    """
    if answer.get("error") is not None:
        raise api_error(method, answer["error"])
    if answer.get("id") != sent_id:
        raise BadAnswerError(f"{method}: the answer belongs to another call (id {answer.get('id')!r}).")
    result = answer.get("result")
    if not isinstance(result, dict) or "data" not in result:
        raise BadAnswerError(f"{method}: the answer has neither an error nor a result with data.")
    return result


def page_of(method: str, result: Result) -> Page:
    """The rows of a result, and how many the query has.

    Raises:
        BadAnswerError: there is no list of rows, or no total.
    """
    rows, metadata = result["data"], result.get("metadata")
    total = metadata.get("total_items") if isinstance(metadata, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadAnswerError(f"{method}: the answer's data is not a list of rows.")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise BadAnswerError(f"{method}: the answer does not say how many rows there are (metadata.total_items).")
    return Page(rows, total)


def wall_time_of(method: str, row: Mapping[str, Any], name: str) -> datetime:
    """The wall time in a field of a row, or of an object in one of its lists; a day's first second for a day.

    Raises:
        BadAnswerError: it is missing, or neither `YYYY-MM-DD HH:MM:SS` nor `YYYY-MM-DD`.
    """
    text = row.get(name)
    try:
        if isinstance(text, str) and len(text) in (len("YYYY-MM-DD HH:MM:SS"), len("YYYY-MM-DD")):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise BadAnswerError(f"{method}: {name} is {text!r}, not YYYY-MM-DD HH:MM:SS (row {row.get('id')!r}).")


def account_of(method: str, result: Result) -> Account:
    """The account in the result of `get.account`.

    Raises:
        BadAnswerError: it names no account with a time zone.
    """
    rows = result["data"]
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and isinstance(rows[0].get("timezone"), str)):
        raise BadAnswerError(f"{method}: the answer names no account with a time zone.")
    return Account(rows[0].get("app_id"), str(rows[0].get("name") or ""), rows[0]["timezone"])


def token_of(method: str, result: Result) -> str:
    """The token of the session that `login.user` opened.

    Raises:
        BadAnswerError: there is none.
    """
    data = result["data"]
    token = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not token:
        raise BadAnswerError(f"{method}: the answer has no access_token.")
    return token


def limits_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The budget that an answer tells, a successful one or an error; empty if it tells none."""
    error = answer.get("error")
    within = error.get("data") if isinstance(error, dict) else answer.get("result")
    metadata = within.get("metadata") if isinstance(within, dict) else None
    limits = metadata.get("limits") if isinstance(metadata, dict) else None
    return limits if isinstance(limits, dict) else {}
