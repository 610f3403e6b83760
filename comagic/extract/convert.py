"""Converts JSON values to the catalog's types, where nothing is lost; pure functions.

The API was never seen live, and its manual leaves shapes open. So a scalar in another JSON type is converted (`"12"`
for a number, 1 for true), and what cannot be converted is not an error: `Unconvertible` tells the caller to keep the
value as text beside the column.
"""

import json  # the standard one: it writes whole numbers of any size
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from typing import Any

from ..redaction import excerpt

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
MAX_EXACT_DOUBLE = 2**53
"""Whole numbers up to this are exact as a double."""
SHOWN_CHARACTERS, READ_CHARACTERS = 60, 2000
MAX_NUMBER = 100
"""Characters of a number that is a text, at most."""
MIN_YEAR, MAX_YEAR = 1900, 2261
"""Years of timestamps that every destination can store, whatever the time zone."""

TRUE, FALSE = ("true", "1", "t", "yes"), ("false", "0", "f", "no")


class Unconvertible(ValueError):  # noqa: N818  # an outcome, not an error
    """The value does not fit the type."""


def to_text(value: Any) -> str:
    """Any JSON value as text: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shorten(value: Any) -> str:
    """A JSON value for a message: as JSON, masked, in one line, cut short."""
    text = json.dumps(value, ensure_ascii=False)
    shown = excerpt(text[:READ_CHARACTERS], 0, 0, SHOWN_CHARACTERS)
    return shown if len(text) <= SHOWN_CHARACTERS else f"{shown}..."


def to_integer(value: Any) -> int:
    """A whole number of 64 bits, also from text, a whole double or a bool.

    Raises:
        Unconvertible: it is something else, or does not fit.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif _is_number(value, r"\d{1,19}(\.0*)?"):
        value = int(value.split(".")[0])
    if not isinstance(value, int) or not MIN_INTEGER <= value <= MAX_INTEGER:
        raise Unconvertible
    return int(value)


def to_double(value: Any) -> float:
    """A finite number, also from text or a bool.

    Raises:
        Unconvertible: it is something else, or a whole number that a double cannot hold exactly.
    """
    if _is_number(value, r"(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?"):
        value = float(value)
    if not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) > MAX_EXACT_DOUBLE):
        raise Unconvertible
    if not math.isfinite(value):
        raise Unconvertible
    return float(value)


def _is_number(value: Any, digits: str) -> bool:
    """True for a text of such digits, with or without a sign and spaces around it."""
    is_short = isinstance(value, str) and len(value) <= MAX_NUMBER
    return is_short and bool(re.fullmatch(rf"\s*[+-]?{digits}\s*", value, re.ASCII))


def to_bool(value: Any) -> bool:
    """A bool, also from 0, 1 or text.

    Raises:
        Unconvertible: it is something else.
    """
    text = value.strip().lower() if isinstance(value, str) else value
    if text in (0, 1) and isinstance(text, (int, float)):
        return bool(text)
    if text in (*TRUE, *FALSE):
        return text in TRUE
    raise Unconvertible


def to_local_time(value: Any) -> datetime:
    """A local time, from `YYYY-MM-DD HH:MM:SS`, `YYYY-MM-DD` or another ISO form; aware if the text has a zone.

    Raises:
        Unconvertible: it is something else, or outside the years that destinations can store.
    """
    if not isinstance(value, str):
        raise Unconvertible
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise Unconvertible from None
    if not MIN_YEAR <= moment.year <= MAX_YEAR:
        raise Unconvertible
    return moment


def to_instant(value: Any, zone: tzinfo) -> datetime:
    """An aware time; a local time is taken to be in the given zone.

    Raises:
        Unconvertible: see `to_local_time`.
    """
    moment = to_local_time(value)
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment


def to_date(value: Any) -> date:
    """A day, from `YYYY-MM-DD` or a time.

    Raises:
        Unconvertible: see `to_local_time`.
    """
    return to_local_time(value).date()


def to_json(value: Any) -> Any:
    """An object or a list, with numbers that a destination can store.

    Raises:
        Unconvertible: it is a scalar.
    """
    if not isinstance(value, (dict, list)):
        raise Unconvertible
    return storable(value)


def storable(value: Any) -> Any:
    """Any JSON value, with whole numbers beyond 64 bits as text: no column type holds them."""
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    return value


def converters(zone: tzinfo) -> Mapping[str, Callable[[Any], Any]]:
    """A converter for each scalar type of the catalog.

    Args:
        zone: the account's time zone.
    """
    return {
        "text": to_text,
        "bigint": to_integer,
        "double": to_double,
        "bool": to_bool,
        "timestamp": lambda value: to_instant(value, zone),
        "date": to_date,
        "json": to_json,
    }
