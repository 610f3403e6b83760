"""All that can be set on the sandbox: the facts that the API's manual leaves open, and faults."""

from dataclasses import dataclass, field
from typing import Dict, Mapping, Optional

KEY = "sandbox-key"
LOGIN = "sandbox"
PASSWORD = "sandbox"

DEAD_KEYS: Mapping[str, str] = {
    "expired-key": "access_token_expired",
    "blocked-key": "access_token_blocked",
}
"""Keys that are refused, by the error that they provoke; any other unknown key is `access_token_invalid`."""

FAULTS = (
    "reset",  # the connection is reset before an answer
    "cut",  # the body ends before its announced length
    "hang",  # no answer for `hang_seconds`
    "html",  # a page of HTML with status 200
    "empty",  # an empty body with status 200
    "garbage",  # the first half of the JSON, with a fitting length
    "wrong_id",  # an answer to another call
    "no_metadata",  # rows without metadata
    "no_result",  # neither result nor error
    "null_data",  # `data` is null
    "internal_error",  # the API's own passing error
    "400..599",  # that HTTP status; `429:2` sends `Retry-After: 2` with it
)
"""Kinds of faults for `Switches.faults`."""


@dataclass
class Switches:
    """How the sandbox behaves. All can be changed while it runs.

    Attributes:
        bounds: which of `date_from` and `date_till` belong to a period: `[]`, `[)`, `(]` or `()`.
        shuffled: without `sort`, rows come in an order that has nothing to do with time.
        total_extra: added to `total_items` of every report.
        undocumented_key: name of a key that rows carry although no manual lists it.
        session_seconds: life of a session opened by `login.user`.
        session_calls: a session ends after so many calls, too.
        minute_limit: points of a minute.
        day_limit: points of a day.
        latency: seconds that every answer takes.
        agency: `user_id` is required with every call, except those that list the agency's clients.
        errors: mnemonic that a method answers with instead of a result, by method.
        client_errors: the same by `user_id`, whatever the method.
        faults: kind of fault by the number of the request, counted from 1; see `FAULTS`.
        hang_seconds: how long a hanging request hangs.
    """

    bounds: str = "[]"
    shuffled: bool = True
    total_extra: int = 0
    undocumented_key: Optional[str] = None
    session_seconds: float = 3600
    session_calls: Optional[int] = None
    minute_limit: int = 100_000
    day_limit: int = 1_000_000
    latency: float = 0.0
    agency: bool = False
    errors: Dict[str, str] = field(default_factory=dict)
    client_errors: Dict[int, str] = field(default_factory=dict)
    faults: Dict[int, str] = field(default_factory=dict)
    hang_seconds: float = 60.0
