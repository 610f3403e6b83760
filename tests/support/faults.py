"""Faults of the sandbox that a retry can help against."""

from comagic.exceptions import BadResponseError, InternalError, OverloadedError, UnreachableError

HANGS = {"RUNTIME__REQUEST_TIMEOUT": "1"}
"""Time to wait for an answer that does not come; only for hangs, since a busy machine takes its time too."""
"""Environment under which a response that hangs is given up soon."""

TRANSIENT = {
    "reset": UnreachableError,
    "cut": UnreachableError,
    "hang": UnreachableError,
    "html": BadResponseError,
    "empty": BadResponseError,
    "garbage": BadResponseError,
    "wrong_id": BadResponseError,
    "no_result": BadResponseError,
    "null_data": BadResponseError,
    "no_metadata": BadResponseError,
    "internal_error": InternalError,
    "408": OverloadedError,
    "429": OverloadedError,
    "429:2": OverloadedError,
    "500": OverloadedError,
    "502": OverloadedError,
    "503": OverloadedError,
    "599": OverloadedError,
}
"""The fault, and what it raises if it lasts."""
