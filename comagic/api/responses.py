"""What responses of the Data API mean, as pure functions: each returns what is documented or raises.

A response that merely looks empty is how loaders of this API lose rows silently, so nothing here has a default.
Shapes: the vendor's manual of the Data API v2.0.
"""

import json as standard_json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlt.common.json import json

from ..exceptions import BadResponseError, MalformedResponseError, TooLargeError, api_error
from ..redaction import map_texts, printable

Result = Mapping[str, Any]

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair, or a byte that is not UTF-8."""


MAX_VALUES, MAX_CONTAINERS, MAX_LEVELS = 2_500_000, 500_000, 100
"""Commas, lists and objects, and levels of a response: two and three times those of the largest page (1.2 million,
142,000). A few bytes of JSON take up to a hundred times their size once parsed."""


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


BIG_INTEGER = re.compile(rb"[:\[,]\s*-?\d{19}")
"""A number that may exceed 64 bits; the fast parser would round it to a double."""


def decode(method: str, body: bytes) -> tuple[dict[str, Any], int]:
    """Returns the JSON-RPC object of a response body, and the number of repairs that reading it took.

    What JSON does not allow is read leniently: half a surrogate pair and bytes that are not UTF-8 become U+FFFD, NaN
    and infinity null.

    Raises:
        BadResponseError: it is not JSON at all: HTML, a truncated response, nothing.
        MalformedResponseError: it is JSON up to some position; reading it again would not help.
        TooLargeError: it has more values, or deeper ones, than any page.
    """
    if body.count(b",") > MAX_VALUES or body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise TooLargeError(
            f"{method}: the response has more than {MAX_VALUES:,} values or {MAX_CONTAINERS:,} lists or objects, "
            "twice the largest page. Load fewer fields (sources.comagic.fields), or check "
            "sources.comagic.base_url."
        )
    repairs = 0
    try:
        try:
            response = standard_json.loads(body) if BIG_INTEGER.search(body) else json.loadb(body)
        except ValueError:
            response, repairs = _decode_leniently(method, body)
        is_deep = isinstance(response, dict) and _is_deeper(response, MAX_LEVELS)
    except RecursionError:
        is_deep = True
    if is_deep:
        raise TooLargeError(
            f"{method}: the response has values of more than {MAX_LEVELS} levels. Report it to the vendor, and load "
            "around it with --since and --until."
        )
    if not isinstance(response, dict):
        raise BadResponseError(f"{method}: the response is not a JSON-RPC object.")
    return response, repairs


def _is_deeper(value: Any, levels: int) -> bool:
    """True if a list or object has more levels."""
    if levels == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(_is_deeper(item, levels - 1) for item in items if isinstance(item, (dict, list)))


def _decode_leniently(method: str, body: bytes) -> tuple[Any, int]:
    repairs = 0

    def replace(_: object) -> str:
        nonlocal repairs
        repairs += 1
        return "\ufffd"

    def constant(_: str) -> None:
        nonlocal repairs
        repairs += 1

    text = body.decode("utf-8", "surrogateescape")
    try:
        response = standard_json.loads(text, parse_constant=constant, strict=False)
    except ValueError as error:
        position = getattr(error, "pos", 0)
        stripped = text.strip()
        if stripped.startswith("{") and stripped.endswith("}"):
            raise MalformedResponseError(
                f"{method}: the response is not JSON at character {position} of {len(text)}: "
                f"{printable(repr(text[max(position - 20, 0) : position + 20]))}. Report it to the vendor, and load "
                "around it with --since and --until."
            ) from None
        raise BadResponseError(
            f"{method}: the response is not JSON ({len(body)} bytes, starting with {printable(repr(body[:40]))}). "
            "Check sources.comagic.base_url; if it is right, the service is down: run again later."
        ) from None
    return map_texts(response, lambda part: SURROGATE.sub(replace, part)), repairs


def parse_result(method: str, response: Mapping[str, Any], request_id: int) -> Result:
    """Returns the `result` of a response.

    Raises:
        ApiError: the response is an error; the subclass says which.
        BadResponseError: it belongs to another request, or has no data.
    """
    if response.get("error") is not None:
        raise api_error(method, response["error"])
    if response.get("id") != request_id:
        raise BadResponseError(
            f"{method}: the response belongs to another request (id {printable(repr(response.get('id')))})."
        )
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
