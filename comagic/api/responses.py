"""What responses of the Data API mean, as pure functions: each returns what is documented or raises.

A response that merely looks empty is how loaders of this API lose rows silently, so nothing here has a default.
Shapes: the vendor's manual of the Data API v2.0.
"""

import json as standard_json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dlt.common.json import json

from ..exceptions import BadResponseError, MalformedResponseError, TooLargeError, api_error
from ..redaction import excerpt, map_texts, printable

Result = Mapping[str, Any]

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair, or a byte that is not UTF-8."""
TYPE_MARK = re.compile("^[\uf026-\uf02e]")
"""What dlt's files begin a text with that is no text: the rest would be read as a number, a time, a UUID."""
TYPE_MARKS_IN_BODY = {0xEF: re.compile(rb"\xef\x80[\xa6-\xae]"), ord("\\"): re.compile(rb"\\u[fF]02[6-9a-eA-E]")}
"""By the byte that each begins with, which few bodies have, and which is found many times as fast as the rest."""

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

    app_id: int | str | None
    name: str
    timezone: str


@dataclass(frozen=True)
class Page:
    """One response of a method that returns rows.

    Attributes:
        rows: the rows, unchanged.
        total: rows of the whole query, before `limit` and `offset`, at the time of this response; None if it does not
            say.
        share: its size, as a share of the largest that is read.
    """

    rows: list[dict[str, Any]]
    total: int | None
    share: float = 0.0


MAX_BODY = 80 * 2**20
"""Bytes of a response, decompressed: twice the largest page of the sandbox, 10,000 calls with all fields (37 MB)."""
MAX_TOTAL = 10**12
"""More rows than this are not a count."""
MAX_TOKEN = 1000
"""Characters of a session's token, at most."""
MAX_ID = 100
"""Characters of the account's id, at most, if it is a text."""

MAX_EXACT = 2.0**63
"""A number from which the fast parser rounds whole ones to doubles."""
PLAIN = frozenset([str, int, bool, type(None)])
"""Types of values that need no closer look."""
NOT_COUNTED = bytes(set(range(256)) - set(b",{["))


class Decoded(NamedTuple):
    """A response body, decoded.

    Attributes:
        response: the JSON-RPC object.
        repairs: how many repairs reading it took.
        share: its size, as a share of the largest that is read.
    """

    response: dict[str, Any]
    repairs: int
    share: float


def decode(method: str, body: bytes | bytearray, most: float = 1.0) -> Decoded:
    """Returns the JSON-RPC object of a response body.

    What JSON does not allow is read leniently: half a surrogate pair and bytes that are not UTF-8 become U+FFFD, NaN
    and infinity null. The marks of dlt's typed JSON become U+FFFD, too.

    Args:
        method: the API's method, for messages.
        body: the body.
        most: how large it may be, as a share of the largest that is read.

    Raises:
        BadResponseError: it is not JSON at all: HTML, a truncated response, nothing.
        MalformedResponseError: it is JSON up to some position; reading it again would not help.
        TooLargeError: it has more values, or deeper ones, than any page, or than may be held beside earlier pages.
    """
    share = _share(body)
    check_share(method, share, most)
    repairs = 0
    try:
        try:
            response = json.loadb(body)
            is_deep, is_rounded = _examine(response)
            if is_rounded:
                response = standard_json.loads(body)
        except ValueError:
            response, repairs = _decode_leniently(method, body)
            is_deep, _ = _examine(response)
    except RecursionError:
        is_deep = True
    if is_deep:
        raise TooLargeError(
            f"{method}: the response has values of more than {MAX_LEVELS} levels. Report it to the vendor, and load "
            "around it with --since and --until."
        )
    if not isinstance(response, dict):
        raise BadResponseError(f"{method}: the response is not a JSON-RPC object.")
    if any(first in body and mark.search(body) for first, mark in TYPE_MARKS_IN_BODY.items()):
        response, marks = _replaced(response, TYPE_MARK)
        repairs += marks
    return Decoded(response, repairs, share)


def check_share(method: str, share: float, most: float) -> None:
    """Checks the size of a response.

    Args:
        method: the API's method, for messages.
        share: the size, as a share of the largest that is read.
        most: how large it may be.

    Raises:
        TooLargeError: it is larger.
    """
    if share > most:
        whole = "the response has" if most >= 1 else "this response and what is held of those before it have"
        raise TooLargeError(
            f"{method}: {whole} more than {MAX_BODY / 2**20:.0f} MB, {MAX_VALUES:,} values or {MAX_CONTAINERS:,} lists "
            "or objects, twice the largest page. Load fewer fields (sources.comagic.fields), or check "
            "sources.comagic.base_url."
        )


def _share(body: bytes | bytearray) -> float:
    """The size of a body as a share of the largest: of its bytes, its values, or its lists and objects."""
    counted = body.translate(None, NOT_COUNTED)
    containers = len(counted.translate(None, b","))
    return max(len(body) / MAX_BODY, (len(counted) - containers) / MAX_VALUES, containers / MAX_CONTAINERS)


def _replaced(value: Any, pattern: re.Pattern[str]) -> tuple[Any, int]:
    """A JSON value whose texts have U+FFFD for a pattern, and how often."""
    replaced = 0

    def replace(_: object) -> str:
        nonlocal replaced
        replaced += 1
        return "\ufffd"

    return map_texts(value, lambda part: pattern.sub(replace, part)), replaced


def _examine(response: Any) -> tuple[bool, bool]:
    """Whether an object has too many levels, and whether the fast parser may have rounded a number in it."""
    level, is_rounded = [response] if isinstance(response, dict) else [], False
    for _ in range(MAX_LEVELS):
        found = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) not in PLAIN
        ]
        level = [item for item in found if type(item) is not float]
        is_rounded |= any(type(item) is float and abs(item) >= MAX_EXACT for item in found)
    return bool(level), is_rounded


def _decode_leniently(method: str, body: bytes | bytearray) -> tuple[Any, int]:
    constants = 0

    def constant(_: str) -> None:
        nonlocal constants
        constants += 1

    text = body.decode("utf-8", "surrogateescape")
    try:
        response = standard_json.loads(text, parse_constant=constant, strict=False)
    except ValueError as error:
        position = getattr(error, "pos", 0)
        stripped = text.strip()
        if stripped.startswith("{") and stripped.endswith("}"):
            raise MalformedResponseError(
                f"{method}: the response is not JSON at character {position} of {len(text)}: "
                f"'{excerpt(text, position, 20, 20)}'. Report it to the vendor, and load around it with --since and "
                "--until."
            ) from None
        raise BadResponseError(
            f"{method}: the response is not JSON ({len(body)} bytes, starting with '{excerpt(text, 0, 0, 40)}'). "
            "Check sources.comagic.base_url; if it is right, the service is down: run again later."
        ) from None
    response, replaced = _replaced(response, SURROGATE)
    return response, constants + replaced


def parse_result(method: str, response: Mapping[str, Any], request_id: int) -> Result:
    """Returns the `result` of a response.

    Raises:
        ApiError: the response is an error; the subclass says which.
        BadResponseError: it belongs to another request, or has no data.
    """
    if response.get("error") is not None:
        raise api_error(method, response["error"])
    if response.get("id") != request_id:
        raise BadResponseError(f"{method}: the response belongs to another request ({_named_id(response)}).")
    result = response.get("result")
    if isinstance(result, list):  # rows alone, as one page of the manual shows
        return {"data": result}
    if not isinstance(result, dict) or "data" not in result:
        raise BadResponseError(f"{method}: the response has neither an error nor a result with data.")
    return result


def _named_id(response: Mapping[str, Any]) -> str:
    value = response.get("id")
    return f"id {printable(str(value))}" if isinstance(value, (str, int, float)) else "without an id"


def parse_page(method: str, result: Result, limit: int) -> Page:
    """Returns the rows of a result, and how many the query has, if it says so.

    An object instead of a list is one row.

    Args:
        method: the API's method, for messages.
        result: the result.
        limit: rows that were requested, at most.

    Raises:
        BadResponseError: there is no list of rows, or there are more than requested, or the total is no number.
    """
    rows, metadata = result["data"], result.get("metadata", result.get("meta_data"))
    total = metadata.get("total_items") if isinstance(metadata, dict) else None
    if isinstance(rows, dict) and rows:
        rows = [rows]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadResponseError(f"{method}: the response's data is not a list of rows.")
    if len(rows) > limit:
        raise BadResponseError(f"{method}: the response has {len(rows):,} rows, and {limit:,} at most were requested.")
    if total is not None and (type(total) is not int or not 0 <= total <= MAX_TOTAL):
        raise BadResponseError(f"{method}: the response has no row count (metadata.total_items).")
    return Page(rows, total)


def parse_object(method: str, result: Result, rows_in: str, fields: Collection[str]) -> Page:
    """Returns the rows in a list of the object that a method returns.

    Nothing at all, or an object without the list, is no rows, and no word about how many there are.

    Args:
        method: the API's method, for messages.
        result: the result.
        rows_in: name of the list.
        fields: fields of the rows; those that the object has beside the list are added to each row.

    Raises:
        BadResponseError: there is neither an object nor a list of rows.
    """
    whole = result["data"]
    if isinstance(whole, list) and len(whole) == 1 and isinstance(whole[0], dict) and rows_in in whole[0]:
        whole = whole[0]
    rows = whole.get(rows_in) if isinstance(whole, dict) else whole
    if isinstance(rows, dict) and rows:
        rows = [rows]
    if not isinstance(rows or [], list) or not all(isinstance(row, dict) for row in rows or []):
        raise BadResponseError(f"{method}: the response's data has no list of rows ({rows_in}).")
    shared = {name: whole[name] for name in fields if name in whole} if isinstance(whole, dict) else {}
    found = [{**shared, **row} for row in rows or []]
    is_counted = isinstance(whole, dict) and rows_in in whole
    return Page(found, len(found) if is_counted or found else None)


def parse_account(method: str, result: Result) -> Account:
    """Returns the account in the result of `get.account`.

    An object instead of a list is the account.

    Raises:
        BadResponseError: it has no account with a time zone, or the account's id is none.
    """
    rows = [result["data"]] if isinstance(result["data"], dict) else result["data"]
    if not (isinstance(rows, list) and rows and isinstance(rows[0], dict) and isinstance(rows[0].get("timezone"), str)):
        raise BadResponseError(f"{method}: the response has no account with a time zone.")
    app_id, name = rows[0].get("app_id"), rows[0].get("name")
    if not (app_id is None or type(app_id) is int or (isinstance(app_id, str) and len(app_id) <= MAX_ID)):
        raise BadResponseError(f"{method}: the account's app_id is neither a number nor a short text.")
    return Account(app_id, str(name or "") if isinstance(name, (str, int, float)) else "", rows[0]["timezone"])


def parse_token(method: str, result: Result) -> str:
    """Returns the token of the session that `login.user` opened.

    Raises:
        BadResponseError: there is none.
    """
    data = result["data"]
    token = data.get("access_token") if isinstance(data, dict) else None
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        raise BadResponseError(f"{method}: the response has no access_token, or one of over {MAX_TOKEN} characters.")
    return token


def parse_limits(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the quota in a response, successful or not; empty if it has none."""
    error = response.get("error")
    parent = error.get("data") if isinstance(error, dict) else response.get("result")
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    limits = metadata.get("limits") if isinstance(metadata, dict) else None
    return limits if isinstance(limits, dict) else {}
