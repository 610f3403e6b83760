"""Settings of the sandbox: behaviour that the vendor's manual does not document, quotas, and faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

KEY = "sandbox-key"
LOGIN = "sandbox"
PASSWORD = "sandbox"  # noqa: S105  # public

DEAD_KEYS: Mapping[str, str] = {
    "expired-key": "access_token_expired",
    "blocked-key": "access_token_blocked",
}
"""Rejected keys and the mnemonic of their error; any other unknown key is `access_token_invalid`."""

FAULTS = (
    "reset",  # the connection is reset before a response
    "cut",  # the body ends before its Content-Length
    "hang",  # no response for `hang_seconds`, then a reset
    "html",  # an HTML page with status 200
    "empty",  # an empty body with status 200
    "garbage",  # the first half of the JSON, with the Content-Length of that half
    "wrong_id",  # a response with the id of another request
    "no_metadata",  # rows without metadata
    "no_result",  # neither result nor error
    "null_data",  # `data` is null
    "internal_error",  # the API's own transient error
    "400..599",  # that HTTP status; `429:2` sends `Retry-After: 2` with it
)
"""Kinds of faults for `Switches.faults`."""


@dataclass
class Switches:
    """How the sandbox behaves. All attributes can be changed while it runs.

    Attributes:
        bounds: which of `date_from` and `date_till` are in the period: `[]`, `[)`, `(]` or `()`.
        shuffled: without `sort`, rows come in another order on each page, since none is documented.
        total_extra: added to `total_items` of every report and dictionary.
        undocumented: keys with their values that every row has although no manual lists them.
        values: JSON values that fields of every row have instead of their own, by method: another type than documented.
        clock_seconds: the header `Date` is ahead of this machine's clock by so many seconds.
        session_seconds: a session opened by `login.user` expires after so many seconds.
        session_calls: a session expires after so many requests, too.
        minute_limit: quota of requests per minute.
        day_limit: quota of requests per day.
        latency: seconds before every response.
        agency: `user_id` is required in every request, except those that list the agency's clients.
        brand: name of the manual that is followed, `comagic`, `callgear` or `novofon`: methods and fields that it does
            not have are rejected; empty for all that is documented anywhere.
        is_retired: fields that are announced for removal are gone.
        lacking: fields that are rejected, by method.
        shapes: how the rows of a method are sent: `bare` (the result is the list), `meta_data` (another name and no
            total), `no_total`, `object` (one row, without a list), by method.
        errors: mnemonic of the error that a method responds with, by method.
        client_errors: the same by `user_id`, for all methods.
        faults: kind of fault by the number of the HTTP request, counted from 1; see `FAULTS`.
        hang_seconds: how long the fault `hang` lasts.
    """

    bounds: str = "[]"
    shuffled: bool = False
    total_extra: int = 0
    undocumented: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock_seconds: float = 0.0
    session_seconds: float = 3600
    session_calls: int | None = None
    minute_limit: int = 100_000
    day_limit: int = 1_000_000
    latency: float = 0.0
    agency: bool = False
    brand: str = ""
    is_retired: bool = False
    lacking: dict[str, list[str]] = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    client_errors: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    hang_seconds: float = 60.0

    def set(self, name: str, value: Any) -> None:
        """Sets one attribute to a value parsed from JSON.

        Raises:
            ValueError: there is no such attribute, or it has to be an object.
        """
        if name not in SWITCH_NAMES:
            raise ValueError(f"unknown switch {name!r}; switches are {', '.join(SWITCH_NAMES)}")
        if name in ("faults", "client_errors"):
            if not isinstance(value, dict):
                raise ValueError(f'{name} must be an object such as {{"3": "..."}}')
            value = {int(key): kind for key, kind in value.items()}  # keys of JSON objects are text
        setattr(self, name, value)


SWITCH_NAMES = tuple(sorted(switch.name for switch in fields(Switches)))
