"""Identifies the rows of a page: their key and time, or why they cannot be loaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from hashlib import sha256
from typing import Any, NamedTuple

from ..catalog import Resource
from .convert import Unconvertible, shorten, to_integer, to_local_time, to_text
from .transform import Row

KEY_DIGITS = 32
"""Length of a computed key."""


@dataclass(frozen=True)
class RejectedRow:
    """A row without its key or time, which no table can hold; it goes to `rejected_rows`.

    Attributes:
        field: the key or time.
        reason: what is wrong with it.
        content: the row as JSON, without personal data that is not to be loaded.
        id: a key made of the content, the same each time that it comes; nobody gets from it to what was removed.
    """

    field: str
    reason: str
    content: str
    id: str

    @property
    def place(self) -> str:
        """Field and row, without the value."""
        return f"{self.field} of the rejected row {self.id}"


class IdentifiedRow(NamedTuple):
    """A row with its key, and its local time if the resource has one."""

    row: Row
    key: Any
    time: datetime | None


Redact = Callable[[Row], str]
"""Returns a row as JSON, without personal data that is not to be loaded."""


def identify(
    resource: Resource, rows: Sequence[Row], zone: tzinfo | None = None, redact: Redact = to_text
) -> list[IdentifiedRow | RejectedRow]:
    """Identifies rows; their key is converted in place, or computed.

    Args:
        resource: the report or dictionary.
        rows: the rows, complete with the parameters they were requested with.
        zone: the account's time zone, for times that carry one of their own.
        redact: what is kept of rows that are rejected.
    """
    return [_identify(resource, row, zone, redact) for row in rows]


def _identify(resource: Resource, row: Row, zone: tzinfo | None, redact: Redact) -> IdentifiedRow | RejectedRow:
    key_field, cursor = resource.primary_key, resource.cursor
    if resource.key_of:
        row[key_field] = computed_key(row, resource.key_of)
    else:
        try:
            is_text = resource.fields[key_field].type == "text"
            key = _key_value(row.get(key_field))
            row[key_field] = to_text(key) if is_text else to_integer(key)
        except Unconvertible:
            return _reject(resource, row, key_field, redact)
    if cursor is None:
        return IdentifiedRow(row, row[key_field], None)
    try:
        time = to_local_time(row.get(cursor))
    except Unconvertible:
        return _reject(resource, row, cursor, redact)
    if time.tzinfo is not None:
        time = time.astimezone(zone).replace(tzinfo=None)
    return IdentifiedRow(row, row[key_field], time)


def _key_value(value: Any) -> Any:
    """A value that can be a key: text or a number."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool) or value == "":
        raise Unconvertible
    return value


def _reject(resource: Resource, row: Row, name: str, redact: Redact) -> RejectedRow:
    content = redact(row)
    return RejectedRow(name, f"{name} is {shorten(row.get(name))}", content, _digest([resource.name, content]))


def computed_key(row: Row, names: Sequence[str]) -> str:
    """A key for rows without one, made of some of their values."""
    return _digest([row.get(name) for name in names])


def _digest(values: Sequence[Any]) -> str:
    """128 bits of the SHA-256 of some values, in hexadecimal."""
    return sha256(to_text(list(values)).encode()).hexdigest()[:KEY_DIGITS]
